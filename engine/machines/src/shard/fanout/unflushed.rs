//! How much any one outbox can have gained since a write was last tried for it: an upper bound that costs a delivery
//! nothing.
//!
//! Time goes in rounds. A round ends when each outbox that was dirty at its start has had an attempt, so a dirty outbox
//! was queued in this round or in the one before. Of a round it is enough to know the most bytes that one topic had and
//! the most subscriptions that one of its takers has: nobody gained more than their product. What a subscription has
//! gained that goes must be counted elsewhere ([`Gain::bytes_of`]), or who comes and goes would gain unseen.
//! Ranges are bounded in the same way, for those who wait for a tick: they neither come nor go without being written.

/// What outboxes have gained in this round and the one before.
#[derive(Debug, Default)]
pub(super) struct Gain {
    round: u32,
    now: Round,
    before: Round,
}

/// What one topic's subscribers have gained of it. Part of the topic; brought up to date when it has an event.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TopicGain {
    round: u32,
    now: Gained,
    before: Gained,
}

/// What a subscription has gained in a round.
#[derive(Clone, Copy, Debug, Default)]
struct Gained {
    bytes: u32,
    ranges: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Round {
    topic_bytes_max: u64,
    topic_ranges_max: u64,
    /// Of all topics together.
    ranges: u64,
    subscriptions_max: u64,
}

impl Gain {
    /// Nobody is dirty.
    pub(super) fn clear(&mut self) {
        self.end_round();
        self.before = Round::default();
    }

    /// Everybody who was dirty when this round began has had an attempt.
    pub(super) fn end_round(&mut self) {
        self.round = self.round.wrapping_add(1);
        self.before = std::mem::take(&mut self.now);
    }

    /// A connection with so many subscriptions gets what a topic has from now on.
    pub(super) fn taken_by(&mut self, subscriptions: usize) {
        self.now.subscriptions_max = self.now.subscriptions_max.max(subscriptions as u64);
    }

    /// An event of so many bytes for the subscribers of a topic.
    pub(super) fn decided(&mut self, topic: &mut TopicGain, bytes: usize) {
        *topic = topic.in_round(self.round);
        topic.now.bytes = topic.now.bytes.saturating_add(bytes as u32);
        self.now.topic_bytes_max = self.now.topic_bytes_max.max(u64::from(topic.now.bytes));
    }

    /// Subscribers of a topic, or one of them, get another range.
    pub(super) fn opened(&mut self, topic: &mut TopicGain) {
        *topic = topic.in_round(self.round);
        topic.now.ranges = topic.now.ranges.saturating_add(1);
        self.now.topic_ranges_max = self.now.topic_ranges_max.max(u64::from(topic.now.ranges));
        self.now.ranges += 1;
    }

    /// The most that any one outbox can have gained, in bytes, of subscriptions that are still there.
    pub(super) fn bytes_max(&self) -> u64 {
        self.now.bytes_max().saturating_add(self.before.bytes_max())
    }

    /// The most ranges of events that any one outbox can have gained.
    pub(super) fn ranges_max(&self) -> u64 {
        self.now.ranges_max().saturating_add(self.before.ranges_max())
    }

    /// The most that a subscription to this topic can have gained, in bytes.
    pub(super) fn bytes_of(&self, topic: TopicGain) -> u64 {
        let topic = topic.in_round(self.round);
        u64::from(topic.now.bytes) + u64::from(topic.before.bytes)
    }
}

impl TopicGain {
    fn in_round(self, round: u32) -> Self {
        match round.wrapping_sub(self.round) {
            0 => self,
            1 => Self { round, now: Gained::default(), before: self.now },
            _ => Self { round, ..Self::default() },
        }
    }
}

impl Round {
    fn bytes_max(self) -> u64 {
        self.topic_bytes_max.saturating_mul(self.subscriptions_max)
    }

    fn ranges_max(self) -> u64 {
        self.topic_ranges_max.saturating_mul(self.subscriptions_max).min(self.ranges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_gains_more_than_its_subscriptions_times_the_loudest_topic() {
        let (mut gain, mut loud, mut quiet) = (Gain::default(), TopicGain::default(), TopicGain::default());
        gain.taken_by(1);
        gain.taken_by(3);
        gain.decided(&mut loud, 100);
        gain.decided(&mut quiet, 10);
        gain.decided(&mut loud, 100);
        assert_eq!((gain.bytes_max(), gain.bytes_of(loud), gain.bytes_of(quiet)), (600, 200, 10));
    }

    #[test]
    fn a_round_counts_until_the_next_one_ends() {
        let (mut gain, mut topic) = (Gain::default(), TopicGain::default());
        gain.taken_by(2);
        gain.decided(&mut topic, 100);
        gain.end_round();
        assert_eq!((gain.bytes_max(), gain.bytes_of(topic)), (200, 100));
        gain.taken_by(1);
        gain.decided(&mut topic, 7);
        assert_eq!((gain.bytes_max(), gain.bytes_of(topic)), (207, 107));
        gain.end_round();
        assert_eq!((gain.bytes_max(), gain.bytes_of(topic)), (7, 7));
        gain.end_round();
        assert_eq!((gain.bytes_max(), gain.bytes_of(topic)), (0, 0));
    }

    #[test]
    fn nobody_has_more_ranges_than_its_subscriptions_times_the_topic_with_most_nor_than_all_topics() {
        let (mut gain, mut busy, mut quiet) = (Gain::default(), TopicGain::default(), TopicGain::default());
        gain.taken_by(2);
        (0..3).for_each(|_| gain.opened(&mut busy));
        assert_eq!(gain.ranges_max(), 3);
        (0..4).for_each(|_| gain.opened(&mut quiet));
        assert_eq!(gain.ranges_max(), 7);
        gain.taken_by(1);
        gain.end_round();
        gain.opened(&mut busy);
        assert_eq!(gain.ranges_max(), 7, "nobody has taken what came in this round");
        gain.taken_by(1);
        assert_eq!(gain.ranges_max(), 8);
    }

    #[test]
    fn a_topic_that_was_silent_for_long_has_nothing_of_its_last_round() {
        let (mut gain, mut topic) = (Gain::default(), TopicGain::default());
        gain.decided(&mut topic, 100);
        (0..5).for_each(|_| gain.end_round());
        gain.taken_by(1);
        gain.decided(&mut topic, 3);
        assert_eq!((gain.bytes_max(), gain.bytes_of(topic)), (3, 3));
    }
}
