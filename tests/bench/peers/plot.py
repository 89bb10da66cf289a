"""The picture: one panel for a scenario, one bar for a server, drawn as SVG."""

import html
import statistics

import scenarios as s

# What a panel shows: the scenario, the figure, and which servers it leaves out: a bar that is ten times
# as long hides what there is to see.
PANELS = (
    ("fan-out", s.CPU_DELIVERY, (s.PYTHON,), "CPU per delivery, one event to 5 000 connections (µs; less is better)"),
    ("backlog", s.DELIVERIES, (), "deliveries a second to 1 000 connections (more is better)"),
    ("messages", s.EVENTS, (), "messages a second on two nodes, flat out (more is better)"),
    ("latency", s.DELIVERED[1], (), "latency of a message at 1 000 a second, p99 (ms; less is better)"),
    ("connects", s.CONNECTS, (), "connections a second (more is better)"),
    ("idle", s.MEMORY, (), "memory of an idle connection (KiB; less is better)"),
)

WIDTH, MARGIN, COLUMN_GAP = 1120, 16, 32
LABEL, BAR, GAP, TITLE, BELOW = 232, 15, 6, 30, 22
OURS, PEERS, TEXT, LINE, PAPER = "#2563eb", "#94a3b8", "#1e293b", "#334155", "#ffffff"


def text(x, y, content, size=12, anchor="start", weight="normal"):
    return (f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" '
            f'fill="{TEXT}">{html.escape(content)}</text>')


def short(name):
    return name.replace("Socket.IO on Node.js", "Node.js").replace(" adapter", "").replace(" store", "")


def panel(x, y, width, title, bars, digits):
    """Bars of (name, median, smallest, largest), beginning at (x, y)."""
    yield text(x, y + 14, title, 13, weight="bold")
    top = max((largest for *_, largest in bars), default=1) or 1
    room = width - LABEL - 64
    for number, (name, median, smallest, largest) in enumerate(bars):
        at = y + TITLE + number * (BAR + GAP)
        middle = at + BAR / 2
        color = OURS if name.startswith("game-realtime") else PEERS
        yield text(x + LABEL - 8, at + 12, short(name), 11, "end")
        begin = x + LABEL
        yield f'<rect x="{begin}" y="{at}" width="{median / top * room:.1f}" height="{BAR}" fill="{color}" rx="2"/>'
        if largest > smallest:
            low, high = (begin + value / top * room for value in (smallest, largest))
            yield (f'<path d="M{low:.1f} {middle}H{high:.1f}M{low:.1f} {middle - 4}v8M{high:.1f} {middle - 4}v8" '
                   f'stroke="{LINE}" fill="none"/>')
        figure = f"{median:,.{digits}f}".replace(",", "\u202f")
        yield text(begin + max(median, largest) / top * room + 6, at + 12, figure, 11)


def bars_of(figure, scenario, without, rounds):
    for cell in scenario.cells:
        if cell.server in without:
            continue
        values = [figure.of(reports[cell.name]) for reports in rounds if cell.name in reports]
        values = [value for value in values if value is not None]
        if values:
            yield cell.name, statistics.median(values), min(values), max(values)


def draw(results):
    by_name = {scenario.name: (scenario, result["rounds"]) for scenario, result in results}
    width = (WIDTH - 2 * MARGIN - COLUMN_GAP) / 2
    heights, parts = [MARGIN, MARGIN], []
    for name, figure, without, title in PANELS:
        if name not in by_name:
            continue
        scenario, rounds = by_name[name]
        bars = list(bars_of(figure, scenario, without, rounds))
        column = 0 if heights[0] <= heights[1] else 1
        x = MARGIN + column * (width + COLUMN_GAP)
        parts += panel(x, heights[column], width, title, bars, figure.digits)
        heights[column] += TITLE + len(bars) * (BAR + GAP) + BELOW
    height = max(heights)
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="system-ui, sans-serif" role="img" aria-label="The gateway beside its peers">',
        f'<rect width="{WIDTH}" height="{height}" fill="{PAPER}"/>', *parts, "</svg>", "",
    ])
