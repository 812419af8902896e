// What tunnels lead to in the interop tests, on loopback with ports of the kernel's choice:
//   sink    TCP: reads to the end, answers "BYTES SHA256\n", closes
//   source  TCP: sends SIZE random bytes and closes
//   echo    UDP
// Prints "sink PORT", "source PORT SHA256", "echo PORT", "ready"; serves until stdin ends.
//   node targets.mjs SIZE
import crypto from 'node:crypto';
import dgram from 'node:dgram';
import net from 'node:net';

const size = Number(process.argv[2] ?? 1_000_000);
const content = crypto.randomBytes(size);
const print = (line) => process.stdout.write(line + '\n');
const listen = (server) =>
  new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server.address().port)));

const sink = net.createServer({ allowHalfOpen: true }, (socket) => {
  const hash = crypto.createHash('sha256');
  let bytes = 0;
  socket.on('data', (chunk) => {
    hash.update(chunk);
    bytes += chunk.length;
  });
  socket.on('end', () => socket.end(`${bytes} ${hash.digest('hex')}\n`));
  socket.on('error', () => {});
});
const source = net.createServer((socket) => {
  socket.on('error', () => {});
  socket.end(content);
});
const echo = dgram.createSocket('udp4');
echo.on('message', (payload, from) => echo.send(payload, from.port, from.address));

print(`sink ${await listen(sink)}`);
print(`source ${await listen(source)} ${crypto.createHash('sha256').update(content).digest('hex')}`);
await new Promise((resolve) => echo.bind(0, '127.0.0.1', resolve));
print(`echo ${echo.address().port}`);
print('ready');
process.stdin.resume();
process.stdin.once('end', () => process.exit(0));
