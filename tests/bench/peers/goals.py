"""What the gateway is to reach beside its peers."""

import dataclasses
import statistics

import scenarios as s
from servers import EMBEDDED, ETCD, ETCD_2, ETCD_3, FLOOR, NODE, REDIS, STREAMS


@dataclasses.dataclass(frozen=True)
class Goal:
    """A figure of one cell in that of another (or alone), and the bound it has to keep."""

    text: str
    scenario: str
    figure: s.Figure
    of: str
    beside: str | None
    least: float | None = None
    most: float | None = None

    def judge(self, rounds):
        """The ratio of medians, the smallest and the largest of one round, and whether it is enough."""
        pairs = []
        for reports in rounds:
            if self.of not in reports or (self.beside and self.beside not in reports):
                continue
            pair = self.figure.of(reports[self.of]), self.figure.of(reports[self.beside]) if self.beside else 1.0
            if None not in pair and pair[1]:
                pairs.append(pair)
        if not pairs:
            return None
        ratio = statistics.median(own for own, _ in pairs) / statistics.median(other for _, other in pairs)
        each = [own / other for own, other in pairs]
        reached = (self.least is None or ratio >= self.least) and (self.most is None or ratio <= self.most)
        return ratio, min(each), max(each), reached


def named(server, what):
    return f"{server}, {what}"


def growth(kind, figure, before, after, text):
    beside = named(ETCD, f"{kind}, {before}")
    of = named(ETCD_3 if after == s.THREE_NODES else ETCD, f"{kind}, {after}")
    return Goal(text, "growth", figure, of, beside, most=1.15)


P50, P99, _ = s.DELIVERED

GOALS = (
    Goal("CPU per delivery, of the floor's", "fan-out", s.CPU_DELIVERY, EMBEDDED, FLOOR, most=1.7),
    Goal("CPU per delivery, of Socket.IO's on Node.js", "fan-out", s.CPU_DELIVERY, EMBEDDED, NODE, most=0.65),
    Goal("deliveries/s of 100 events at once, of those one at a time", "backlog", s.DELIVERIES,
         named(EMBEDDED, s.BACKLOG), named(EMBEDDED, s.ONE_AT_A_TIME), least=2),
    Goal("durable messages/s on two nodes, of the Redis Streams adapter's", "messages", s.EVENTS, ETCD_2, STREAMS,
         least=1.5),
    Goal("durable messages/s on two nodes, of the Redis adapter's", "messages", s.EVENTS, ETCD_2, REDIS, least=1),
    Goal("ms until delivered meanwhile, p99", "messages", P99, ETCD_2, None, most=250),
    Goal("latency of a message at 1 000/s, p50, of the Redis Streams adapter's", "latency", P50, ETCD_2, STREAMS,
         most=2),
    Goal("latency of a message at 1 000/s, p99, of the Redis Streams adapter's", "latency", P99, ETCD_2, STREAMS,
         most=1),
    Goal("connections/s registered in etcd, of Socket.IO's on Node.js without a registry", "connects", s.CONNECTS,
         ETCD, NODE, least=4),
    Goal("KiB per idle connection", "idle", s.MEMORY, EMBEDDED, None, most=12),
    Goal("memory per idle connection, of Socket.IO's on Node.js", "idle", s.MEMORY, EMBEDDED, NODE, most=1),
    growth(s.PER_DELIVERY, s.CPU_DELIVERY, s.FEW, s.MANY,
           "CPU per delivery among 15 000 connections, of that among 1 000"),
    growth(s.PER_DELIVERY, s.CPU_DELIVERY, s.ONE_NODE, s.THREE_NODES, "CPU per delivery on 3 nodes, of that on one"),
    growth(s.PER_EVENT, s.CPU_EVENT, s.FEW, s.MANY, "CPU per message among 15 000 connections, of that among 1 000"),
    growth(s.PER_EVENT, s.CPU_EVENT, s.ONE_NODE, s.THREE_NODES, "CPU per message on 3 nodes, of that on one"),
)
