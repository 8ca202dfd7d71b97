//! A comparison for people and programs: table, JSON object, page.
//!
//! Owns which figures get a chart. Adds nothing to what `summary` found.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::median::{show_both_ratios, show_ratio, show_spread};
use super::summary::{Comparison, Figure, Ratio, Spread};
use super::verdict::{self, Verdict};
use crate::failure::Outcome;
use crate::host::Host;
use crate::output::print;
use crate::report::page::{Bar, Bars, Line, MAIN, Page, Plot, host_rows};
use crate::report::series::Series;
use crate::report::{Group, Unit, capitalised, group, heading, table, write_json};

pub(super) fn publish(
    comparison: &Comparison,
    scenario: &[String],
    json: Option<&Path>,
    page: Option<&Path>,
) -> Outcome<()> {
    let title = format!("compare {}", scenario.join(" "));
    print(table(&title, &columns(comparison), &groups(comparison), &comparison.notes()))?;
    print(format_args!("\n{}\n", ratios_explained(comparison)))?;
    for verdict in Verdict::all(comparison) {
        print(format_args!("{}\n", verdict.sentence(comparison)))?;
    }
    if let Some(text) = verdict::explanation(comparison) {
        print(format_args!("{text}\n"))?;
    }
    let host = Host::read();
    if let Some(file) = json {
        write_json(file, &encode(comparison, scenario, &host))?;
    }
    page.map_or(Ok(()), |file| draw(comparison, scenario, &host).write(file))
}

/// The first column is the label; each contender has its figures, and all but the base their ratio.
fn columns(comparison: &Comparison) -> Vec<String> {
    let mut columns = vec![String::new()];
    for (index, name) in comparison.names.iter().enumerate() {
        columns.push(name.clone());
        if index != comparison.base {
            columns.push(format!("÷ {}", comparison.names[comparison.base]));
        }
    }
    columns
}

fn groups(comparison: &Comparison) -> Vec<Group> {
    let told = comparison.figures.iter().filter(|figure| heading(&figure.path) != "load");
    let told = told.filter(|figure| figure.spreads.iter().any(Option::is_some));
    let rows = told.map(|figure| (heading(&figure.path), row(comparison, figure)));
    group(rows.chain(verdict::syscalls_row(comparison).map(|row| ("server", row))))
}

fn row(comparison: &Comparison, figure: &Figure) -> Vec<String> {
    let mut row = vec![figure.label.clone()];
    for (index, (spread, ratio)) in figure.spreads.iter().zip(&figure.ratios).enumerate() {
        row.push(spread.map_or_else(|| "–".to_owned(), |spread| show_spread(spread, figure.unit)));
        if index != comparison.base {
            let ratio = ratio.filter(|_| has_ratio(figure));
            row.push(ratio.map(show_both_ratios).unwrap_or_default());
        }
    }
    row
}

/// A ratio of counts or of ratios says little.
fn has_ratio(figure: &Figure) -> bool {
    !matches!(figure.unit, Unit::Count | Unit::Plain | Unit::Ratio | Unit::Seconds)
}

/// What stands in the columns of ratios.
fn ratios_explained(comparison: &Comparison) -> String {
    format!(
        "÷ {}: the two of each round are compared, and the median of those ratios stands first, with the least and the most; behind \
         «·» is the ratio of the two medians.",
        comparison.names[comparison.base]
    )
}

fn encode(comparison: &Comparison, scenario: &[String], host: &Host) -> Value {
    let by_name = |of: &dyn Fn(&Figure, usize) -> Option<Value>| -> Map<String, Value> {
        let figures = |contender: usize| -> Map<String, Value> {
            let measured =
                comparison.figures.iter().filter_map(|figure| Some((figure, of(figure, contender)?)));
            measured.map(|(figure, value)| (figure.path.clone(), value)).collect()
        };
        let names = comparison.names.iter().enumerate();
        names.map(|(index, name)| (name.clone(), Value::Object(figures(index)))).collect()
    };
    let range = |spread: Spread| json!([spread.least, spread.most]);
    let runs = comparison.runs.iter().map(
        |run| json!({"target": comparison.names[run.contender], "round": run.round, "result": run.json}),
    );
    json!({
        "scenario": "compare",
        "of": scenario,
        "rounds": comparison.rounds,
        "targets": comparison.names,
        "base": comparison.names[comparison.base],
        "medians": by_name(&|figure, one| figure.spreads[one].map(|spread| json!(spread.median))),
        "ranges": by_name(&|figure, one| figure.spreads[one].map(range)),
        "ratios": by_name(&|figure, one| figure.ratios[one].map(Ratio::encode)),
        "floor": verdict::encode(comparison),
        "notes": comparison.notes(),
        "runs": runs.collect::<Vec<_>>(),
        "host": host.encode(),
    })
}

fn draw(comparison: &Comparison, scenario: &[String], host: &Host) -> Page {
    let charted = MAIN.iter().filter_map(|(path, _)| {
        let figure = comparison.figures.iter().find(|figure| figure.path == *path)?;
        bars(comparison, figure).filter(|_| has_ratio(figure))
    });
    Page {
        title: format!("{}, compared", comparison.names.join(", ")),
        lead: format!(
            "{} · {} rounds in turn · medians with the least and the most · {}",
            scenario.join(" "),
            comparison.rounds,
            ratios_explained(comparison)
        ),
        notes: comparison.notes(),
        main: verdict::tiles(comparison),
        explanation: verdict::explanation(comparison).unwrap_or_default(),
        bars: charted.collect(),
        plots: plots(comparison),
        columns: columns(comparison),
        groups: groups(comparison),
        host: host_rows(host),
    }
}

fn bars(comparison: &Comparison, figure: &Figure) -> Option<Bars> {
    let named = comparison.names.iter().zip(&figure.spreads).zip(&figure.ratios);
    let bars: Vec<Bar> = named
        .filter_map(|((name, spread), ratio)| {
            let Spread { median, least, most } = (*spread)?;
            Some(Bar { name: name.clone(), median, least, most, ratio: ratio.map(show_ratio) })
        })
        .collect();
    let hint = match figure.unit {
        Unit::Nanoseconds | Unit::Microseconds | Unit::Bytes => "lower is better",
        Unit::PerSecond => "higher is better",
        Unit::Count | Unit::Plain | Unit::Seconds | Unit::Ratio => "",
    };
    let title = capitalised(&figure.label);
    let has_length = bars.iter().all(|bar| bar.median > 0.0);
    (bars.len() > 1 && has_length).then_some(Bars { title, hint, unit: figure.unit, bars })
}

fn plots(comparison: &Comparison) -> Vec<Plot> {
    let percentiles = comparison
        .distributions()
        .into_iter()
        .map(|(label, lines)| Plot::percentiles(&format!("{} by percentile", capitalised(&label)), lines));
    percentiles.chain(over_time(comparison)).collect()
}

/// The last round only: rounds laid over each other would show nothing.
fn over_time(comparison: &Comparison) -> Vec<Plot> {
    let last = comparison.runs.iter().filter(|run| run.round == comparison.rounds);
    let series: Vec<(usize, Series)> = last
        .flat_map(|run| {
            let all = run.json["series"].as_array().into_iter().flatten();
            all.filter_map(|value| Some((run.contender, Series::parse(value)?)))
        })
        .collect();
    let mut names: Vec<&str> = Vec::new();
    for (_, one) in &series {
        if !names.contains(&one.name.as_str()) {
            names.push(&one.name);
        }
    }
    let plot = |name: &&str| {
        let same: Vec<_> = series.iter().filter(|(_, one)| one.name == **name).collect();
        let unit = same.first()?.1.unit;
        let title = format!("{} over time, in the last round", capitalised(name));
        let line = |(contender, one): &&(usize, Series)| Line {
            name: comparison.names[*contender].clone(),
            ..Line::from(one)
        };
        Some(Plot::over_time(&title, unit, same.iter().map(line).collect()))
    };
    names.iter().filter_map(plot).collect()
}
