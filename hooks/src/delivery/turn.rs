//! The dispatcher's thread: read, decide, hand over, write down, release, and wait for what comes first.
//!
//! It waits in one place only, for an outcome, a wake, a stop or a deadline. What must never happen here: a wait for an
//! endpoint.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, bounded, never, select};

use super::dead_letter_queue::DeadLetterQueue;
use super::endpoint_queue::Now;
use super::endpoint_state::EndpointState;
use super::means::Means;
use super::source_reader::SourceReader;
use super::start_error::StartError;
use super::workers::{Delivered, Workers};
use crate::counters::DeliveryCounters;
use crate::settings::DeliverySettings;
use crate::source::Source;

/// How often the source is looked at although it said nothing.
const LOOK_EVERY_MS: u64 = 1_000;

pub(crate) struct Dispatch<S> {
    reader: SourceReader<S>,
    endpoints: Vec<EndpointState>,
    dead_letters: DeadLetterQueue,
    counters: Arc<DeliveryCounters>,
    delivered: Receiver<Delivered>,
    wake: Receiver<()>,
    stopping: Receiver<Duration>,
    /// When to end although something is on its way.
    stop_at_ms: Option<u64>,
    look_at_ms: u64,
    began: Instant,
}

impl<S: Source> Dispatch<S> {
    pub(crate) fn new(
        source: S,
        wake: Receiver<()>,
        stopping: Receiver<Duration>,
        means: Means,
    ) -> Result<Self, StartError> {
        let Means { outlets, delivery, dead_letters, apps, counters } = means;
        assert!(counters.endpoints.len() == outlets.len(), "each endpoint has its counters");
        let in_flight_max: usize = outlets.iter().map(|(_, outlet)| outlet.parallel_max).sum();
        let (sender, delivered) = bounded(in_flight_max.max(1));
        let endpoints = outlets.into_iter().enumerate().map(|(index, (endpoint, outlet))| {
            let in_flight_max = delivery.in_flight_max.min(outlet.parallel_max);
            let delivery = DeliverySettings { in_flight_max, ..delivery.of(&endpoint) };
            let workers = Workers::new(index, &endpoint.name, outlet, sender.clone());
            EndpointState::new(endpoint, workers, delivery)
        });
        let mut endpoints: Vec<EndpointState> = endpoints.collect();
        let dead_letters = DeadLetterQueue::new(dead_letters, apps)?;
        dead_letters.begin(&mut endpoints)?;
        Ok(Self {
            reader: SourceReader::new(source),
            endpoints,
            dead_letters,
            counters,
            delivered,
            wake,
            stopping,
            stop_at_ms: None,
            look_at_ms: 0,
            began: Instant::now(),
        })
    }

    pub(crate) fn run(mut self) {
        loop {
            let now = self.now();
            self.look(now);
            let more = self.reader.read(&mut self.endpoints, now);
            self.advance(now);
            self.dead_letters.write(&mut self.endpoints, &self.counters, now);
            self.dead_letters.disable(&mut self.endpoints, now);
            self.dead_letters.replay(&mut self.endpoints, now);
            self.dead_letters.note_statuses(&self.endpoints, now);
            self.reader.release(&self.endpoints, now, false);
            self.count();
            if self.is_over(now, more) {
                return self.reader.release(&self.endpoints, now, true);
            }
            self.wait(if more { now.steady_ms } else { self.deadline_ms() });
        }
    }

    fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { steady_ms: self.began.elapsed().as_millis() as u64, unix_ms: unix.as_millis() as u64 }
    }

    /// Once in a while everything is looked at, in case that nobody said anything.
    fn look(&mut self, now: Now) {
        if now.steady_ms < self.look_at_ms {
            return;
        }
        self.look_at_ms = now.steady_ms + LOOK_EVERY_MS;
        self.handle_wake();
        for endpoint in &mut self.endpoints {
            endpoint.trim(Instant::now());
        }
    }

    fn handle_wake(&mut self) {
        for endpoint in &mut self.endpoints {
            endpoint.handle_wake();
        }
    }

    fn advance(&mut self, now: Now) {
        let instant = Instant::now();
        for (index, (endpoint, counters)) in
            self.endpoints.iter_mut().zip(&self.counters.endpoints).enumerate()
        {
            endpoint.advance(now, instant, counters, |flight, burial| {
                self.dead_letters.bury(index, flight, burial);
            });
        }
    }

    fn count(&mut self) {
        for (endpoint, counters) in self.endpoints.iter_mut().zip(&self.counters.endpoints) {
            endpoint.count(counters);
        }
        self.counters.source_failing.set(u64::from(self.reader.is_failing()));
    }

    fn is_over(&self, now: Now, more: bool) -> bool {
        let Some(stop_at_ms) = self.stop_at_ms else { return false };
        now.steady_ms >= stop_at_ms || !more && self.endpoints.iter().all(EndpointState::is_quiet)
    }

    fn deadline_ms(&self) -> u64 {
        let endpoints = self.endpoints.iter().filter_map(EndpointState::deadline_ms);
        let others = [Some(self.look_at_ms), Some(self.dead_letters.deadline_ms()), self.stop_at_ms];
        let reader = self.reader.deadline_ms(&self.endpoints);
        endpoints.chain(others.into_iter().flatten()).chain(reader).min().unwrap_or(self.look_at_ms)
    }

    fn wait(&mut self, deadline_ms: u64) {
        let now = self.now();
        let patience = Duration::from_millis(deadline_ms.saturating_sub(now.steady_ms));
        select! {
            recv(self.delivered) -> delivered => {
                if let Ok(delivered) = delivered {
                    self.handle_delivered(delivered);
                }
            }
            recv(self.wake) -> woken => {
                match woken {
                    Ok(()) => self.handle_wake(),
                    Err(_) => self.wake = never(),
                }
            }
            recv(self.stopping) -> patience => self.handle_stop(patience.unwrap_or_default()),
            default(patience) => {}
        }
        while let Ok(delivered) = self.delivered.try_recv() {
            self.handle_delivered(delivered);
        }
    }

    fn handle_delivered(&mut self, delivered: Delivered) {
        let now = self.now();
        let Delivered { endpoint, flight, rows, outcome } = delivered;
        debug_assert!(endpoint < self.endpoints.len(), "a delivery is of an endpoint");
        if let (Some(endpoint), Some(counters)) =
            (self.endpoints.get_mut(endpoint), self.counters.endpoints.get(endpoint))
        {
            endpoint.handle_delivered(flight, rows, outcome, now, Instant::now(), counters);
        }
    }

    /// Everything that was committed before this was said is read once more.
    fn handle_stop(&mut self, patience: Duration) {
        self.stop_at_ms = Some(self.now().steady_ms + patience.as_millis() as u64);
        self.stopping = never();
        self.handle_wake();
        self.endpoints.iter_mut().for_each(EndpointState::flush);
    }
}
