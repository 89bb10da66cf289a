"""What is measured: the same work for every server in a scenario, by the same load generator."""

import dataclasses

from servers import (
    EMBEDDED, ETCD, ETCD_2, ETCD_3, FLOOR, NODE, PYTHON, REDIS, SOCKETIOXIDE, STREAMS,
)


@dataclasses.dataclass(frozen=True)
class Cell:
    """One server in one scenario, doing one thing."""

    server: str
    arguments: tuple
    what: str = ""

    @property
    def name(self):
        return f"{self.server}, {self.what}" if self.what else self.server


@dataclasses.dataclass(frozen=True)
class Figure:
    """What is read from a report. `better` says which end of it is the good one."""

    title: str
    path: tuple
    scale: float = 1.0
    digits: int = 0

    def of(self, report):
        value = report
        for key in self.path:
            value = (value or {}).get(key)
        return None if value is None else value * self.scale


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    text: str
    cells: tuple
    figures: tuple


def measured(title, *path, **more):
    return Figure(title, ("measured", *path), **more)


def milliseconds(title, *path, digits=1):
    return Figure(title, path, 1e-3, digits)


CPU_DELIVERY = Figure("server CPU µs per delivery", ("servers", "server", "cpu_us_per_delivery"), digits=2)
CPU_EVENT = Figure("server CPU µs per event", ("servers", "server", "cpu_us_per_event"), digits=0)
STORE_EVENT = Figure("store CPU µs per event", ("servers", "store", "cpu_us_per_event"), digits=0)
CPU_CONNECTION = Figure("server CPU µs each", ("servers", "server", "cpu_us_per_connection"), digits=0)
STORE_CONNECTION = Figure("store CPU µs each", ("servers", "store", "cpu_us_per_connection"), digits=0)
MEMORY = Figure("KiB per connection", ("servers", "server", "rss_bytes_per_connection"), 1 / 1024, 1)
EVENTS = measured("events/s acknowledged", "answers_per_second")
DELIVERIES = measured("deliveries/s", "deliveries_per_second")
BYTES = measured("bytes per delivery", "bytes_per_delivery")
SETTLED = milliseconds("ms until the last has it, p50", "measured", "settle_latency", "p50")
SETTLED_99 = milliseconds("p99", "measured", "settle_latency", "p99")
DELIVERED = tuple(
    milliseconds(title, "measured", "delivery_latency", quantile, digits=2)
    for title, quantile in (("ms until delivered, p50", "p50"), ("p99", "p99"), ("p99.9", "p999"))
)
CONNECTS = Figure("connections/s", ("connect", "per_second"))
READY = milliseconds("ms until ready, p50", "connect", "latency", "p50")
READY_99 = milliseconds("p99", "connect", "latency", "p99")


def broadcast(connections, burst, pause="0s", duration="4s"):
    return (
        "broadcast", "-n", str(connections), "--burst", str(burst), "--pause", pause, "--duration", duration,
        "--warm-up", "1s",
    )


def each(arguments, *servers):
    return tuple(Cell(server, arguments) for server in servers)


ONE_AT_A_TIME, BACKLOG = "one at a time", "100 at once"
FEW, MANY, ONE_NODE, THREE_NODES = "1 000 connections", "15 000 connections", "1 node", "3 nodes"
PER_DELIVERY, PER_EVENT = "broadcasts", "messages"


def growth_cells():
    def cells(kind, arguments):
        yield Cell(ETCD, arguments(1000), f"{kind}, {FEW}")
        yield Cell(ETCD, arguments(15000), f"{kind}, {MANY}")
        yield Cell(ETCD, arguments(3000), f"{kind}, {ONE_NODE}")
        yield Cell(ETCD_3, arguments(3000), f"{kind}, {THREE_NODES}")

    yield from cells(PER_DELIVERY, lambda count: broadcast(count, 1, "5ms"))
    yield from cells(PER_EVENT, lambda count: (
        "direct", "-n", str(count), "--senders", "500", "--rate", "1000", "--duration", "4s", "--warm-up", "1s",
    ))


SCENARIOS = (
    Scenario(
        "fan-out", "One event to 5 000 connections",
        "One sender; an event is sent when everybody has the last one and 5 ms have passed.",
        each(broadcast(5000, 1, "5ms"), EMBEDDED, ETCD, FLOOR, SOCKETIOXIDE, NODE, PYTHON),
        (CPU_DELIVERY, SETTLED, SETTLED_99, BYTES),
    ),
    Scenario(
        "backlog", "100 events at once to 1 000 connections",
        "One sender; 100 events at once, and the next when everybody has all of them; beside one at a time.",
        tuple(
            Cell(server, broadcast(1000, burst), what)
            for server in (EMBEDDED, ETCD, FLOOR, NODE)
            for burst, what in ((1, ONE_AT_A_TIME), (100, BACKLOG))
        ),
        (DELIVERIES, CPU_DELIVERY, SETTLED),
    ),
    Scenario(
        "messages", "Messages between players on two nodes, flat out",
        "500 players, half of them on each node, each with one message on its way to somebody on the other "
        "node: the next is sent when it was answered and has been delivered, to the target and to the sender. The gateway answers when etcd has the message on "
        "disk; the peers answer at once, and their Redis keeps nothing on disk.",
        each(
            ("direct", "-n", "500", "--in-flight", "1", "--until", "delivered", "--duration", "5s", "--warm-up", "2s"),
            ETCD_2, STREAMS, REDIS,
        ),
        (EVENTS, DELIVERIES, *DELIVERED, CPU_EVENT, STORE_EVENT),
    ),
    Scenario(
        "latency", "Messages between players on two nodes, 1 000 a second",
        "The same players at a fixed rate; latency is counted from when a message was to be sent.",
        each(
            ("direct", "-n", "500", "--rate", "1000", "--duration", "5s", "--warm-up", "2s"),
            ETCD_2, STREAMS, REDIS,
        ),
        (EVENTS, *DELIVERED, CPU_EVENT, STORE_EVENT),
    ),
    Scenario(
        "connects", "Connections opened, as fast as they are taken",
        "5 000 connections, 256 at a time, until each is told that it is ready. The gateway has checked a "
        "token and, on etcd, written the connection into the registry by then; the peers neither.",
        each(("connect", "-n", "5000"), ETCD, EMBEDDED, SOCKETIOXIDE, NODE, PYTHON),
        (CONNECTS, READY, READY_99, CPU_CONNECTION, STORE_CONNECTION),
    ),
    Scenario(
        "idle", "An idle connection",
        "5 000 connections, held for 27 s: longer than the 25 s after which the peers ask for a sign of life.",
        each(("idle", "-n", "5000", "--duration", "27s"), EMBEDDED, SOCKETIOXIDE, NODE, PYTHON, FLOOR),
        (MEMORY,),
    ),
    Scenario(
        "growth", "What growth does to the cost of one event",
        "Broadcasts one at a time, and 1 000 messages a second from 500 players, among few connections and "
        "among many; then 3 000 connections on one node and on three. CPU time is that of all nodes together.",
        tuple(growth_cells()),
        (CPU_DELIVERY, CPU_EVENT, STORE_EVENT),
    ),
)
