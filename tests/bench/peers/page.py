"""The page: docs/benchmarks.md, with its picture."""

import statistics

import scenarios as s
from goals import GOALS
from plot import draw

# One column of the summary each: the scenario, what is done in it, the figure, and its title.
SUMMARY = (
    ("fan-out", "", s.CPU_DELIVERY, "server CPU µs per delivery, one event to 5 000"),
    ("backlog", s.BACKLOG, s.DELIVERIES, "deliveries/s, 100 events at once to 1 000"),
    ("messages", "", s.EVENTS, "messages/s acknowledged, flat out"),
    ("messages", "", s.CPU_EVENT, "server CPU µs per message"),
    *(("latency", "", figure, f"ms until delivered at 1 000 messages/s, {quantile}")
      for figure, quantile in zip(s.DELIVERED, ("p50", "p99", "p99.9"))),
    ("connects", "", s.CONNECTS, "connections/s"),
    ("idle", "", s.MEMORY, "KiB per idle connection"),
)

HEAD = """# Benchmarks

The gateway beside its peers: the same work, put on them by the same load generator
([load-testing.md](load-testing.md)) on the same machine. `just bench-peers` measures all of it and writes
this page; `just bench-peers fan-out connects` measures some of it again.

![The gateway beside its peers](benchmarks.svg)

{about}

## How it is measured

- A server and all it needs, its store too, is on one core; the load generator is on another. Every
  measurement has servers and data of its own. What is compared takes turns, {rounds} rounds; a figure is the
  median of the rounds, with the smallest and the largest. Trust the ratios, not the absolute figures.
- Latencies are counted from when an event should have been sent, not from when it was.
- The peers are set up as their documentation says for production: `NODE_ENV=production`, WebSocket only,
  no compression (the default), ws with its native add-ons, the first request of a session discarded; uvicorn
  with uvloop and httptools. They relay what they are sent and answer at once with the acknowledgement of
  Socket.IO; messages go to rooms. Nothing is checked, stored or registered, and Redis keeps nothing on disk.
- The gateway has its default settings without limits of rates and connections (all clients have one
  address here): it verifies a token of each connection, validates every event, commits it to the store (an
  etcd of one member, with its disk; or a file, synced) before it answers or delivers, and keeps one order.
- What is delivered is as long with all of them: peers are sent longer texts for what the gateway adds.
- The floor is a loop over the sockets that writes the same frames, a write each, and does nothing else.

## Summary

Medians; each column has its section below, with the command, the spread and more figures.

{summary}

## The goals

{goals}

What stands in the way of those that are not reached, and what it would take:
[performance.md](performance.md#goals-that-are-not-reached).
"""


def table(header, rows):
    yield "| " + " | ".join(header) + " |"
    yield "|" + " --- |" * len(header)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def spread(values, digits):
    """The median, and the extremes if there are any."""
    text = f"{statistics.median(values):,.{digits}f}"
    if len(values) > 1:
        text += f" ({min(values):,.{digits}f} to {max(values):,.{digits}f})"
    return text.replace(",", "\u202f")


def values_of(figure, cell, rounds):
    values = (figure.of(reports[cell.name]) for reports in rounds if cell.name in reports)
    return [value for value in values if value is not None]


def summary_rows(results):
    by_name = {scenario.name: (scenario, result["rounds"]) for scenario, result in results}
    cells = [cell for scenario, _ in by_name.values() for cell in scenario.cells]
    for server in dict.fromkeys(cell.server for cell in cells):
        row = []
        for name, what, figure, _ in SUMMARY:
            scenario, rounds = by_name.get(name, (None, []))
            of_server = (cell for cell in (scenario.cells if scenario else ())
                         if cell.server == server and cell.what == what)
            values = [value for cell in of_server for value in values_of(figure, cell, rounds)]
            row.append(spread([statistics.median(values)], figure.digits) if values else "")
        if any(row):
            yield [server, *row]


def goal_rows(results):
    rounds = {scenario.name: result["rounds"] for scenario, result in results}
    for goal in GOALS:
        bound = f"at least {goal.least:g}" if goal.least else f"at most {goal.most:g}"
        judged = goal.judge(rounds.get(goal.scenario, []))
        if judged is None:
            yield [goal.text, bound, "not measured", ""]
            continue
        ratio, low, high, reached = judged
        yield [goal.text, bound, f"{ratio:.2f} ({low:.2f} to {high:.2f})", "reached" if reached else "**not reached**"]


def faults(report):
    verdict = report["verdict"]
    names = ("lost", "doubled", "out_of_order", "misdirected", "refused", "unanswered", "not_connected", "disconnected")
    return {name: verdict[name] for name in names if verdict[name]}


def section(scenario, result):
    rounds = result["rounds"]
    yield f"## {scenario.title}"
    yield f"\n{scenario.text} `just bench-peers {scenario.name}`\n"
    figures = [figure for figure in scenario.figures
               if any(values_of(figure, cell, rounds) for cell in scenario.cells)]
    rows = []
    for cell in scenario.cells:
        values = [values_of(figure, cell, rounds) for figure in figures]
        rows.append([cell.name, *(spread(of, figure.digits) if of else "" for of, figure in zip(values, figures))])
    yield from table(["", *(figure.title for figure in figures)], rows)
    yield "\nEach with " + "; ".join(
        f"`game-realtime-loadgen {arguments}`"
        for arguments in dict.fromkeys(" ".join(cell.arguments) for cell in scenario.cells)
    ) + "."
    for cell in scenario.cells:
        found = [faults(reports[cell.name]) for reports in rounds if cell.name in reports]
        if any(found):
            counted = "; ".join(", ".join(f"{count} {name.replace('_', ' ')}" for name, count in one.items()) or "clean"
                                for one in found)
            yield f"\n{cell.name} was not clean: {counted}."


def about(results):
    if not results:
        return "Nothing was measured yet."
    newest = max((result["about"] for _, result in results), key=lambda about: about["date"])
    return "\n".join(
        f"- {name}: {newest[key]}"
        for name, key in (("machine", "machine"), ("system", "system"), ("versions", "versions"), ("built by", "built"),
                          ("measured", "date"))
    )


def write_page(directory, results):
    rounds = max((len(result["rounds"]) for _, result in results), default=0)
    goals = "\n".join(table(["what", "goal", "is (smallest to largest of a round)", ""], goal_rows(results)))
    summary = "\n".join(table(["", *(title for *_, title in SUMMARY)], summary_rows(results)))
    parts = [HEAD.format(about=about(results), rounds=rounds, summary=summary, goals=goals)]
    parts += ["\n".join(section(*result)) + "\n" for result in results]
    (directory / "benchmarks.md").write_text("\n".join(parts))
    (directory / "benchmarks.svg").write_text(draw(results))
