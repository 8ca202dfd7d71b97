//! The report as one HTML page: nothing is loaded, so it opens from a mail, from a ticket, or without a network.
//!
//! Owns the order of the page: what it is, warnings, the main figures, plots, tables, the machine. The look is in
//! `page.css`, the frame in `page.html`. All text from outside goes through `escape`; there is no script.

/// Appends one line of a drawing to a String.
macro_rules! draw {
    ($out:expr, $($text:tt)+) => {{
        $out.push_str(&format!($($text)+));
        $out.push('\n');
    }};
}

mod axis;
mod bars;
mod plot;

use std::path::Path;

pub(crate) use self::bars::{Bar, Bars};
pub(crate) use self::plot::{Line, Plot};
use super::table::{Group, capitalised};
use super::{FigureValue, Report, Unit};
use crate::failure::{Context, Outcome};
use crate::host::Host;

const FRAME: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");

/// The figures shown large, or compared by bars, as far as a scenario has them.
pub(crate) const MAIN: [(&str, &str); 17] = [
    ("deliveries_per_second", "deliveries"),
    ("connects_per_second", "connects"),
    ("storm.reconnects_per_second", "reconnects"),
    ("publishes_per_second", "publishes"),
    ("calls_per_second", "REST calls"),
    ("latency_us.p50", "latency p50"),
    ("latency_us.p99", "latency p99"),
    ("lost", "lost"),
    ("failed", "failed"),
    ("server.cpu_ns_per_delivery", "server CPU per delivery"),
    ("server.cpu_ns_per_connect", "server CPU per connect"),
    ("storm.cpu_ns_per_reconnect", "server CPU per reconnect"),
    ("server.cpu_ns_per_publish", "server CPU per publish"),
    ("server.rss_bytes_per_connection", "memory per connection"),
    ("server.rss_bytes", "server memory"),
    ("server.rss_bytes_per_hour", "memory growth per hour"),
    ("generator.cpu_ratio", "generator CPU"),
];

#[derive(Default)]
pub(crate) struct Page {
    pub(crate) title: String,
    pub(crate) lead: String,
    pub(crate) notes: Vec<String>,
    /// Label and value.
    pub(crate) main: Vec<(String, String)>,
    /// What they mean, where that is not plain.
    pub(crate) explanation: String,
    pub(crate) bars: Vec<Bars>,
    pub(crate) plots: Vec<Plot>,
    /// What the columns of the groups are, empty for a label and a value.
    pub(crate) columns: Vec<String>,
    pub(crate) groups: Vec<Group>,
    pub(crate) host: Vec<(String, String)>,
}

/// The page of one run.
pub(super) fn of_run(report: &Report, host: &Host) -> Page {
    let lines = report.distributions.iter().map(Line::from).collect::<Vec<_>>();
    let mut plots = Vec::new();
    if !lines.is_empty() {
        plots.push(Plot::percentiles("Latency by percentile", lines));
    }
    for series in report.series.iter().filter(|series| series.points.len() > 1) {
        let title = format!("{} over time", capitalised(&series.name));
        plots.push(Plot::over_time(&title, series.unit, vec![Line::from(series)]));
    }
    Page {
        title: format!("{} load test", capitalised(&report.scenario)),
        notes: report.notes.clone(),
        main: main_figures(report),
        plots,
        groups: report.groups(),
        host: host_rows(host),
        ..Page::default()
    }
}

fn main_figures(report: &Report) -> Vec<(String, String)> {
    let value = |path: &str| {
        let of_latency = path.strip_prefix("latency_us.");
        let wanted = if of_latency.is_some() { "latency_us" } else { path };
        match (&report.figures.iter().find(|figure| figure.path == wanted)?.value, of_latency) {
            (FigureValue::Number(Some(value), unit), None) => Some(unit.show(*value)),
            (FigureValue::Latency(Some(values)), Some(quantile)) => {
                let place = super::QUANTILES.iter().position(|(name, _)| *name == quantile)?;
                Some(Unit::Microseconds.show(*values.get(place)? as f64))
            }
            _ => None,
        }
    };
    MAIN.iter().filter_map(|(path, label)| Some(((*label).to_owned(), value(path)?))).collect()
}

pub(crate) fn host_rows(host: &Host) -> Vec<(String, String)> {
    host.rows().map(|(label, text)| (capitalised(label), text.to_owned())).collect()
}

impl Page {
    /// Replaces the file.
    pub(crate) fn write(&self, file: &Path) -> Outcome<()> {
        std::fs::write(file, self.render()).context(format!("cannot write {}", file.display()))
    }

    fn render(&self) -> String {
        fill(FRAME, |name| match name {
            "style" => STYLE.to_owned(),
            "title" => escape(&self.title),
            "lead" => paragraph("lead", &self.lead),
            "notes" => self.render_notes(),
            "main" => self.render_main() + &paragraph("hint", &self.explanation),
            "bars" => section("Comparison", "side", self.bars.iter().map(Bars::draw).collect()),
            "plots" => section("Plots", "stack", self.plots.iter().map(Plot::draw).collect()),
            "tables" => self.render_tables(),
            "host" => self.host.iter().map(|(label, text)| definition(label, text)).collect(),
            _ => String::new(),
        })
    }

    fn render_notes(&self) -> String {
        if self.notes.is_empty() {
            return String::new();
        }
        let items: String = self.notes.iter().map(|note| format!("<li>{}</li>\n", escape(note))).collect();
        format!(
            "<section class=\"notes\" role=\"note\">\n<h2>Before you believe it</h2>\n<ul>\n{items}</ul>\n</section>\n"
        )
    }

    fn render_main(&self) -> String {
        let tiles: String = self.main.iter().map(|(label, value)| definition(label, value)).collect();
        if tiles.is_empty() { tiles } else { format!("<dl class=\"main\">\n{tiles}</dl>\n") }
    }

    /// Tables of two columns stand side by side where there is room.
    fn render_tables(&self) -> String {
        let tables: String = self.groups.iter().map(|group| self.render_group(group)).collect();
        let class = if self.columns.is_empty() { "tables" } else { "stacked" };
        format!("<div class=\"{class}\">\n{tables}</div>\n")
    }

    fn render_group(&self, group: &Group) -> String {
        let heading = escape(&capitalised(&group.heading));
        // A column in which nothing stands takes room for nothing.
        let is_told = |column: &usize| {
            *column == 0 || group.rows.iter().any(|row| row.get(*column).is_some_and(|cell| !cell.is_empty()))
        };
        let told: Vec<usize> = (0..self.columns.len()).filter(is_told).collect();
        let columns: String = told
            .iter()
            .map(|&column| format!("<th scope=\"col\">{}</th>", escape(&self.columns[column])))
            .collect();
        let head = if columns.is_empty() { columns } else { format!("<thead><tr>{columns}</tr></thead>\n") };
        let kind = if head.is_empty() { " class=\"pairs\"" } else { " class=\"compared\"" };
        let rows: String = group
            .rows
            .iter()
            .map(|row| if told.is_empty() { pair(row) } else { self.compared_row(row, &told) })
            .collect();
        // A box that scrolls must be reachable by keyboard.
        format!(
            "<div><h3>{heading}</h3>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{heading}\">\n\
             <table{kind}>\n{head}<tbody>\n{rows}</tbody>\n</table>\n</div></div>\n"
        )
    }

    /// Each cell knows its column, for a screen with no room for columns; what is behind the value stands below it, smaller.
    fn compared_row(&self, row: &[String], told: &[usize]) -> String {
        let cells = told.iter().filter_map(|&column| Some((column, row.get(column)?)));
        let cells = cells.map(|(column, cell)| match column {
            0 => format!("<th scope=\"row\">{}</th>", escape(cell)),
            _ => {
                let name = escape(&self.columns[column]);
                let (value, range) = cell.split_once(" (").unwrap_or((cell, ""));
                let range = if range.is_empty() {
                    String::new()
                } else {
                    format!(" <small>({}</small>", escape(range))
                };
                format!("<td data-column=\"{name}\"><span>{}{range}</span></td>", escape(value))
            }
        });
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    }
}

/// A label and a value.
fn pair(row: &[String]) -> String {
    let cells = row.iter().enumerate().map(|(index, cell)| match index {
        0 => format!("<th scope=\"row\">{}</th>", escape(cell)),
        _ => format!("<td>{}</td>", escape(cell)),
    });
    format!("<tr>{}</tr>\n", cells.collect::<String>())
}

fn definition(label: &str, text: &str) -> String {
    format!("<div><dt>{}</dt><dd>{}</dd></div>\n", escape(label), escape(text))
}

fn paragraph(class: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("<p class=\"{class}\">{}</p>\n", escape(text)) }
}

fn section(heading: &str, class: &str, content: String) -> String {
    if content.is_empty() {
        return content;
    }
    format!("<section>\n<h2>{heading}</h2>\n<div class=\"{class}\">\n{content}</div>\n</section>\n")
}

/// Puts a text for each `{{name}}`, once: what is put in is not looked at again.
fn fill(frame: &str, text_of: impl Fn(&str) -> String) -> String {
    let mut parts = frame.split("{{");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}").unwrap_or(("", part));
        out.push_str(&text_of(name));
        out.push_str(rest);
    }
    out
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;

    use super::*;

    fn sample() -> Page {
        let mut latency = Histogram::new_with_bounds(1, 1_000_000, 3).unwrap();
        (1..=10_000).for_each(|us| latency.record(us).unwrap());
        let mut report = Report::new("fanout");
        report.latency("latency", &latency);
        report.note("<script>alert(1)</script> {{style}}");
        report.rate_over_time("deliveries", &[(0.0, 0), (0.1, 10), (0.2, 30), (0.3, 60)]);
        of_run(&report, &Host::default())
    }

    #[test]
    fn page_holds_its_plots_and_loads_nothing() {
        let page = sample().render();
        assert_eq!(page.matches("role=\"img\"").count(), 4, "two plots, wide and narrow");
        assert!(page.contains("p99 9.90 ms"), "the plot is told in words");
        for loading in ["src=", "http://", "https://", "@import", "url("] {
            assert!(!page.contains(loading), "{loading}");
        }
    }

    #[test]
    fn text_from_outside_stays_text() {
        let page = sample().render();
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt; {{style}}"));
        assert!(!page.contains("<script"));
    }

    #[test]
    fn a_column_without_a_figure_is_left_out_and_cells_name_their_column() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let group = |rows: Vec<Vec<String>>| Group { heading: "server".to_owned(), rows };
        let page = Page { columns: words(&["", "A", "÷ floor", "floor"]), ..Page::default() };
        let counts = page.render_group(&group(vec![words(&["lost", "0", "", "0"])]));
        assert!(!counts.contains("÷ floor") && counts.contains("data-column=\"A\""), "{counts}");
        let costs = page.render_group(&group(vec![words(&[
            "CPU",
            "2 µs (1–3)",
            "2.00 × (1.00–3.00) · 1.90 ×",
            "1 µs",
        ])]));
        assert!(costs.contains("<small>(1.00–3.00) · 1.90 ×</small>"), "{costs}");
    }

    #[test]
    fn names_are_filled_in_once() {
        let filled =
            fill("a {{x}} b {{y}}", |name| if name == "x" { "{{y}}".to_owned() } else { "2".to_owned() });
        assert_eq!(filled, "a {{y}} b 2");
    }

    #[test]
    fn plots_of_nothing_and_of_one_point_are_still_drawn() {
        for points in [vec![], vec![(0.0, 0.0)]] {
            let line = || vec![Line { name: "x".to_owned(), points: points.clone(), band: Vec::new() }];
            for plot in [Plot::percentiles("p", line()), Plot::over_time("t", Unit::PerSecond, line())] {
                assert!(!plot.draw().contains("NaN"));
            }
        }
    }
}
