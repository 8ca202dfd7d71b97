//! What is known of a server, as it was told last.

use std::collections::VecDeque;

use super::told::{App, Channel, News, Sample, Slow};
use crate::limits::TOP_HISTORY_MAX;

/// Everything.
#[derive(Debug)]
pub(super) struct State {
    url: String,
    pub(super) sample: Option<Sample>,
    pub(super) deliveries: VecDeque<u64>,
    pub(super) apps: Option<Vec<App>>,
    /// None: not asked yet. An error says why they are not told.
    pub(super) channels: Option<Result<Vec<Channel>, String>>,
    pub(super) slow: Option<Result<Vec<Slow>, String>>,
    /// Why nothing comes now.
    pub(super) fault: Option<String>,
}

impl State {
    /// Nothing is known.
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            sample: None,
            deliveries: VecDeque::new(),
            apps: None,
            channels: None,
            slow: None,
            fault: None,
        }
    }

    /// The server.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// True when there is something of each kind.
    pub(super) fn is_whole(&self) -> bool {
        self.sample.is_some() && self.apps.is_some() && self.channels.is_some() && self.slow.is_some()
    }

    /// Something came.
    pub(super) fn take(&mut self, news: News) {
        match news {
            News::History(samples) => samples.into_iter().for_each(|sample| self.take_sample(sample)),
            News::Sample(sample) => self.take_sample(sample),
            News::Apps(apps) => self.apps = Some(apps),
            News::Channels(channels) => self.channels = Some(channels),
            News::Slow(slow) => self.slow = Some(slow),
            News::Fault(why) | News::Ended(why) => self.fault = Some(why),
        }
    }

    fn take_sample(&mut self, sample: Sample) {
        self.fault = None;
        if self.deliveries.len() >= TOP_HISTORY_MAX {
            self.deliveries.pop_front();
        }
        self.deliveries.push_back(sample.deliveries_per_s as u64);
        self.sample = Some(sample);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_there_when_each_kind_has_come_and_a_sample_ends_a_fault() {
        let mut state = State::new("u");
        state.take(News::Fault("gone".to_owned()));
        assert!(state.fault.is_some());
        let kinds = [
            News::History(vec![Sample::default()]),
            News::Apps(Vec::new()),
            News::Channels(Err("not told".to_owned())),
            News::Slow(Ok(Vec::new())),
        ];
        for news in kinds {
            assert!(!state.is_whole());
            state.take(news);
        }
        assert!(state.is_whole() && state.fault.is_none());
    }
}
