//! The conditions under which figures were measured, as part of a report.
//!
//! Owns the labels and the notes; the verdict itself is that of `measure::verdict`.

use super::{Report, Unit};
use crate::measure::verdict::Verdict;
use crate::proc::Spent;

impl Report {
    /// Under which conditions the other figures came about, and what that means for them.
    pub(crate) fn conditions(&mut self, verdict: &Verdict) {
        self.generator_figures(verdict);
        self.generator_notes(verdict);
        self.figure("server.wait_ratio", "server waited for a core", verdict.server_wait_ratio, Unit::Ratio);
        verdict.server.iter().for_each(|server| self.server_switches(server));
        if verdict.server_waited() {
            self.note("The server waited for its core: others ran there, or its threads share one.");
        }
        if verdict.shares_cores {
            self.note(
                "Server and generator may run on the same cores: pin both with taskset to compare servers.",
            );
        }
    }

    fn generator_figures(&mut self, verdict: &Verdict) {
        let late = verdict.generator.late;
        self.figure("generator.cpu_ratio", "generator CPU", verdict.cpu_ratio, Unit::Ratio);
        self.count("generator.late_sends", "generator late sends", late.sends);
        self.figure(
            "generator.late_max_us",
            "generator latest send",
            late.max_ns as f64 / 1e3,
            Unit::Microseconds,
        );
        self.figure(
            "generator.busy_ratio_max",
            "generator busy or without a core, worst second",
            verdict.busy_max(),
            Unit::Ratio,
        );
        self.flag("generator.late", "generator sent late", verdict.is_late());
        self.flag("generator.bottleneck", "generator was the bottleneck", verdict.was_bottleneck());
    }

    fn generator_notes(&mut self, verdict: &Verdict) {
        if verdict.is_busy() {
            self.note("The generator used up its CPU: it, not the server, may have set rates and latencies.");
        }
        if verdict.was_closed_for_its_own_slowness() {
            self.note(format!(
                "The server closed {} subscribers as too slow (4100) while the generator had no time left to read: its sockets were slow, \
                 not the server. What those subscribers lost, and latencies, say little about the server. Give the generator more cores \
                 (--threads), or less to read: fewer --connections, a lower --rate, a smaller --size.",
                verdict.generator.closed_as_slow
            ));
        }
        if verdict.is_late() {
            let why = if verdict.was_bottleneck() {
                "It had no time left: it, not the server, may have set rates and latencies."
            } else {
                "It had time enough, but got its core late: other programs ran there, or it was stopped."
            };
            self.note(format!(
                "The generator sent late: what was late counts from when it was sent, not from when it was due. {why}"
            ));
        }
    }

    fn server_switches(&mut self, server: &Spent) {
        let system = (server.total_ns > 0).then(|| server.system_ns as f64 / server.total_ns as f64);
        self.figure("server.system_ratio", "server CPU, in the kernel", system, Unit::Ratio);
        self.count("server.voluntary_switches", "server switches, asleep", server.voluntary_switches);
        self.count("server.involuntary_switches", "server switches, sent off", server.involuntary_switches);
    }
}
