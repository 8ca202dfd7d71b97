//! The picture: how the server is in four lines, its last minutes as a line, and a list. Knows no terminal.

use std::env;

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Row, Sparkline, Table, Widget};

use super::state::State;
use super::tables::{Cell, List, Tab, bytes, micros, short};
use super::told::Sample;
use crate::limits::TOP_ROWS_MAX;

/// The columns of a screen that is printed as text.
pub(super) const COLUMNS: u16 = 100;

const KEYS: &str = "Tab ←→ list   ↑↓ scroll   s sort   r reverse   q quit";

/// What is shown, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    pub(super) tab: Tab,
    /// The column by which the list is sorted.
    pub(super) column: usize,
    pub(super) reversed: bool,
    /// The first row that is shown.
    pub(super) from: usize,
    colours: bool,
}

impl View {
    /// The cores; colours unless NO_COLOR is set.
    pub(super) fn new() -> Self {
        let colours = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { tab: Tab::Cores, column: 0, reversed: false, from: 0, colours }
    }

    /// Another list, from its beginning.
    pub(super) fn show(&mut self, tab: Tab) {
        // Lists of things that come and go begin with the most.
        let column = match tab {
            Tab::Cores => 0,
            Tab::Apps => 1,
            Tab::Channels | Tab::Slow => 2,
        };
        (self.tab, self.column, self.reversed, self.from) = (tab, column, false, 0);
    }

    fn colour(self, colour: Color) -> Style {
        if self.colours { Style::new().fg(colour) } else { Style::new() }
    }
}

/// Draws all of it.
pub(super) fn draw(state: &State, view: View, area: Rect, buffer: &mut Buffer) {
    let heights = [1, 4, 2, 1].map(Constraint::Length);
    let [title, figures, plot, tabs, list, keys] = Layout::vertical([
        heights[0],
        heights[1],
        heights[2],
        heights[3],
        Constraint::Min(3),
        Constraint::Length(1),
    ])
    .areas(area);
    draw_title(state, view, title, buffer);
    for (at, line) in figures_of(state.sample.as_ref()).into_iter().enumerate() {
        let row = Rect { y: figures.y + at as u16, height: 1, ..figures };
        line.render(row.intersection(figures), buffer);
    }
    let deliveries: Vec<u64> = state.deliveries.iter().rev().take(plot.width.into()).rev().copied().collect();
    Sparkline::default().data(&deliveries).style(view.colour(Color::Cyan)).render(plot, buffer);
    draw_tabs(view, tabs, buffer);
    draw_list(List::of(state, view.tab).sorted_by(view.column, view.reversed), view, list, buffer);
    Line::styled(KEYS, view.colour(Color::DarkGray)).render(keys, buffer);
}

/// One screen as text, with all lists.
pub(super) fn text(state: &State, columns: u16) -> String {
    let mut view = View { colours: false, ..View::new() };
    let lists = Tab::ALL.map(|(tab, title)| {
        view.show(tab);
        let mut list = List::of(state, tab).sorted_by(view.column, false);
        list.rows.truncate(TOP_ROWS_MAX);
        (view, title, list)
    });
    let rows = |list: &List| 2 + list.rows.len().max(1) as u16 + 1;
    let height = 6 + lists.iter().map(|(_, _, list)| rows(list)).sum::<u16>();
    let area = Rect::new(0, 0, columns.max(20), height);
    let mut buffer = Buffer::empty(area);
    draw_title(state, view, Rect { height: 1, ..area }, &mut buffer);
    for (at, line) in figures_of(state.sample.as_ref()).into_iter().enumerate() {
        line.render(Rect { y: 1 + at as u16, height: 1, ..area }, &mut buffer);
    }
    let mut y = 6;
    for (view, title, list) in lists {
        let height = rows(&list);
        Line::raw(title).render(Rect { y, height: 1, ..area }, &mut buffer);
        draw_list(list, view, Rect { y: y + 1, height: height - 2, ..area }, &mut buffer);
        y += height;
    }
    lines_of(&buffer)
}

fn lines_of(buffer: &Buffer) -> String {
    let area = buffer.area;
    let row = |y: u16| {
        let cells = (0..area.width).filter_map(|x| buffer.cell((x, y)));
        let line: String = cells.map(|cell| cell.symbol()).collect();
        format!("{}\n", line.trim_end())
    };
    (0..area.height).map(row).collect()
}

fn draw_title(state: &State, view: View, area: Rect, buffer: &mut Buffer) {
    let name = Span::styled("corecast top", Style::new().add_modifier(Modifier::BOLD));
    let url = Span::raw(format!("  {}", state.url()));
    let fault = state.fault.iter().map(|why| Span::styled(format!("  {why}"), view.colour(Color::Red)));
    Line::from_iter([name, url].into_iter().chain(fault)).render(area, buffer);
}

fn figures_of(sample: Option<&Sample>) -> [Line<'static>; 4] {
    let Some(sample) = sample else { return ["waiting for the server", "", "", ""].map(Line::raw) };
    let latency = |us: Option<f64>| us.map_or_else(|| "-".to_owned(), micros);
    let gates: Vec<String> = sample.gates.iter().filter(|(_, share)| *share >= 0.005).map(gate_of).collect();
    let gates = if gates.is_empty() { "open".to_owned() } else { gates.join(", ") };
    let memory = sample.memory_bytes.map_or_else(|| "-".to_owned(), bytes);
    [
        format!(
            "connections {:<10} deliveries {:<10} publishes {}",
            short(sample.connections),
            format!("{}/s", short(sample.deliveries_per_s)),
            format_args!("{}/s", short(sample.publishes_per_s)),
        ),
        format!(
            "in {:<19} out {:<17} waiting {}",
            format!("{}/s", bytes(sample.bytes_in_per_s)),
            format!("{}/s", bytes(sample.bytes_out_per_s)),
            bytes(sample.waiting_bytes),
        ),
        format!(
            "fan-out p50 {:<10} p99 {:<17} memory {memory}",
            latency(sample.latency_p50_us),
            latency(sample.latency_p99_us),
        ),
        format!("gates {gates}"),
    ]
    .map(Line::raw)
}

fn gate_of((name, share): &(String, f64)) -> String {
    format!("{name} closed {:.0} %", share * 100.0)
}

fn draw_tabs(view: View, area: Rect, buffer: &mut Buffer) {
    let tabs = Tab::ALL.into_iter().flat_map(|(tab, title)| {
        let style =
            if tab == view.tab { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
        [Span::styled(format!(" {title} "), style), Span::raw(" ")]
    });
    Line::from_iter(tabs).render(area, buffer);
}

fn draw_list(list: List, view: View, area: Rect, buffer: &mut Buffer) {
    let header = list.columns.iter().enumerate().map(|(at, (title, _))| {
        let mark = if at != view.column % list.columns.len() {
            ""
        } else if view.reversed {
            " ▲"
        } else {
            " ▼"
        };
        format!("{title}{mark}")
    });
    let header = Row::new(header.collect::<Vec<String>>()).style(Style::new().add_modifier(Modifier::BOLD));
    let widths = list.columns.iter().enumerate().map(|(at, (_, width))| match at {
        0 => Constraint::Min(*width),
        _ => Constraint::Length(*width),
    });
    let last = list.rows.len().saturating_sub(1);
    let rows = list.rows.iter().skip(view.from.min(last));
    let rows = rows.map(|cells| Row::new(cells.iter().map(Cell::shown).collect::<Vec<&str>>()));
    Widget::render(Table::new(rows, widths).header(header), area, buffer);
    if let Some(note) = list.note
        && area.height > 1
    {
        Line::styled(note, view.colour(Color::DarkGray))
            .render(Rect { y: area.y + 1, height: 1, ..area }, buffer);
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use serde_json::json;

    use super::super::told::{App, Channel, News, Slow};
    use super::*;

    fn state() -> State {
        let mut state = State::new("http://127.0.0.1:9601");
        let sample = json!({"connections": 12_345, "deliveries_per_s": 2_000, "publishes_per_s": 20, "bytes_in_per_s": 100,
            "bytes_out_per_s": 2_097_152, "latency_p50_us": 180, "latency_p99_us": 2_400, "memory_bytes": 52_428_800,
            "waiting_bytes": 1_536, "gates": {"flush": 0.25, "roots": 0}, "cores": [
            {"name": "shard-0", "busy": 0.42, "gated": 0.25, "connections": 12_345}, {"name": "api", "busy": 0.1}]});
        state.take(News::Sample(Sample::read(&sample)));
        let app = |id: &str, connections| App { id: id.to_owned(), connections, ..App::default() };
        state.take(News::Apps(vec![app("small", 1.0), app("large", 9.0)]));
        let hostile = json!({"name": "x\u{1b}[31m\u{202e}y", "subscriptions": 3, "users": 2});
        state.take(News::Channels(Ok(vec![Channel::read("large", &hostile)])));
        let slow = json!({"socket_id": "1.2", "waiting_bytes": 70_000, "waiting_ms": 1_500, "address": "10.0.0.1", "agent": "z"});
        state.take(News::Slow(Ok(vec![Slow::read(&slow)])));
        state
    }

    fn drawn(state: &State, view: View, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(state, view, frame.area(), frame.buffer_mut())).unwrap();
        lines_of(terminal.backend().buffer())
    }

    #[test]
    fn a_screen_has_the_figures_and_the_list_that_is_chosen() {
        let mut view = View { colours: false, ..View::new() };
        let cores = drawn(&state(), view, 80, 24);
        for part in [
            "connections 12.3k",
            "2000/s",
            "out 2.0 MiB/s",
            "p50 180 µs",
            "p99 2.4 ms",
            "50.0 MiB",
            "shard-0",
            "42 %",
        ] {
            assert!(cores.contains(part), "{part}: {cores}");
        }
        assert!(cores.contains("flush closed 25 %") && !cores.contains("roots"), "{cores}");
        view.show(Tab::Apps);
        let apps = drawn(&state(), view, 80, 24);
        assert!(apps.find("large").unwrap() < apps.find("small").unwrap(), "{apps}");
        view.reversed = true;
        let apps = drawn(&state(), view, 80, 24);
        assert!(apps.find("large").unwrap() > apps.find("small").unwrap(), "{apps}");
        view.show(Tab::Slow);
        let slow = drawn(&state(), view, 120, 24);
        assert!(slow.contains("68.4 KiB") && slow.contains("1.5 s") && slow.contains("10.0.0.1"), "{slow}");
    }

    #[test]
    fn it_fits_any_terminal_and_scrolls() {
        let mut view = View::new();
        for (width, height) in [(1, 1), (10, 3), (40, 8), (300, 100)] {
            for (tab, _) in Tab::ALL {
                view.show(tab);
                view.from = 1_000;
                drawn(&state(), view, width, height);
            }
        }
        view.show(Tab::Apps);
        view.from = 1;
        let apps = drawn(&state(), view, 80, 24);
        assert!(!apps.contains("large") && apps.contains("small"), "{apps}");
    }

    #[test]
    fn as_text_it_has_all_lists_and_no_control_characters() {
        let text = text(&state(), COLUMNS);
        for part in [
            "http://127.0.0.1:9601",
            "Cores",
            "Apps",
            "Channels",
            "Slow connections",
            "shard-0",
            "large",
            "68.4 KiB",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.chars().all(|c| logging::is_printable(c) || c == '\n'), "{text:?}");
        assert!(text.contains("x [31m y"), "{text}");
    }

    #[test]
    fn colours_are_off_where_they_are_not_wanted() {
        let area = Rect::new(0, 0, 80, 24);
        let coloured = |colours| {
            let mut buffer = Buffer::empty(area);
            draw(&state(), View { colours, ..View::new() }, area, &mut buffer);
            buffer.content.iter().any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset)
        };
        assert!(coloured(true) && !coloured(false));
    }
}
