//! How far a server is from what the machine allows: «1.08 × what this machine allows», with the floor's absolute figures beside it.
//!
//! Owns the words, the tiles of the page and the part of the JSON that say so. Says nothing without the floor, and nothing where
//! neither process could be measured.

use serde_json::{Map, Value, json};

use super::floor::Yardstick;
use super::median::{show_both_ratios, show_ratio, show_spread};
use super::summary::{Comparison, Figure, Ratio, Spread};
use crate::report::Unit;

/// How far a server is from what the machine allows.
pub(super) struct Verdict<'a> {
    name: &'a str,
    figure: &'a Figure,
    ratio: Ratio,
    own: Spread,
    floor: Spread,
}

impl<'a> Verdict<'a> {
    /// Of each contender that can be measured by the floor.
    pub(super) fn all(comparison: &'a Comparison) -> Vec<Self> {
        let Some(figure) = comparison.headline().filter(|_| comparison.yardstick.is_some()) else {
            return Vec::new();
        };
        let contenders = comparison.names.iter().zip(&figure.ratios).zip(&figure.spreads);
        let judged = contenders.filter_map(|((name, ratio), own)| {
            Some(Self {
                name,
                figure,
                ratio: (*ratio)?,
                own: (*own)?,
                floor: figure.spreads[comparison.base]?,
            })
        });
        judged.collect()
    }

    /// `A: 1.08 × (1.05–1.12) · 1.08 × the floor's server CPU per delivery: 1.234 µs, the floor 1.143 µs, …`
    pub(super) fn sentence(&self, comparison: &Comparison) -> String {
        let (own, floor) =
            (show_spread(self.own, self.figure.unit), show_spread(self.floor, self.figure.unit));
        let ratio = show_both_ratios(self.ratio);
        let (name, label) = (self.name, &self.figure.label);
        let floor_is = comparison.yardstick.as_ref().map_or_else(String::new, describe);
        format!("{name}: {ratio} the floor's {label}: {own}, the floor {floor}{floor_is}")
    }
}

/// What the ratios mean, for readers who see them for the first time.
pub(super) fn explanation(comparison: &Comparison) -> Option<String> {
    let floor = comparison.yardstick.as_ref().filter(|_| !Verdict::all(comparison).is_empty())?;
    let calls = floor.syscalls_per_delivery.map_or_else(String::new, |calls| {
        format!(
            " It made {} system calls per delivery; a server that puts more events into one call, because it is late or asked to, \
             may be below 1.00 ×.",
            Unit::Plain.show(calls)
        )
    });
    Some(format!(
        "The floor is a program that writes ready-made bytes to every socket and does nothing else, so it shows what this machine \
         itself costs: 1.00 × means as cheap as that, 2.00 × twice the cost.{calls}"
    ))
}

/// The verdicts and the floor's own figures, large. Their ranges are in the table.
pub(super) fn tiles(comparison: &Comparison) -> Vec<(String, String)> {
    let verdicts = Verdict::all(comparison);
    let floor = verdicts.first().map(|verdict| {
        (format!("{}, the floor", verdict.figure.label), verdict.figure.unit.show(verdict.floor.median))
    });
    let calls = comparison.yardstick.as_ref().and_then(|yardstick| {
        let calls = yardstick.syscalls_per_delivery?;
        Some(("syscalls per delivery, the floor".to_owned(), Unit::Plain.show(calls)))
    });
    let ratio = |verdict: &Verdict<'_>| {
        (format!("{}, {} ÷ floor", verdict.figure.label, verdict.name), show_ratio(verdict.ratio))
    };
    verdicts.iter().map(ratio).chain(floor).chain(calls).collect()
}

pub(super) fn encode(comparison: &Comparison) -> Value {
    let Some(yardstick) = &comparison.yardstick else { return Value::Null };
    let verdicts = Verdict::all(comparison);
    let ratios: Map<String, Value> =
        verdicts.iter().map(|verdict| (verdict.name.to_owned(), verdict.ratio.encode())).collect();
    json!({
        "mode": yardstick.mode,
        "syscalls_per_delivery": yardstick.syscalls_per_delivery,
        "figure": verdicts.first().map(|verdict| &verdict.figure.path),
        "median": verdicts.first().map(|verdict| verdict.floor.median),
        "times_what_this_machine_allows": ratios,
    })
}

/// Only the floor counts its own.
pub(super) fn syscalls_row(comparison: &Comparison) -> Option<Vec<String>> {
    let calls = comparison.yardstick.as_ref()?.syscalls_per_delivery?;
    let others = (0..comparison.names.len()).filter(|&index| index != comparison.base);
    let blank = others.flat_map(|_| ["–".to_owned(), String::new()]);
    let row = std::iter::once("syscalls per delivery".to_owned()).chain(blank);
    Some(row.chain([Unit::Plain.show(calls)]).collect())
}

/// ` (coalesced, 1.00 syscalls per delivery)`
fn describe(yardstick: &Yardstick) -> String {
    let calls = yardstick.syscalls_per_delivery;
    let calls = calls
        .map_or_else(String::new, |calls| format!(", {} syscalls per delivery", Unit::Plain.show(calls)));
    format!(" ({}{calls})", yardstick.mode)
}

#[cfg(test)]
mod tests {
    use super::super::Run;
    use super::*;

    fn sample(calls: Option<f64>) -> Comparison {
        let run = |contender, ns: f64| Run {
            contender,
            round: 1,
            json: json!({
                "server": {"cpu_ns_per_delivery": ns},
                "figures": [{"path": "server.cpu_ns_per_delivery", "label": "server CPU per delivery", "unit": "ns"}],
            }),
        };
        let runs = vec![run(0, 1080.0), run(1, 1000.0)];
        let yardstick = Yardstick { mode: "coalesced".to_owned(), syscalls_per_delivery: calls };
        let names = vec!["A".to_owned(), "floor".to_owned()];
        Comparison { yardstick: Some(yardstick), ..Comparison::new(names, 1, 1, runs) }
    }

    #[test]
    fn verdict_tells_ratio_absolute_figures_and_system_calls() {
        let comparison = sample(Some(0.25));
        let told: Vec<_> =
            Verdict::all(&comparison).iter().map(|verdict| verdict.sentence(&comparison)).collect();
        let expected = "A: 1.08 × (1.08–1.08) · 1.08 × the floor's server CPU per delivery: 1.080 µs, \
                        the floor 1.000 µs (coalesced, 0.250 syscalls per delivery)";
        assert_eq!(told, [expected]);
        assert_eq!(syscalls_row(&comparison).unwrap(), ["syscalls per delivery", "–", "", "0.250"]);
        assert_eq!(tiles(&comparison).len(), 3);
        let json = encode(&comparison);
        assert_eq!((&json["syscalls_per_delivery"], &json["median"]), (&json!(0.25), &json!(1000.0)));
        assert_eq!(json["times_what_this_machine_allows"]["A"]["median"], 1.08);
        let explained = explanation(&comparison).unwrap();
        assert!(
            explained.contains("1.00 × means") && explained.contains("0.250 system calls"),
            "{explained}"
        );
    }

    #[test]
    fn nothing_is_said_without_a_floor() {
        let comparison = Comparison { yardstick: None, ..sample(None) };
        assert!(Verdict::all(&comparison).is_empty() && tiles(&comparison).is_empty());
        assert_eq!(explanation(&comparison), None);
        assert_eq!((encode(&comparison), syscalls_row(&comparison)), (Value::Null, None));
    }
}
