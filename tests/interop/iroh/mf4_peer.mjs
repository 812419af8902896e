// A real iroh endpoint speaking the mf/4 protocol, written from docs/protocol/mf-4.md
// independently of the C++ code. Runs as a process with a line protocol on stdout.
//
//   node mf4_peer.mjs server (--token T | --authorized-key HEX)
//     -> "listening ID ADDRESS"; serves until stdin ends
//   node mf4_peer.mjs client ID ADDRESS (--token T | --auth-seed HEX) ACTION...
//     ACTION: tcp SOURCE UPLOAD_BYTES   upload, half-close, read to the end
//                                       -> "tcp sent=N sha256=H received=N sha256=H"
//             udp SOURCE COUNT          -> "udp asked=N right=N"
//             refused SOURCE            -> "refused REASON"
//     on refusal of the credentials -> "auth-refused REASON", exit 3
import crypto from 'node:crypto';
import dgram from 'node:dgram';
import net from 'node:net';
import { Endpoint, EndpointAddr, EndpointId, RelayMode } from '@number0/iroh';

const ALPN = [...Buffer.from('mf/4')];
const MAX_MESSAGE = 16384;
const CONTEXT = Buffer.from('tunnel-rs public-key authentication v1\0');
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
const CHUNK = 256 * 1024;

const print = (line) => process.stdout.write(line + '\n');
const option = (args, name) => {
  const at = args.indexOf(name);
  return at < 0 ? undefined : args.splice(at, 2)[1];
};

// --- framing -------------------------------------------------------------------------------

async function sendMessage(stream, message) {
  const body = Buffer.from(JSON.stringify(message));
  const head = Buffer.alloc(4);
  head.writeUInt32BE(body.length);
  await stream.send.writeAll([...head, ...body]);
}

async function receiveMessage(stream) {
  const length = Buffer.from(await stream.recv.readExact(4)).readUInt32BE();
  if (length > MAX_MESSAGE) throw new Error(`message of ${length} bytes`);
  return JSON.parse(Buffer.from(await stream.recv.readExact(length)).toString());
}

function parseSource(source) {
  const url = new URL(source.replace(/^(tcp|udp):/, 'http:'));
  return { isUdp: source.startsWith('udp:'), host: url.hostname, port: Number(url.port) };
}

// --- TCP and UDP on a stream -----------------------------------------------------------------

async function readDatagram(recv) {
  const length = Buffer.from(await recv.readExact(2)).readUInt16BE();
  return Buffer.from(await recv.readExact(length));
}

async function writeDatagram(send, payload) {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(payload.length);
  await send.writeAll([...head, ...payload]);
}

async function serveTcp(stream, target) {
  const socket = net.connect(target.port, target.host);
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  const up = (async () => {
    for (;;) {
      const chunk = await stream.recv.read(CHUNK);
      if (!chunk || chunk.length === 0) break;
      if (!socket.write(Buffer.from(chunk))) {
        await new Promise((resolve) => socket.once('drain', resolve));
      }
    }
    socket.end();
  })();
  for await (const chunk of socket) await stream.send.writeAll([...chunk]);
  await stream.send.finish();
  await up;
}

async function serveUdp(stream, target) {
  const socket = dgram.createSocket('udp4');
  socket.on('message', (payload) => writeDatagram(stream.send, payload).catch(() => {}));
  try {
    for (;;) socket.send(await readDatagram(stream.recv), target.port, target.host);
  } finally {
    socket.close();
  }
}

// --- server ------------------------------------------------------------------------------------

function isAccepted(credentials, request, challenge) {
  if (request.version === 3) return request.auth_token === credentials.token;
  const key = Buffer.from(request.public_key);
  if (key.toString('hex') !== credentials.authorizedKey) return false;
  const publicKey = crypto.createPublicKey({
    key: Buffer.concat([SPKI_PREFIX, key]),
    format: 'der',
    type: 'spki',
  });
  return crypto.verify(
    null,
    Buffer.concat([CONTEXT, challenge]),
    publicKey,
    Buffer.from(request.signature),
  );
}

async function authenticateClient(connection, credentials) {
  const stream = await connection.acceptBi();
  let request = await receiveMessage(stream);
  const version = request.version;
  const challenge = crypto.randomBytes(32);
  if (version === 4) {
    await sendMessage(stream, { version, challenge: [...challenge] });
    request = await receiveMessage(stream);
  }
  const accepted = isAccepted(credentials, request, challenge);
  const reason = accepted ? undefined : 'Invalid authentication proof';
  await sendMessage(stream, { version, accepted, ...(reason && { reason }) });
  await stream.send.finish();
  if (!accepted) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    connection.close(1n, [...Buffer.from('auth_failed')]);
    throw new Error(reason);
  }
  return version;
}

async function serveConnection(connection, credentials) {
  const version = await authenticateClient(connection, credentials);
  for (;;) {
    const stream = await connection.acceptBi();
    (async () => {
      const request = await receiveMessage(stream);
      // As tunnel-rs: each release accepts its own version only.
      if (request.version !== version) throw new Error(`version ${request.version} in a flow`);
      const target = parseSource(request.source);
      if (target.host !== '127.0.0.1') {
        await sendMessage(stream, { version, accepted: false, reason: 'not in allowed networks' });
        await stream.send.finish();
        return;
      }
      await sendMessage(stream, { version, accepted: true });
      await (target.isUdp ? serveUdp : serveTcp)(stream, target);
    })().catch((error) => process.stderr.write(`flow: ${error}\n`));
  }
}

async function runServer(args) {
  const credentials = {
    token: option(args, '--token'),
    authorizedKey: option(args, '--authorized-key'),
  };
  const endpoint = await makeEndpoint();
  const address = endpoint.boundSockets().find((text) => text.startsWith('127.0.0.1:'));
  print(`listening ${Buffer.from(endpoint.id().toBytes()).toString('hex')} ${address}`);
  process.stdin.resume();
  process.stdin.once('end', () => process.exit(0));
  for (;;) {
    const incoming = await endpoint.acceptNext();
    if (!incoming) return;
    (async () => {
      const connection = await (await incoming.accept()).connect();
      await serveConnection(connection, credentials);
    })().catch((error) => process.stderr.write(`connection: ${error}\n`));
  }
}

// --- client ------------------------------------------------------------------------------------

async function authenticate(connection, credentials) {
  const stream = await connection.openBi();
  let version = 3;
  if (credentials.seed) {
    version = 4;
    await sendMessage(stream, { version });
    const { challenge } = await receiveMessage(stream);
    const privateKey = crypto.createPrivateKey({
      key: Buffer.concat([PKCS8_PREFIX, Buffer.from(credentials.seed, 'hex')]),
      format: 'der',
      type: 'pkcs8',
    });
    const message = Buffer.concat([CONTEXT, Buffer.from(challenge)]);
    const publicKey = crypto.createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
    await sendMessage(stream, {
      version,
      public_key: [...publicKey.subarray(SPKI_PREFIX.length)],
      signature: [...crypto.sign(null, message, privateKey)],
    });
  } else {
    await sendMessage(stream, { version, auth_token: credentials.token });
  }
  await stream.send.finish();
  const response = await receiveMessage(stream);
  if (!response.accepted) {
    print(`auth-refused ${response.reason}`);
    process.exit(3);
  }
  return version;
}

async function openFlow(connection, version, source) {
  const stream = await connection.openBi();
  await sendMessage(stream, { version, source });
  return { stream, response: await receiveMessage(stream) };
}

async function actTcp(stream, uploadBytes) {
  const sentHash = crypto.createHash('sha256');
  const receivedHash = crypto.createHash('sha256');
  let received = 0;
  const down = (async () => {
    for (;;) {
      const chunk = await stream.recv.read(CHUNK);
      if (!chunk || chunk.length === 0) return;
      received += chunk.length;
      receivedHash.update(Buffer.from(chunk));
    }
  })();
  for (let sent = 0; sent < uploadBytes; ) {
    const chunk = crypto.randomBytes(Math.min(CHUNK, uploadBytes - sent));
    sentHash.update(chunk);
    await stream.send.writeAll([...chunk]);
    sent += chunk.length;
  }
  await stream.send.finish();
  await down;
  print(
    `tcp sent=${uploadBytes} sha256=${sentHash.digest('hex')} ` +
      `received=${received} sha256=${receivedHash.digest('hex')}`,
  );
}

async function actUdp(stream, count) {
  let right = 0;
  for (let i = 0; i < count; i++) {
    const payload = crypto.randomBytes(1 + ((i * 37) % 1400));
    await writeDatagram(stream.send, payload);
    if ((await readDatagram(stream.recv)).equals(payload)) right++;
  }
  print(`udp asked=${count} right=${right}`);
}

async function runClient(args) {
  const credentials = { token: option(args, '--token'), seed: option(args, '--auth-seed') };
  const [id, address, ...actions] = args;
  const endpoint = await makeEndpoint();
  const peer = EndpointId.fromBytes([...Buffer.from(id, 'hex')]);
  const connection = await endpoint.connect(new EndpointAddr(peer, null, [address]), ALPN);
  const version = await authenticate(connection, credentials);
  print('authenticated');
  while (actions.length > 0) {
    const [action, source] = actions.splice(0, 2);
    const { stream, response } = await openFlow(connection, version, source);
    if (action === 'refused') {
      print(response.accepted ? 'accepted' : `refused ${response.reason}`);
      continue;
    }
    if (!response.accepted) throw new Error(`refused: ${response.reason}`);
    const amount = Number(actions.shift());
    await (action === 'udp' ? actUdp : actTcp)(stream, amount);
  }
  connection.close(0n, [...Buffer.from('done')]);
  await endpoint.close();
  process.exit(0);
}

async function makeEndpoint() {
  const builder = Endpoint.builder();
  builder.applyMinimal();
  builder.relayMode(RelayMode.disabled());
  builder.alpns([ALPN]);
  builder.bindAddr('127.0.0.1:0');
  return builder.bind();
}

const [role, ...args] = process.argv.slice(2);
try {
  await (role === 'server' ? runServer : runClient)(args);
} catch (error) {
  process.stderr.write(`mf4_peer: ${error?.message ?? error}\n`);
  process.exit(1);
}
