//! What many runs say together: medians, ranges and ratios.
//!
//! Pure. A ratio compares two runs of the same round, which the machine treated alike; the median of those is the ratio by which
//! servers are judged, and the ratio of the medians is told beside it. What only some runs measured is told of those.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Run;
use super::floor::Yardstick;
use crate::report::Unit;
use crate::report::distribution::Distribution;
use crate::report::page::Line;

/// By scenario one of them is measured.
const HEADLINES: [&str; 3] =
    ["server.cpu_ns_per_delivery", "server.cpu_ns_per_connect", "server.cpu_ns_per_publish"];

pub(super) struct Comparison {
    pub(super) names: Vec<String>,
    /// Whose figures the ratios are to.
    pub(super) base: usize,
    pub(super) rounds: u32,
    pub(super) runs: Vec<Run>,
    pub(super) figures: Vec<Figure>,
    /// What the base did, where it is the floor.
    pub(super) yardstick: Option<Yardstick>,
}

/// One figure of all contenders.
pub(super) struct Figure {
    pub(super) path: String,
    pub(super) label: String,
    pub(super) unit: Unit,
    /// By contender.
    pub(super) spreads: Vec<Option<Spread>>,
    /// To the base, by contender; None for the base itself and where the base was ever zero.
    pub(super) ratios: Vec<Option<Ratio>>,
}

/// How one contender stands to the base. The two can differ, since other rounds may be in the middle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ratio {
    /// Of the two runs of each round, which the machine treated alike.
    pub(super) by_round: Spread,
    /// Of the two medians that stand beside it.
    pub(super) of_medians: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

impl Comparison {
    pub(super) fn new(names: Vec<String>, base: usize, rounds: u32, runs: Vec<Run>) -> Self {
        let mut comparison = Self { names, base, rounds, runs, figures: Vec::new(), yardstick: None };
        let described = comparison.runs.iter().flat_map(|run| described(&run.json));
        let mut figures: Vec<(String, String, Unit)> = Vec::new();
        for figure in described {
            if !figures.iter().any(|known| known.0 == figure.0) {
                figures.push(figure);
            }
        }
        comparison.figures = figures.into_iter().map(|figure| comparison.summarise(figure)).collect();
        comparison
    }

    /// The figure that says how far a contender is from the base: CPU for what the scenario is about.
    pub(super) fn headline(&self) -> Option<&Figure> {
        let figure = |path: &&str| self.figures.iter().find(|figure| figure.path == *path);
        HEADLINES.iter().filter_map(figure).find(|figure| figure.ratios.iter().any(Option::is_some))
    }

    /// Notes of the runs, each with where it was said.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut said: Vec<(String, BTreeMap<usize, u32>)> = Vec::new();
        for run in &self.runs {
            for note in run.json["notes"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                let place = said.iter().position(|(known, _)| known == note).unwrap_or_else(|| {
                    said.push((note.to_owned(), BTreeMap::new()));
                    said.len() - 1
                });
                *said[place].1.entry(run.contender).or_default() += 1;
            }
        }
        said.iter().map(|(note, runs)| self.attribute(note, runs)).collect()
    }

    /// The percentile plots: by label, a line for each contender, its rounds put together.
    pub(super) fn distributions(&self) -> Vec<(String, Vec<Line>)> {
        let parsed: Vec<(usize, Distribution)> = self
            .runs
            .iter()
            .flat_map(|run| {
                let all = run.json["distributions"].as_array().into_iter().flatten();
                all.filter_map(|value| Some((run.contender, Distribution::parse(value)?)))
            })
            .collect();
        let mut labels: Vec<&str> = Vec::new();
        for (_, distribution) in &parsed {
            if !labels.contains(&distribution.label.as_str()) {
                labels.push(&distribution.label);
            }
        }
        let line = |label: &str, contender: usize| {
            let same = parsed.iter().filter(|(of, one)| *of == contender && one.label == label);
            lay_over(&self.names[contender], &same.map(|(_, one)| one).collect::<Vec<_>>())
        };
        let lines = |label: &str| (0..self.names.len()).map(|contender| line(label, contender)).collect();
        labels.into_iter().map(|label| (label.to_owned(), lines(label))).collect()
    }

    fn summarise(&self, (path, label, unit): (String, String, Unit)) -> Figure {
        let contenders = 0..self.names.len();
        let spreads: Vec<Option<Spread>> =
            contenders.clone().map(|one| Spread::of(self.values(one, &path))).collect();
        let ratio = |one: usize| {
            let by_round = (one != self.base).then(|| Spread::of(self.ratios(one, &path))).flatten()?;
            let (own, base) = (spreads[one]?.median, spreads[self.base]?.median);
            Some(Ratio { by_round, of_medians: own / base })
        };
        let ratios = contenders.map(ratio).collect();
        Figure { ratios, spreads, path, label, unit }
    }

    fn values(&self, contender: usize, path: &str) -> Vec<f64> {
        let own = self.runs.iter().filter(|run| run.contender == contender);
        own.filter_map(|run| value(&run.json, path)).collect()
    }

    fn ratios(&self, contender: usize, path: &str) -> Vec<f64> {
        let of = |contender: usize, round: u32| {
            let run = self.runs.iter().find(|run| run.contender == contender && run.round == round)?;
            value(&run.json, path)
        };
        let both = |round| Some((of(contender, round)?, of(self.base, round)?));
        let pairs: Vec<(f64, f64)> = (1..=self.rounds).filter_map(both).collect();
        // A base that is zero now and then, such as a growth of memory, is no yardstick.
        let is_yardstick = pairs.iter().all(|&(_, base)| base > 0.0);
        pairs.into_iter().filter(|_| is_yardstick).map(|(one, base)| one / base).collect()
    }

    fn attribute(&self, note: &str, runs: &BTreeMap<usize, u32>) -> String {
        let everywhere = runs.len() == self.names.len() && runs.values().all(|&count| count == self.rounds);
        if everywhere {
            return format!("{note} (all runs)");
        }
        let named = runs.iter().map(|(&contender, count)| format!("{} in {count}", self.names[contender]));
        format!("{note} ({} of {} rounds)", named.collect::<Vec<_>>().join(", "), self.rounds)
    }
}

impl Ratio {
    pub(super) fn encode(self) -> Value {
        let mut json = self.by_round.encode();
        json["of_medians"] = json!(self.of_medians);
        json
    }
}

impl Spread {
    pub(super) fn encode(self) -> Value {
        json!({"median": self.median, "least": self.least, "most": self.most})
    }

    /// None of no values.
    pub(super) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let (low, high) = (values.get((values.len() - 1) / 2)?, values.get(values.len() / 2)?);
        Some(Self { median: (low + high) / 2.0, least, most })
    }
}

/// Path, label and unit of each number in a result.
fn described(json: &Value) -> Vec<(String, String, Unit)> {
    let one = |figure: &Value| {
        let text = |key: &str| figure.get(key)?.as_str();
        Some((text("path")?.to_owned(), text("label")?.to_owned(), Unit::parse(text("unit")?)?))
    };
    json["figures"].as_array().into_iter().flatten().filter_map(one).collect()
}

fn value(json: &Value, path: &str) -> Option<f64> {
    path.split('.').try_fold(json, |json, name| json.get(name))?.as_f64()
}

/// The median at each percentile, within the range of all. The last point of each is its maximum, wherever that lies.
fn lay_over(name: &str, all: &[&Distribution]) -> Line {
    let shared = all.iter().map(|one| one.points.len()).min().unwrap_or(0).saturating_sub(1);
    let end = all.iter().filter_map(|one| one.points.last()).map(|last| last.0).reduce(f64::min);
    let at = |place: usize| {
        let x = all.first()?.points.get(place)?.0;
        Some((x, Spread::of(all.iter().filter_map(|one| Some(one.points.get(place)?.1)).collect())?))
    };
    let last = Spread::of(all.iter().filter_map(|one| Some(one.points.last()?.1)).collect());
    let spreads: Vec<(f64, Spread)> = (0..shared).filter_map(at).chain(end.zip(last)).collect();
    Line {
        name: name.to_owned(),
        points: spreads.iter().map(|(x, spread)| (*x, spread.median)).collect(),
        band: spreads.iter().map(|(x, spread)| (*x, spread.least, spread.most)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(contender: usize, round: u32, ns: f64, notes: &[&str]) -> Run {
        let json = json!({
            "server": {"cpu": ns}, "notes": notes,
            "figures": [{"path": "server.cpu", "label": "CPU", "unit": "ns"}],
            "distributions": [{"label": "latency", "nines_us": [[0.0, ns], [0.05, ns + 1.0], [0.1, ns + 2.0]]}],
        });
        Run { contender, round, json }
    }

    /// The machine was twice as slow in the second round: that must not show in the ratio.
    fn sample() -> Comparison {
        let runs = vec![
            run(0, 1, 100.0, &["late"]),
            run(1, 1, 110.0, &["late"]),
            run(0, 2, 200.0, &["late"]),
            run(1, 2, 220.0, &[]),
            run(0, 3, 100.0, &["late"]),
            run(1, 3, 120.0, &[]),
        ];
        Comparison::new(vec!["A".to_owned(), "B".to_owned()], 0, 3, runs)
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let figure = &sample().figures[0];
        assert_eq!(figure.spreads[1], Some(Spread { median: 120.0, least: 110.0, most: 220.0 }));
        let ratio = figure.ratios[1].unwrap();
        assert!((ratio.by_round.median - 1.1).abs() < 1e-9 && (ratio.by_round.most - 1.2).abs() < 1e-9);
        // The medians are of different rounds.
        assert!((ratio.of_medians - 1.2).abs() < 1e-9, "{ratio:?}");
        assert_eq!(figure.ratios[0], None);
    }

    #[test]
    fn median_of_an_even_number_is_between_the_two_in_the_middle() {
        assert_eq!(Spread::of(vec![4.0, 1.0, 3.0, 2.0]).unwrap().median, 2.5);
        assert_eq!(Spread::of(vec![]), None);
    }

    #[test]
    fn notes_say_where_they_were_made() {
        assert_eq!(sample().notes(), ["late (A in 3, B in 1 of 3 rounds)"]);
    }

    #[test]
    fn distributions_of_rounds_are_laid_over_each_other() {
        let plots = sample().distributions();
        assert_eq!((plots.len(), plots[0].0.as_str(), plots[0].1.len()), (1, "latency", 2));
        let line = &plots[0].1[1];
        assert_eq!(line.points, [(0.0, 120.0), (0.05, 121.0), (0.1, 122.0)]);
        assert_eq!(line.band[2], (0.1, 112.0, 222.0));
    }

    #[test]
    fn base_that_was_zero_once_gives_no_ratio() {
        let runs = vec![run(0, 1, 0.0, &[]), run(1, 1, 5.0, &[]), run(0, 2, 4.0, &[]), run(1, 2, 5.0, &[])];
        let comparison = Comparison::new(vec!["A".to_owned(), "B".to_owned()], 0, 2, runs);
        assert_eq!(comparison.figures[0].ratios, [None, None]);
    }
}
