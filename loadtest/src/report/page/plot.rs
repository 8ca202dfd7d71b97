//! Plots of lines: latency by percentile, and rates over time, as SVG that needs nothing else.
//!
//! Owns geometry and the words for readers who cannot see it. Each plot is drawn twice, wide and narrow, so that its text has the same
//! size on a desk and on a phone; the style sheet shows one. Colours are classes: light and dark are the style sheet's.

use super::axis::Scale;
use super::escape;
use crate::report::Unit;
use crate::report::distribution::{Distribution, nines};
use crate::report::series::Series;

/// Slowest over typical from here on: only a logarithmic axis shows both.
const LOG_FROM: f64 = 20.0;
/// Percentiles that are marked on a line.
const MARKED: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

pub(crate) struct Plot {
    title: String,
    spoken: String,
    x: Axis,
    y: Axis,
    lines: Vec<Line>,
}

/// One line of a plot, with the range it came from if there were several runs.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
    /// (x, least, most)
    pub(crate) band: Vec<(f64, f64, f64)>,
}

struct Axis {
    scale: Scale,
    /// Value and text.
    ticks: Vec<(f64, String)>,
    label: String,
}

/// Sizes in the units of the drawing, which are about a pixel each.
struct Size {
    class: &'static str,
    width: f64,
    height: f64,
    x_ticks_max: usize,
}

const SIZES: [Size; 2] = [
    Size { class: "wide", width: 880.0, height: 360.0, x_ticks_max: 12 },
    Size { class: "narrow", width: 340.0, height: 280.0, x_ticks_max: 6 },
];
const LEFT: f64 = 62.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 28.0;
const BOTTOM: f64 = 48.0;

impl From<&Distribution> for Line {
    fn from(distribution: &Distribution) -> Self {
        Self { name: distribution.label.clone(), points: distribution.points.clone(), band: Vec::new() }
    }
}

impl From<&Series> for Line {
    fn from(series: &Series) -> Self {
        Self { name: series.name.clone(), points: series.points.clone(), band: Vec::new() }
    }
}

impl Plot {
    /// Latency in microseconds over nines, the percentile axis of `Distribution`.
    pub(crate) fn percentiles(title: &str, lines: Vec<Line>) -> Self {
        let far = highest(&lines, |line| line.points.last().map(|point| point.0)).max(1.0);
        let worst = highest(&lines, Line::top);
        let typical = lines.iter().filter_map(|line| line.at(nines(0.5))).fold(f64::INFINITY, f64::min);
        let scale = if worst / typical.max(1.0) > LOG_FROM {
            Scale::logarithmic(typical.max(1.0), worst)
        } else {
            Scale::from_zero(worst)
        };
        let named = [(nines(0.5), "50 %"), (1.0, "90"), (2.0, "99"), (3.0, "99.9")];
        let more = [(4.0, "99.99"), (5.0, "99.999"), (6.0, "99.9999")];
        let ticks = named.iter().chain(&more).filter(|(nines, _)| *nines <= far);
        let x = Axis {
            scale: Scale::Linear(0.0, far),
            ticks: ticks.map(|(nines, text)| (*nines, (*text).to_owned())).collect(),
            label: "percentile, logarithmic: each step is ten times rarer".to_owned(),
        };
        let y = Axis::new(scale, 5, Unit::Microseconds, "latency");
        let spoken = lines.iter().map(Line::tell_percentiles).collect::<Vec<_>>().join(" ");
        Self { title: title.to_owned(), spoken, x, y, lines }
    }

    /// Values over seconds.
    pub(crate) fn over_time(title: &str, unit: Unit, lines: Vec<Line>) -> Self {
        let end = highest(&lines, |line| line.points.last().map(|point| point.0)).max(0.1);
        let x = Axis::new(Scale::Linear(0.0, end), 10, Unit::Seconds, "since the first publish");
        let y = Axis::new(Scale::from_zero(highest(&lines, Line::top)), 5, unit, "");
        let spoken = lines.iter().map(|line| line.tell_range(unit)).collect::<Vec<_>>().join(" ");
        Self { title: title.to_owned(), spoken, x, y, lines }
    }

    /// A `<figure>` with both drawings and a legend.
    pub(super) fn draw(&self) -> String {
        let drawings: String = SIZES.iter().map(|size| self.draw_at(size)).collect();
        let title = escape(&self.title);
        let legend = self.legend();
        format!("<figure class=\"plot\">\n<figcaption>{title}</figcaption>\n{drawings}{legend}</figure>\n")
    }

    fn draw_at(&self, size: &Size) -> String {
        let label = escape(&format!("{}. {}", self.title, self.spoken));
        let Size { class, width, height, .. } = size;
        let mut out = format!(
            "<svg class=\"{class}\" role=\"img\" aria-label=\"{label}\" viewBox=\"0 0 {width} {height}\" \
             preserveAspectRatio=\"xMidYMid meet\">\n"
        );
        self.draw_axes(&mut out, size);
        for (index, line) in self.lines.iter().enumerate() {
            self.draw_line(&mut out, size, index, line);
        }
        out.push_str("</svg>\n");
        out
    }

    fn draw_axes(&self, out: &mut String, size: &Size) {
        let (right, bottom) = (size.width - RIGHT, size.height - BOTTOM);
        for (value, text) in &self.y.ticks {
            let (y, left) = (self.y_at(size, *value), LEFT - 8.0);
            let (text, baseline) = (escape(text), y + 4.0);
            draw!(out, "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>");
            draw!(
                out,
                "<text class=\"tick\" x=\"{left}\" y=\"{baseline:.1}\" text-anchor=\"end\">{text}</text>"
            );
        }
        for (value, text) in thinned(&self.x.ticks, size.x_ticks_max) {
            let (x, text, baseline) = (self.x_at(size, *value), escape(text), bottom + 18.0);
            draw!(out, "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>");
            draw!(
                out,
                "<text class=\"tick\" x=\"{x:.1}\" y=\"{baseline}\" text-anchor=\"middle\">{text}</text>"
            );
        }
        let (middle, low) = ((LEFT + right) / 2.0, size.height - 8.0);
        let label = escape(&self.x.label);
        draw!(out, "<path class=\"axis\" d=\"M{LEFT} {TOP}V{bottom}H{right}\"/>");
        draw!(
            out,
            "<text class=\"label\" x=\"{middle:.1}\" y=\"{low}\" text-anchor=\"middle\">{label}</text>"
        );
        let (above, label) = (TOP - 14.0, escape(&self.y.label));
        if !label.is_empty() {
            draw!(out, "<text class=\"label\" x=\"{LEFT}\" y=\"{above}\">{label}</text>");
        }
    }

    fn draw_line(&self, out: &mut String, size: &Size, index: usize, line: &Line) {
        let colour = colour(index);
        if line.band.len() > 1 {
            let there = line.band.iter().map(|&(x, _, most)| (x, most));
            let back = line.band.iter().rev().map(|&(x, least, _)| (x, least));
            let path = self.path(size, there.chain(back));
            draw!(out, "<path class=\"band {colour}\" d=\"{path}Z\"/>");
        }
        let path = self.path(size, line.points.iter().copied());
        draw!(out, "<path class=\"line {colour}\" d=\"{path}\"/>");
    }

    fn path(&self, size: &Size, points: impl Iterator<Item = (f64, f64)>) -> String {
        let mut path = String::new();
        for (index, (x, y)) in points.enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            let (x, y) = (self.x_at(size, x), self.y_at(size, y));
            path.push_str(&format!("{command}{x:.1} {y:.1}"));
        }
        path
    }

    fn x_at(&self, size: &Size, value: f64) -> f64 {
        LEFT + self.x.scale.place(value) * (size.width - LEFT - RIGHT)
    }

    fn y_at(&self, size: &Size, value: f64) -> f64 {
        TOP + (1.0 - self.y.scale.place(value)) * (size.height - TOP - BOTTOM)
    }

    fn legend(&self) -> String {
        if self.lines.len() < 2 {
            return String::new();
        }
        let entries = self.lines.iter().enumerate().map(|(index, line)| legend_entry(index, &line.name));
        format!("<ul class=\"legend\">{}</ul>\n", entries.collect::<String>())
    }
}

impl Line {
    fn top(&self) -> Option<f64> {
        let points = self.points.iter().map(|point| point.1);
        points.chain(self.band.iter().map(|range| range.2)).reduce(f64::max)
    }

    fn at(&self, x: f64) -> Option<f64> {
        self.points.iter().rfind(|point| point.0 <= x + 1e-9).map(|point| point.1)
    }

    fn tell_percentiles(&self) -> String {
        let end = self.points.last().map_or(0.0, |point| point.0);
        let marked = MARKED.iter().filter(|(_, quantile)| nines(*quantile) <= end);
        let values = marked.filter_map(|(name, quantile)| Some((*name, self.at(nines(*quantile))?)));
        let values = values.chain(self.points.last().map(|point| ("max", point.1)));
        let told: Vec<_> =
            values.map(|(name, us)| format!("{name} {}", Unit::Microseconds.show(us))).collect();
        format!("{}: {}.", self.name, told.join(", "))
    }

    fn tell_range(&self, unit: Unit) -> String {
        let values = || self.points.iter().map(|point| point.1);
        let (low, high) = (values().reduce(f64::min), values().reduce(f64::max));
        match low.zip(high) {
            Some((low, high)) => {
                format!("{}: between {} and {}.", self.name, unit.show(low), unit.show(high))
            }
            None => format!("{}: nothing.", self.name),
        }
    }
}

impl Axis {
    fn new(scale: Scale, ticks: usize, unit: Unit, label: &str) -> Self {
        let ticks = scale.ticks(ticks).into_iter().map(|value| (value, unit.tick(value))).collect();
        let label = if scale.is_logarithmic() { format!("{label}, logarithmic") } else { label.to_owned() };
        Self { scale, ticks, label }
    }
}

/// The class of a line, a bar, or their entry in a legend.
pub(super) fn colour(index: usize) -> String {
    format!("c{}", index % 6 + 1)
}

fn legend_entry(index: usize, name: &str) -> String {
    format!(
        "<li><svg class=\"swatch\" aria-hidden=\"true\" viewBox=\"0 0 28 10\"><path class=\"line {}\" d=\"M1 5H27\"/></svg>{}</li>",
        colour(index),
        escape(name)
    )
}

fn highest(lines: &[Line], value: impl Fn(&Line) -> Option<f64>) -> f64 {
    lines.iter().filter_map(value).fold(0.0, f64::max)
}

/// Every n-th, so that there are at most `max`.
fn thinned<T>(ticks: &[T], max: usize) -> impl Iterator<Item = &T> {
    ticks.iter().step_by(ticks.len().div_ceil(max).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot_up_to(worst_us: f64) -> String {
        let points = vec![(0.0, 100.0), (nines(0.5), 1000.0), (2.0, worst_us)];
        Plot::percentiles("p", vec![Line { name: "x".to_owned(), points, band: Vec::new() }]).draw()
    }

    #[test]
    fn an_axis_says_when_it_is_logarithmic() {
        assert!(plot_up_to(100_000.0).contains(">latency, logarithmic</text>"));
        assert!(plot_up_to(2000.0).contains(">latency</text>"));
        assert!(plot_up_to(2000.0).contains(">percentile, logarithmic: each step is ten times rarer</text>"));
    }
}
