"""What the program tests written in Python share: the program under test as processes, plain
sockets as its users and targets, and checks that print what they checked. Loopback only."""

import atexit
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

CULVERT = os.path.realpath(sys.argv[1])
WORK = tempfile.mkdtemp(prefix="culvert-program-")
_processes = []
_failures = 0


def _clean_up():
    for process in _processes:
        if process.poll() is None:
            process.kill()
    for process in _processes:
        process.wait()
    shutil.rmtree(WORK, ignore_errors=True)


atexit.register(_clean_up)


def check(what, is_right, detail=""):
    global _failures
    print("  %-5s %s" % ("ok" if is_right else "FAIL", what), flush=True)
    if not is_right:
        _failures += 1
        if detail:
            print("        " + str(detail)[:2000], flush=True)


def finish():
    """Ends the test with the status that its checks earned."""
    if _failures:
        print("%d failed" % _failures, flush=True)
    sys.exit(1 if _failures else 0)


def path(name):
    return os.path.join(WORK, name)


def write(name, text):
    with open(path(name), "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path(name), 0o600)
    return path(name)


def environment(**more):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("CULVERT_")}
    for name in ("home", "runtime"):
        os.makedirs(path(name), mode=0o700, exist_ok=True)
    kept.update(HOME=path("home"), XDG_RUNTIME_DIR=path("runtime"))
    kept.update(more)
    return kept


def culvert(*arguments):
    """Runs a command to its end; its standard output."""
    return subprocess.run([CULVERT, *arguments], check=True, capture_output=True, text=True,
                          timeout=20, env=environment()).stdout


class Process:
    """The program, running; its output goes to a file."""

    def __init__(self, name, *arguments, prefix=(), environ=None, **options):
        self.log_path = path("%s-%d.log" % (name, len(_processes)))
        options.setdefault("stdin", subprocess.DEVNULL)
        with open(self.log_path, "wb") as log:
            options.setdefault("stdout", log)
            self.popen = subprocess.Popen([*prefix, CULVERT, *arguments], stderr=log,
                                          env=environment(**(environ or {})), **options)
        _processes.append(self.popen)
        self.pid = self.popen.pid

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait_for(self, pattern, patience=15):
        """The match; a test cannot go on without it."""
        end = time.monotonic() + patience
        while True:
            found = re.search(pattern, self.log(), re.M)
            if found:
                return found
            if time.monotonic() > end or self.popen.poll() is not None:
                found = re.search(pattern, self.log(), re.M)
                if found:
                    return found
                print("no line matching %r in:\n%s" % (pattern, self.log()[-2000:]), flush=True)
                sys.exit(1)
            time.sleep(0.02)

    def memory_kib(self, field="VmRSS"):
        with open("/proc/%d/status" % self.pid, encoding="ascii") as file:
            return int(re.search(field + r":\s+(\d+)", file.read()).group(1))

    def end(self, sig=signal.SIGTERM, patience=15):
        if self.popen.poll() is None:
            self.popen.send_signal(sig)
        return self.popen.wait(patience)


class Server(Process):
    def __init__(self, *arguments, **options):
        if not os.path.exists(path("server.key")):
            culvert("key", "generate", "-o", path("server.key"))
            write("token", culvert("token"))
        super().__init__("server", "server", "--secret-file", path("server.key"),
                         "--auth-tokens-file", path("token"), "--listen", "127.0.0.1:0",
                         "--drain-timeout", "1s", "--allowed-tcp", "127.0.0.0/8",
                         "--allowed-udp", "127.0.0.0/8", *arguments, **options)
        self.ticket = self.wait_for(r"^Ticket: (\S+)").group(1)


class Client(Process):
    def __init__(self, server, *arguments, **options):
        super().__init__("client", "client", "--ticket", server.ticket, "--auth-token-file",
                         path("token"), "--drain-timeout", "1s", *arguments, **options)

    def port_to(self, source):
        """Where the tunnel to `source` listens (TCP)."""
        found = self.wait_for(r"Listening on TCP \S+:(\d+) -> " + re.escape(source) + "$")
        return int(found.group(1))


def raise_descriptor_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def serve(handler, family=socket.AF_INET, address=("127.0.0.1", 0)):
    """A program that gives each connection to `handler`, one after the other; its address."""
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.bind(address)
    listener.listen(1024)

    def accept():
        while True:
            connection, _ = listener.accept()
            try:
                handler(connection)
            except OSError:
                pass

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()


def echo(connection):
    """A handler with a thread for each connection."""

    def run():
        try:
            while data := connection.recv(65536):
                connection.sendall(data)
            connection.close()
        except OSError:
            pass

    threading.Thread(target=run, daemon=True).start()


def connect(port, patience=10):
    connection = socket.socket()
    # Blocking: with a timeout it would ask for, and swallow, a reset that came meanwhile.
    connection.connect(("127.0.0.1", port))
    connection.settimeout(patience)
    return connection


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def read_to_end(connection):
    """What came, and how it ended: "end", "reset" or "silence"."""
    received = bytearray()
    try:
        while data := connection.recv(65536):
            received += data
        return bytes(received), "end"
    except socket.timeout:
        return bytes(received), "silence"
    except OSError:
        return bytes(received), "reset"


def is_echoed(port, patience=10):
    """Whether a new connection gets its bytes back, and in how many seconds."""
    start = time.monotonic()
    try:
        with connect(port, patience) as connection:
            connection.sendall(b"hello")
            return connection.recv(5, socket.MSG_WAITALL) == b"hello", time.monotonic() - start
    except OSError:
        return False, time.monotonic() - start


def socks_address(host, port):
    """Type, address and port as SOCKS5 writes them (RFC 1928 5)."""
    for family, kind in ((socket.AF_INET, b"\1"), (socket.AF_INET6, b"\4")):
        try:
            return kind + socket.inet_pton(family, host) + port.to_bytes(2, "big")
        except OSError:
            pass
    return b"\3" + bytes([len(host)]) + host.encode() + port.to_bytes(2, "big")


def receive_exactly(connection, count):
    received = b""
    while len(received) < count:
        data = connection.recv(count - len(received))
        if not data:
            raise EOFError("the connection ended after %d of %d bytes" % (len(received), count))
        received += data
    return received


def socks_request(proxy, command, host, port, patience=10):
    """Asks the SOCKS5 proxy at `proxy`; the connection, the reply's code and its address."""
    connection = socket.create_connection(proxy, patience)
    connection.sendall(b"\5\1\0")
    receive_exactly(connection, 2)
    connection.sendall(bytes([5, command, 0]) + socks_address(host, port))
    _, code, _, kind = receive_exactly(connection, 4)
    family, size = (socket.AF_INET, 4) if kind == 1 else (socket.AF_INET6, 16)
    bound = socket.inet_ntop(family, receive_exactly(connection, size))
    return connection, code, (bound, int.from_bytes(receive_exactly(connection, 2), "big"))
