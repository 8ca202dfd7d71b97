//! What is counted of the source of apps, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use machines::api_core::exposition::Exposition;

/// How the source of a server is.
#[derive(Debug, Default)]
pub struct UrlCounters {
    failing: AtomicU64,
    apps: AtomicU64,
    asking: AtomicU64,
    found: AtomicU64,
    unknown: AtomicU64,
    late: AtomicU64,
    failed: AtomicU64,
    spared: AtomicU64,
    full: AtomicU64,
}

impl UrlCounters {
    pub(super) fn fails(&self, fails: bool) {
        self.failing.store(fails.into(), Ordering::Relaxed);
    }

    pub(super) fn note_apps(&self, apps: usize) {
        self.apps.store(apps as u64, Ordering::Relaxed);
    }

    pub(super) fn note_asking(&self, questions: usize) {
        self.asking.store(questions as u64, Ordering::Relaxed);
    }

    pub(super) fn add_found(&self) {
        self.found.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add_unknown(&self) {
        self.unknown.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add_late(&self) {
        self.late.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add_failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add_spared(&self) {
        self.spared.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add_full(&self) {
        self.full.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds them to the metrics.
    pub(crate) fn describe(&self, all: &mut Exposition) {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let failing = "1 while the source of apps (apps_url) fails; the apps that it has given stay.";
        all.gauge("apps_url_failing", failing, of(&self.failing));
        all.gauge("apps_url_apps", "Apps that the source has given.", of(&self.apps));
        all.gauge("apps_url_asking", "Unknown apps that it is being asked for.", of(&self.asking));
        let mut answers = all.counters("apps_url_answers_total", "What came of questions to the source.");
        for (outcome, count) in [
            ("found", of(&self.found)),
            ("unknown", of(&self.unknown)),
            ("late", of(&self.late)),
            ("failed", of(&self.failed)),
        ] {
            answers.sample(&[("outcome", outcome)], count as f64);
        }
        all.add(answers);
        let spared = "Questions answered without asking, because there was no such app a moment ago.";
        all.counter("apps_url_spared_total", spared, of(&self.spared));
        let full = "Apps that were found and had no room beside the others.";
        all.counter("apps_url_full_total", full, of(&self.full));
    }
}
