//! What is listed: cores, apps, channels, and connections that are slow, each in the order that was asked for.

use std::cmp::Ordering;

use super::state::State;
use super::told::{App, Channel, Core, Slow};

/// Which list is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Tab {
    Cores,
    Apps,
    Channels,
    Slow,
}

impl Tab {
    /// All of them, in their order, with their titles.
    pub(super) const ALL: [(Self, &'static str); 4] = [
        (Self::Cores, "Cores"),
        (Self::Apps, "Apps"),
        (Self::Channels, "Channels"),
        (Self::Slow, "Slow connections"),
    ];

    /// So many further, around the end.
    pub(super) fn moved(self, by: usize) -> Self {
        let [(first, _), ..] = Self::ALL;
        Self::ALL.get((self as usize + by) % Self::ALL.len()).map_or(first, |(tab, _)| *tab)
    }
}

/// What stands in a place of a list.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Cell {
    Text(String),
    /// A number, and how it is written.
    Number(f64, String),
    Unknown,
}

impl Cell {
    /// As it is shown.
    pub(super) fn shown(&self) -> &str {
        match self {
            Self::Text(text) | Self::Number(_, text) => text,
            Self::Unknown => "-",
        }
    }

    /// Large numbers come first, and names in their order; what is not known comes last.
    fn before(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(one, _), Self::Number(two, _)) => two.total_cmp(one),
            (Self::Text(one), Self::Text(two)) => one.cmp(two),
            (Self::Unknown, Self::Unknown) => Ordering::Equal,
            (Self::Unknown, _) => Ordering::Greater,
            _ => Ordering::Less,
        }
    }
}

/// A list.
#[derive(Debug)]
pub(super) struct List {
    /// The titles of its columns, with the width that they have at least; the first takes what is left.
    pub(super) columns: &'static [(&'static str, u16)],
    pub(super) rows: Vec<Vec<Cell>>,
    /// What is said instead of rows.
    pub(super) note: Option<String>,
}

impl List {
    /// What is known of it.
    pub(super) fn of(state: &State, tab: Tab) -> Self {
        match tab {
            Tab::Cores => Self::of_cores(state),
            Tab::Apps => Self::of_apps(state),
            Tab::Channels => Self::of_channels(state),
            Tab::Slow => Self::of_slow(state),
        }
    }

    /// In the order of a column.
    #[must_use]
    pub(super) fn sorted_by(mut self, column: usize, reversed: bool) -> Self {
        let column = column % self.columns.len();
        self.rows.sort_by(|one, two| {
            let order =
                one.get(column).zip(two.get(column)).map_or(Ordering::Equal, |(one, two)| one.before(two));
            if reversed { order.reverse() } else { order }
        });
        self
    }

    fn of_cores(state: &State) -> Self {
        let columns = &[("core", 12), ("busy", 8), ("gated", 8), ("connections", 12)];
        let cores = state.sample.iter().flat_map(|sample| &sample.cores);
        let row = |core: &Core| {
            let name = Cell::Text(core.name.clone());
            vec![name, percent(core.busy), percent(core.gated), count(core.connections)]
        };
        Self { columns, rows: cores.map(row).collect(), note: None }
    }

    fn of_apps(state: &State) -> Self {
        let columns = &[("app", 12), ("connections", 12), ("subscriptions", 14), ("channels", 10)];
        let row = |app: &App| {
            let id = Cell::Text(app.id.clone());
            vec![id, count(Some(app.connections)), count(app.subscriptions), count(app.channels)]
        };
        Self { columns, rows: state.apps.iter().flatten().map(row).collect(), note: None }
    }

    fn of_channels(state: &State) -> Self {
        let columns = &[("channel", 20), ("app", 10), ("subscriptions", 14), ("users", 8)];
        let row = |channel: &Channel| {
            let names = [&channel.name, &channel.app].map(|name| Cell::Text(name.clone()));
            [names.as_slice(), &[count(Some(channel.subscriptions)), count(channel.users)]].concat()
        };
        let (rows, note) = rows_or_note(state.channels.as_ref(), row);
        Self { columns, rows, note }
    }

    fn of_slow(state: &State) -> Self {
        let columns =
            &[("connection", 22), ("app", 10), ("waiting", 10), ("for", 9), ("address", 22), ("agent", 16)];
        let row = |slow: &Slow| {
            let [id, app, address, agent] =
                [&slow.socket_id, &slow.app, &slow.address, &slow.agent].map(|text| Cell::Text(text.clone()));
            let waiting = Cell::Number(slow.waiting_bytes, bytes(slow.waiting_bytes));
            let time = Cell::Number(slow.waiting_ms, micros(slow.waiting_ms * 1e3));
            vec![id, app, waiting, time, address, agent]
        };
        let (rows, note) = rows_or_note(state.slow.as_ref(), row);
        Self { columns, rows, note }
    }
}

fn rows_or_note<T>(
    told: Option<&Result<Vec<T>, String>>,
    row: impl Fn(&T) -> Vec<Cell>,
) -> (Vec<Vec<Cell>>, Option<String>) {
    match told {
        Some(Ok(all)) => (all.iter().map(row).collect(), all.is_empty().then(|| "none".to_owned())),
        Some(Err(why)) => (Vec::new(), Some(why.clone())),
        None => (Vec::new(), Some("not told yet".to_owned())),
    }
}

fn count(value: Option<f64>) -> Cell {
    value.map_or(Cell::Unknown, |value| Cell::Number(value, short(value)))
}

fn percent(share: Option<f64>) -> Cell {
    share.map_or(Cell::Unknown, |share| Cell::Number(share, format!("{:.0} %", share * 100.0)))
}

/// A number in a few characters.
pub(super) fn short(value: f64) -> String {
    let scaled = [(1e9, "G"), (1e6, "M"), (1e3, "k")].into_iter().find(|(unit, _)| value >= 10.0 * unit);
    match scaled {
        Some((unit, name)) => format!("{:.1}{name}", value / unit),
        None => format!("{value:.0}"),
    }
}

/// Bytes in a few characters.
pub(super) fn bytes(value: f64) -> String {
    const KIB: f64 = 1024.0;
    let units = [(KIB * KIB * KIB, "GiB"), (KIB * KIB, "MiB"), (KIB, "KiB")];
    match units.into_iter().find(|(unit, _)| value >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", value / unit),
        None => format!("{value:.0} B"),
    }
}

/// A time in a few characters.
pub(super) fn micros(value: f64) -> String {
    match value {
        us if us < 1e3 => format!("{us:.0} µs"),
        us if us < 1e6 => format!("{:.1} ms", us / 1e3),
        us => format!("{:.1} s", us / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in
            [(0.0, "0"), (9_999.0, "9999"), (12_345.0, "12.3k"), (2.5e7, "25.0M"), (3e10, "30.0G")]
        {
            assert_eq!(short(value), text);
        }
        assert_eq!([bytes(512.0), bytes(2048.0), bytes(5e9)], ["512 B", "2.0 KiB", "4.7 GiB"]);
        assert_eq!([micros(850.0), micros(1_500.0), micros(2e6)], ["850 µs", "1.5 ms", "2.0 s"]);
    }

    #[test]
    fn large_numbers_come_first_and_names_in_their_order() {
        let rows = [("b", Some(1.0)), ("a", None), ("c", Some(7.0))];
        let rows = rows.map(|(name, value)| vec![Cell::Text(name.to_owned()), count(value)]).to_vec();
        let order = |column, reversed| {
            let list = List { columns: &[("name", 1), ("count", 1)], rows: rows.clone(), note: None };
            let sorted = list.sorted_by(column, reversed);
            sorted.rows.iter().map(|row| row[0].shown().to_owned()).collect::<String>()
        };
        assert_eq!(
            [order(0, false), order(1, false), order(1, true), order(2, false)],
            ["abc", "cba", "abc", "abc"]
        );
    }

    #[test]
    fn tabs_go_around() {
        let all: Vec<_> = (0..5).map(|by| Tab::Channels.moved(by)).collect();
        assert_eq!(all, [Tab::Channels, Tab::Slow, Tab::Cores, Tab::Apps, Tab::Channels]);
    }
}
