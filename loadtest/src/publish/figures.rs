//! The results of publishing, as figures of a report.
//!
//! Owns their paths in the JSON and their labels, so that all scenarios that publish report them alike.

use super::Publisher;
use crate::report::Report;

impl Publisher {
    pub(crate) fn report(&self, report: &mut Report) {
        let (results, sends) = (self.results(), self.sends());
        report.count("publishes.sent", "events published", self.sent());
        report.count("publishes.accepted", "events accepted", results.accepted);
        report.count("publishes.refused", "events refused", results.refused);
        report.count("publishes.unanswered", "events without an answer", results.unanswered);
        report.count("publishes.withheld", "events not sent for lack of room", sends.withheld);
        report.count("publishes.held", "calls that waited for the server", sends.held);
        report.flag("publishes.keep_alive", "server keeps publishing connections", self.keeps_connections());
        report.flag("publishes.pipelined", "publishes pipelined", self.is_pipelined());
        if !results.refusals.is_empty() {
            let named = results.refusals.iter().map(|(status, count)| format!("{count} × HTTP {status}"));
            report.note(format!("Calls refused: {}", named.collect::<Vec<_>>().join(", ")));
        }
        if sends.stalls > 0 {
            report.note(format!(
                "The closed loop stood still for 2 s, {} times: events are lost or late.",
                sends.stalls
            ));
        }
    }
}
