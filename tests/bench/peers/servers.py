"""The servers that are compared, as processes of their own on loopback.

Everything a server needs, its store too, is on one core; who puts load on it is on the other. Each is
set up as its documentation says for production, on fresh data.
"""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[3]
HERE = pathlib.Path(__file__).resolve().parent
BUILT = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
TOOLS = ROOT / ".tools"

SERVER_CORE, LOAD_CORE = "0", "1"
START_SECONDS = 30
STOP_SECONDS = 10
SECRET = "the secret of the benchmarks, which is long enough"

# What has no limit here: all clients have one address, and all are in a hurry.
UNLIMITED = (
    "RATES__CONNECTION__PER_SECOND",
    "RATES__BROADCAST__PER_SECOND",
    "RATES__SEND_MESSAGE__PER_SECOND",
    "RATES__BUY_GOOD__PER_SECOND",
    "RATES__HANDSHAKES__PER_SECOND",
    "CONNECTIONS_PER_USER",
    "CONNECTIONS_PER_IP",
    "CONNECTIONS_PER_NODE",
    "TCP_CONNECTIONS",
)

# How the load generator speaks to them. Peers relay what they are sent, the gateway adds an id, a cursor,
# a time and the sender: with these lengths what is delivered is equally long.
GATEWAY = ["--secret", SECRET, "--message-length", "80"]
PEER = ["--form", "plain", "--message-length", "300", "--direct-payload"]
PEER.append('{"target_user_id":"{target}","text":"{stamp}{padding}"}')


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Running:
    """Servers that run, until the context ends."""

    def __init__(self):
        self.urls = []
        self.pids = {}
        self.arguments = []
        self._processes = []
        self._directory = tempfile.mkdtemp(prefix="bench-peers-")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self._processes):
            process.terminate()
        for process in reversed(self._processes):
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)

    def path(self, name):
        return os.path.join(self._directory, name)

    def start(self, label, command, is_up, **more):
        """Starts a program on the servers' core, and waits until it is up."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("GAME_REALTIME_")}
        environment.update(more)
        with open(self.path(f"{label}.log"), "ab") as log:
            process = subprocess.Popen(
                ["taskset", "-c", SERVER_CORE, *map(str, command)],
                env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
            )
        self._processes.append(process)
        self.pids.setdefault(label, []).append(process.pid)
        end = time.monotonic() + START_SECONDS
        while not is_up():
            if process.poll() is not None or time.monotonic() > end:
                with open(self.path(f"{label}.log"), errors="replace") as log:
                    raise SystemExit(f"{command[0]} does not start:\n{log.read()}")
            time.sleep(0.02)


def listens(port):
    def is_up():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    return is_up


def answers(url):
    def is_up():
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1) as response:
            return response.status == 200
        return False

    return is_up


def gateway(running, nodes=1, etcd=True):
    """The gateway: nodes on a real etcd, or one with its embedded store in a file."""
    settings = {
        "GAME_REALTIME__HTTP__HOST": "127.0.0.1",
        "GAME_REALTIME__AUTH__JWT__SECRET": SECRET,
        "GAME_REALTIME__EMBEDDED__PATH": running.path("events.redb"),
    }
    settings.update({f"GAME_REALTIME__LIMITS__{limit}": "0" for limit in UNLIMITED})
    if etcd:
        client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        command = [
            TOOLS / "bin/etcd", "--name=bench", f"--data-dir={running.path('etcd')}", "--log-level=error",
            f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=bench={peer}",
        ]
        running.start("store", command, answers(f"{client}/health"))
        settings["GAME_REALTIME__STORE__BACKEND"] = "etcd"
        settings["GAME_REALTIME__ETCD__ENDPOINTS"] = f'["{client}"]'
    for _ in range(nodes):
        port, admin = free_port(), free_port()
        ports = {"GAME_REALTIME__HTTP__PORT": str(port), "GAME_REALTIME__ADMIN__PORT": str(admin)}
        ready = answers(f"http://127.0.0.1:{admin}/readyz")
        running.start("server", [BUILT / "game-realtime"], ready, **settings, **ports)
        running.urls.append(f"http://127.0.0.1:{port}")
    running.arguments = GATEWAY


def peer(running, command, nodes=1, more=(), **environment):
    for _ in range(nodes):
        port = free_port()
        running.start("server", [*command, port, *more], listens(port), **environment)
        running.urls.append(f"http://127.0.0.1:{port}")
    running.arguments = PEER


def node(running, nodes=1, adapter=None):
    """Socket.IO on Node.js; several processes need an adapter, on a Redis that keeps nothing."""
    more = []
    if adapter:
        port = free_port()
        command = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        running.start("store", [*command, "--dir", running.path(".")], listens(port))
        more = [adapter, port]
    peer(running, ["node", HERE / "node/server.mjs"], nodes, more, NODE_ENV="production")


def python(running):
    peer(running, [TOOLS / "bench-venv/bin/python", HERE / "python/server.py"])


def socketioxide(running):
    peer(running, [BUILT / "bare-socketioxide"])


def floor(running):
    peer(running, [BUILT / "floor"])


EMBEDDED, ETCD, ETCD_2, ETCD_3 = (
    "game-realtime, embedded store", "game-realtime, etcd", "game-realtime, etcd, 2 nodes",
    "game-realtime, etcd, 3 nodes",
)
NODE, REDIS, STREAMS = (
    "Socket.IO on Node.js", "Socket.IO on Node.js, Redis adapter, 2 nodes",
    "Socket.IO on Node.js, Redis Streams adapter, 2 nodes",
)
PYTHON, SOCKETIOXIDE, FLOOR = "python-socketio", "bare socketioxide", "floor"

SERVERS = {
    EMBEDDED: lambda running: gateway(running, etcd=False),
    ETCD: gateway,
    ETCD_2: lambda running: gateway(running, nodes=2),
    ETCD_3: lambda running: gateway(running, nodes=3),
    NODE: node,
    REDIS: lambda running: node(running, nodes=2, adapter="redis"),
    STREAMS: lambda running: node(running, nodes=2, adapter="redis-streams"),
    PYTHON: python,
    SOCKETIOXIDE: socketioxide,
    FLOOR: floor,
}
