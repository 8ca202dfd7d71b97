//! Which channel the n-th event of a run goes to, and which number it has there.
//!
//! Owns the order of channels: in turn, or at random from a seed. Pure and repeatable, so that nothing is remembered per event:
//! what was refused is found again by counting once more. With one channel, numbers of the run and of the channel are the same.

use crate::measure::ledger::Promise;

pub(crate) struct ChannelSequence {
    /// For each channel, the number of its next event.
    next: Vec<u64>,
    /// At random; in turn without a seed.
    seed: Option<u64>,
}

impl ChannelSequence {
    pub(crate) fn new(channels: usize, seed: Option<u64>) -> Self {
        assert!(channels > 0, "an event goes to a channel");
        Self { next: vec![0; channels], seed }
    }

    /// Channel and number in it of event `sequence`; to be asked once for each, in order.
    pub(crate) fn place(&mut self, sequence: u64) -> (usize, u64) {
        let channel = self.channel_of(sequence);
        let number = self.next[channel];
        self.next[channel] += 1;
        (channel, number)
    }

    /// What each channel's subscribers can expect; `excused` are numbers of the run, sorted.
    pub(crate) fn promises(&self, sent: u64, excused: &[u64]) -> Vec<Promise> {
        let mut promises: Vec<_> =
            self.next.iter().map(|&sent| Promise { sent, excused: Vec::new() }).collect();
        if excused.is_empty() {
            return promises;
        }
        let mut again = Self::new(self.next.len(), self.seed);
        let mut excused = excused.iter().copied().peekable();
        for sequence in 0..sent {
            let (channel, number) = again.place(sequence);
            if excused.next_if_eq(&sequence).is_some() {
                promises[channel].excused.push(number);
            }
        }
        promises
    }

    fn channel_of(&self, sequence: u64) -> usize {
        let picked = self.seed.map_or(sequence, |seed| scramble(seed ^ sequence));
        (picked % self.next.len() as u64) as usize
    }
}

/// SplitMix64: neighbours become strangers.
fn scramble(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_served_in_turn_or_at_random_and_count_for_themselves() {
        let mut turns = ChannelSequence::new(3, None);
        let places: Vec<_> = (0..5).map(|sequence| turns.place(sequence)).collect();
        assert_eq!(places, [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1)]);
        let mut random = ChannelSequence::new(10, Some(7));
        (0..10_000).for_each(|sequence| assert!(random.place(sequence).0 < 10));
        assert!(random.next.iter().all(|&count| (800..1200).contains(&count)), "{:?}", random.next);
    }

    #[test]
    fn refused_events_are_found_again_in_their_channels() {
        for seed in [None, Some(99)] {
            let mut channel_sequence = ChannelSequence::new(4, seed);
            let places: Vec<_> = (0..100).map(|sequence| channel_sequence.place(sequence)).collect();
            let refused = [3, 4, 50, 99];
            let promises = channel_sequence.promises(100, &refused);
            for (channel, promise) in promises.iter().enumerate() {
                let expected: Vec<u64> = refused
                    .iter()
                    .map(|&sequence| places[sequence as usize])
                    .filter_map(|(of, number)| (of == channel).then_some(number))
                    .collect();
                assert_eq!(promise.excused, expected);
                assert_eq!(promise.sent, places.iter().filter(|place| place.0 == channel).count() as u64);
            }
        }
    }
}
