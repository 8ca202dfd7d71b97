//! The live line: the progress of a phase, its rate and its latency.
//!
//! On standard error and only on a terminal; on one that cannot move its cursor, a plain line each second; elsewhere nothing is printed.
//! Owns the words. Without a terminal, the report at the end says everything.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Goal, Phase, Readings, TICKS_PER_SECOND};
use crate::output::say;
use crate::report::Unit;

pub(super) enum Line {
    Bar(ProgressBar),
    Plain,
    Silent,
}

impl Line {
    pub(super) fn new(phase: &Phase) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Silent;
        }
        if std::env::var_os("TERM").is_none_or(|term| term == "dumb") {
            return Self::Plain;
        }
        let bar = ProgressBar::with_draw_target(Some(phase.end()), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{prefix:<11} [{bar:24}] {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
        bar.set_prefix(phase.name);
        Self::Bar(bar)
    }

    pub(super) fn show(&self, phase: &Phase, readings: &Readings) {
        match self {
            Self::Bar(bar) => {
                bar.set_message(phase.tell(readings));
                bar.set_position(phase.position(readings).min(phase.end()));
            }
            Self::Plain if readings.taken().is_multiple_of(TICKS_PER_SECOND) => {
                say(format_args!("{:<11} {}", phase.name, phase.tell(readings)));
            }
            Self::Plain | Self::Silent => {}
        }
    }

    /// Something that stays, above the line.
    pub(super) fn say(&self, text: &str) {
        match self {
            Self::Bar(bar) => bar.println(text),
            Self::Plain | Self::Silent => say(text),
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

impl Phase {
    /// Where the bar ends: a count, or milliseconds.
    fn end(&self) -> u64 {
        match self.goal {
            Goal::Count(goal) => goal,
            Goal::Time(duration) => duration.as_millis() as u64,
        }
    }

    fn position(&self, readings: &Readings) -> u64 {
        let (seconds, count) = readings.last();
        match self.goal {
            Goal::Count(_) => count,
            Goal::Time(_) => (seconds * 1e3) as u64,
        }
    }

    fn tell(&self, readings: &Readings) -> String {
        let (seconds, count) = readings.last();
        let (noun, rate) = (self.noun, readings.rate_now());
        let mut told = match self.goal {
            Goal::Count(goal) => format!("{count}/{goal} {noun} · {rate:.0} /s"),
            Goal::Time(duration) => {
                format!("{seconds:.0}/{:.0} s · {count} {noun} · {rate:.0} /s", duration.as_secs_f64())
            }
        };
        if let Some(us) = self.p99_us.as_ref().map(|p99_us| p99_us()).filter(|&us| us > 0) {
            told.push_str(&format!(" · p99 {}", Unit::Microseconds.show(us as f64)));
        }
        if let Some(&(_, bytes)) = readings.memory().last() {
            told.push_str(&format!(" · server {:.1} MB", bytes as f64 / 1e6));
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn line_tells_how_far_how_fast_and_how_late() {
        let mut readings = Readings::default();
        (0..=20).for_each(|tick| readings.note_count(f64::from(tick) * 0.1, tick as u64 * 50));
        let timed = Phase::timed("publishing", Duration::from_secs(10), "deliveries", || 0);
        assert_eq!(timed.tell(&readings), "2/10 s · 1000 deliveries · 500 /s");
        let counted = Phase::counted("connecting", 2000, "connections", || 0);
        assert_eq!(counted.tell(&readings), "1000/2000 connections · 500 /s");
        assert_eq!((timed.position(&readings), timed.end()), (2000, 10_000));
        readings.note_memory(1.0, 12_300_000);
        let told = timed.p99(|| 1230).tell(&readings);
        assert_eq!(told, "2/10 s · 1000 deliveries · 500 /s · p99 1.23 ms · server 12.3 MB");
        assert!(!counted.p99(|| 0).tell(&readings).contains("p99"), "nothing has arrived");
    }
}
