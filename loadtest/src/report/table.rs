//! The table at the end of a run: rows in columns, under headings, notes last.
//!
//! Owns the order of the groups and the alignment. Text in, text out; widths count characters, as a terminal does for the
//! letters that are used here.

use std::fmt::Write;

/// Groups stand in this order; others between them, in the order in which they came.
const FIRST: [&str; 3] = ["load", "result", "latency"];
const LAST: [&str; 2] = ["server", "generator"];

/// Rows under one heading. The first cell of a row says what the others are.
pub(crate) struct Group {
    pub(crate) heading: String,
    pub(crate) rows: Vec<Vec<String>>,
}

/// Gathers rows by heading and puts the groups in order.
pub(crate) fn group<'a>(rows: impl Iterator<Item = (&'a str, Vec<String>)>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (heading, row) in rows {
        match groups.iter_mut().find(|group| group.heading == heading) {
            Some(group) => group.rows.push(row),
            None => groups.push(Group { heading: heading.to_owned(), rows: vec![row] }),
        }
    }
    groups.sort_by_key(|group| rank(&group.heading));
    groups
}

fn rank(heading: &str) -> usize {
    let place = |list: &[&str]| list.iter().position(|known| *known == heading);
    place(&FIRST).or_else(|| place(&LAST).map(|place| FIRST.len() + 1 + place)).unwrap_or(FIRST.len())
}

/// All of it, ready to print; `columns` name what stands below them, if that needs to be said.
pub(crate) fn table(title: &str, columns: &[String], groups: &[Group], notes: &[String]) -> String {
    let widths = widths(columns, groups);
    let mut out = format!("{title}\n");
    if !columns.is_empty() {
        out.push('\n');
        out.push_str(&line(columns, &widths));
    }
    for group in groups {
        writeln!(out, "\n{}", capitalised(&group.heading)).expect("a String takes every write");
        for row in &group.rows {
            out.push_str(&line(row, &widths));
        }
    }
    if !notes.is_empty() {
        out.push('\n');
    }
    for note in notes {
        writeln!(out, "! {note}").expect("a String takes every write");
    }
    out
}

fn line(row: &[String], widths: &[usize]) -> String {
    let cells = row.iter().zip(widths).map(|(cell, &width)| format!("{cell:<width$}"));
    format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
}

/// A last column is never padded, so it may be as long as it likes.
fn widths(head: &[String], groups: &[Group]) -> Vec<usize> {
    let rows = || groups.iter().flat_map(|group| &group.rows).map(Vec::as_slice).chain([head]);
    let columns = rows().map(<[String]>::len).max().unwrap_or(0);
    let width =
        |column: usize| rows().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    (0..columns).map(|column| width(column).unwrap_or(0)).collect()
}

pub(crate) fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    first + letters.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(heading: &'static str, label: &str, value: &str) -> (&'static str, Vec<String>) {
        (heading, vec![label.to_owned(), value.to_owned()])
    }

    #[test]
    fn rows_line_up_under_their_headings_in_order() {
        let rows = [
            row("server", "CPU per delivery", "3 µs"),
            row("result", "lost", "0"),
            row("publishes", "sent", "100"),
            row("load", "mode", "paced"),
            row("server", "memory", "5 B"),
        ];
        let groups = group(rows.into_iter());
        let expected = "fanout\n\nLoad\n  mode              paced\n\nResult\n  lost              0\n\nPublishes\n  sent              100\n\n\
            Server\n  CPU per delivery  3 µs\n  memory            5 B\n\n! beware\n";
        assert_eq!(table("fanout", &[], &groups, &["beware".to_owned()]), expected);
    }

    #[test]
    fn table_without_rows_is_its_title() {
        assert_eq!(table("x", &[], &[], &[]), "x\n");
    }
}
