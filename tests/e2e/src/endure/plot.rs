//! The picture of a run: sizes, rate and latency over time, drawn as SVG. Writing to memory does not
//! fail, so results of `write!` are dropped.

use std::fmt::Write as _;

use super::{outcome::Outcome, sampler::Sample};

const WIDTH: f64 = 960.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 16.0;
const PANEL: f64 = 150.0;
const TITLE: f64 = 44.0;
const BELOW: f64 = 34.0;
const TEXT: &str = "#1e293b";
const GRID: &str = "#e2e8f0";
const FAULT: &str = "#fee2e2";
const COLORS: [&str; 4] = ["#2563eb", "#ea580c", "#16a34a", "#9333ea"];

/// One line of a panel.
struct Line {
    name: &'static str,
    value: fn(&Sample) -> Option<f64>,
}

impl Line {
    fn new(name: &'static str, value: fn(&Sample) -> Option<f64>) -> Self {
        Self { name, value }
    }
}

#[expect(clippy::cast_precision_loss, reason = "below 2^53")]
fn mebibytes(bytes: Option<u64>) -> Option<f64> {
    bytes.map(|bytes| bytes as f64 / f64::from(1 << 20))
}

impl Outcome {
    /// The picture.
    #[must_use]
    pub fn svg(&self) -> String {
        let is_etcd = self.samples.iter().any(|sample| sample.in_use.is_some());
        let mut file = vec![Line::new("file", |sample| mebibytes(sample.file))];
        let mut memory = vec![Line::new("largest node", |sample| {
            mebibytes(sample.node_rss.iter().flatten().max().copied())
        })];
        if is_etcd {
            file.push(Line::new("in use", |sample| mebibytes(sample.in_use)));
            memory.insert(0, Line::new("etcd", |sample| mebibytes(sample.etcd_rss)));
            memory.insert(
                1,
                Line::new("etcd without mapped file", |sample| mebibytes(sample.etcd_heap)),
            );
        }
        let panels = [
            ("the store's file, MiB", file),
            ("memory, MiB", memory),
            (
                "events committed a second",
                vec![Line::new("events/s", |sample| Some(sample.per_second))],
            ),
            (
                "answer to a quiet player, ms",
                vec![
                    Line::new("p99", |sample| sample.quiet_p99),
                    Line::new("p50", |sample| sample.quiet_p50),
                ],
            ),
        ];
        let step = TITLE + PANEL + BELOW;
        let height = step * f64::from(u32::try_from(panels.len()).unwrap_or_default());
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
             font-family=\"system-ui, sans-serif\" fill=\"{TEXT}\" role=\"img\" \
             aria-label=\"The gateway on {} over {:.0} seconds\">\n\
             <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n",
            self.plan.store.name(),
            self.seconds,
        );
        let mut top = TITLE;
        for (title, lines) in &panels {
            self.draw(&mut svg, top, title, lines);
            top += step;
        }
        svg + "</svg>\n"
    }

    fn draw(&self, svg: &mut String, top: f64, title: &str, lines: &[Line]) {
        let values = lines.iter().flat_map(|line| self.samples.iter().filter_map(line.value));
        let most = nice(values.fold(0.0, f64::max));
        let x = |seconds: f64| LEFT + seconds / self.seconds.max(1.0) * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| top + PANEL - value / most * PANEL;
        text(svg, LEFT, top - 24.0, 14, "start", title);
        for pair in self.samples.windows(2) {
            let [before, sample] = pair else { continue };
            if !sample.is_calm {
                let (from, to) = (x(before.seconds), x(sample.seconds));
                writeln!(
                    svg,
                    "<rect x=\"{from:.1}\" y=\"{top}\" width=\"{:.1}\" height=\"{PANEL}\" \
                     fill=\"{FAULT}\"/>",
                    to - from,
                )
                .ok();
            }
        }
        for quarter in 0..=4 {
            let value = most * f64::from(quarter) / 4.0;
            grid(svg, (LEFT, y(value)), (WIDTH - RIGHT, y(value)));
            text(svg, LEFT - 6.0, y(value) + 4.0, 11, "end", &number(value));
            let seconds = self.seconds * f64::from(quarter) / 4.0;
            let time = if self.seconds < 300.0 {
                format!("{seconds:.0} s")
            } else {
                format!("{:.0} min", seconds / 60.0)
            };
            text(svg, x(seconds), top + PANEL + 16.0, 11, "middle", &time);
        }
        for ((line, color), place) in lines.iter().zip(COLORS).zip(0_i32..) {
            let points = self.samples.iter().filter_map(|sample| {
                let value = (line.value)(sample)?;
                Some(format!("{:.1},{:.1}", x(sample.seconds), y(value)))
            });
            let points: Vec<_> = points.collect();
            writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.5\"/>",
                points.join(" "),
            )
            .ok();
            let at = LEFT + 180.0 * f64::from(place);
            writeln!(
                svg,
                "<rect x=\"{at}\" y=\"{}\" width=\"12\" height=\"4\" fill=\"{color}\"/>",
                top - 12.0,
            )
            .ok();
            text(svg, at + 18.0, top - 7.0, 11, "start", line.name);
        }
    }
}

fn text(svg: &mut String, x: f64, y: f64, size: u32, anchor: &str, text: &str) {
    writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" text-anchor=\"{anchor}\">{text}</text>"
    )
    .ok();
}

fn grid(svg: &mut String, from: (f64, f64), to: (f64, f64)) {
    writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{GRID}\"/>",
        from.0, from.1, to.0, to.1
    )
    .ok();
}

/// The top of an axis: 1, 2, 4 or 8 times a power of ten, no less than `most`.
fn nice(most: f64) -> f64 {
    let power = 10_f64.powf(most.max(1.0).log10().floor());
    let tops = [1.0, 2.0, 4.0, 8.0, 10.0].map(|times| times * power);
    tops.into_iter().find(|top| *top >= most).unwrap_or(most)
}

fn number(value: f64) -> String {
    if value < 10.0 && value.fract() != 0.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

#[cfg(test)]
mod tests {
    use super::nice;

    #[test]
    fn an_axis_ends_at_a_round_number() {
        for (most, top) in [(0.0, 1.0), (3.0, 4.0), (17.0, 20.0), (810.0, 1000.0)] {
            assert!((nice(most) - top).abs() < 1e-9, "{most}");
        }
    }
}
