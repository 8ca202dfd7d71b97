//! Thousands of seeded schedules of one endpoint against a model: rows, moods of the endpoint, restarts and time.
//!
//! The model knows what was accepted, what died and what is on its way, and holds each step against the rules. What must
//! never happen here: a rule that no schedule can break. A failure names its seed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use protocol::app::App;
use protocol::hook_event::HookEvent;
use protocol::hook_kind::{HookKind, HookKinds};

use super::endpoint_queue::{Action, Burial, EndpointQueue, Now};
use crate::row::{Position, Row};
use crate::settings::{DeliverySettings, Endpoint, Retry, SinkSettings};
use crate::sink::{Batch, Outcome};

const SCHEDULES: u64 = 6_000;
const STEPS: usize = 80;
const UNIX_MS: u64 = 1_700_000_000_000;

/// What an endpoint holds at most here, and behind how many rows it goes on.
const MOST_HELD: usize = 40;
const MOST_BEHIND: usize = 60;

fn new_queue(
    endpoint: &Endpoint,
    delivery: &DeliverySettings,
    place: Position,
    rng: &mut Rng,
) -> EndpointQueue {
    EndpointQueue::new(endpoint, delivery, place, rng.fork()).bounded(MOST_HELD, MOST_BEHIND)
}

#[test]
fn an_endpoint_keeps_its_promises_under_any_schedule() {
    let mut seen = Seen::default();
    for seed in 0..SCHEDULES {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step();
        }
        world.settle();
        seen.add(&world);
    }
    for (what, count) in [
        ("rows", seen.rows),
        ("tries in vain", seen.failures),
        ("dead letters after tries", seen.died_tried),
        ("dead letters without a try", seen.died_untried),
        ("dead letters behind others", seen.died_early),
        ("replays accepted", seen.replayed),
        ("restarts", seen.restarts),
        ("pauses", seen.pauses),
        ("probes", seen.probes),
        ("batches at the same time", seen.side_by_side),
        ("parts of refused batches", seen.parts),
        ("rows that came with some of a refused channel", seen.beside_poison),
        ("batches that the endpoint wants no more", seen.ended),
        ("dead letters that held up others", seen.held_up),
        ("dead letters of a disabled endpoint", seen.disabled),
        ("dead letters after a day", seen.day_died),
        ("batches that the endpoint wants later", seen.later),
    ] {
        assert!(count > 100, "{SCHEDULES} schedules hardly reach {what}: {seen:?}");
    }
}

#[derive(Debug, Default)]
struct Seen {
    rows: u64,
    failures: u64,
    died_tried: u64,
    died_untried: u64,
    died_early: u64,
    replayed: u64,
    restarts: u64,
    pauses: u64,
    probes: u64,
    side_by_side: u64,
    parts: u64,
    beside_poison: u64,
    ended: u64,
    held_up: u64,
    disabled: u64,
    day_died: u64,
    later: u64,
}

/// How the endpoint answers for now.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Mood {
    Well,
    Mixed,
    Refusing,
    Gone,
    /// It wants no batch again.
    Ending,
    /// It wants batches after a while.
    Busy,
}

struct World {
    seed: u64,
    rng: Rng,
    endpoint: Endpoint,
    delivery: DeliverySettings,
    now: Now,
    journal: Vec<Arc<Row>>,
    queue: EndpointQueue,
    mood: Mood,
    is_disabled: bool,
    /// A channel that the endpoint never takes, if there is one.
    poison: Option<String>,
    /// While paused, whether a probe is on its way, and which.
    probing: bool,
    probe: Option<u64>,
    model: Model,
    seen: Seen,
}

#[derive(Default)]
struct Model {
    accepted: BTreeSet<u64>,
    dead: BTreeSet<u64>,
    /// Up to here all is known to be done.
    place: usize,
    letters: BTreeMap<i64, u64>,
    /// Of this run: what is on its way, what was ever sent and when first, and what was accepted.
    sent: BTreeMap<u64, Batch>,
    first: BTreeMap<u64, (u64, Vec<u64>)>,
    tried: BTreeMap<u64, u64>,
    /// What the last try of a batch that was refused had in it, by row.
    refused: BTreeMap<u64, Vec<u64>>,
    accepted_now: BTreeSet<u64>,
    /// Letters that it tries again, and the rows of all that it tried again.
    taken: BTreeSet<i64>,
    replayed_now: BTreeSet<u64>,
    /// Channels of which rows were given up after tries, and none was accepted since.
    failing: BTreeSet<Arc<str>>,
    /// Batches that the endpoint wants no more.
    ended: BTreeSet<u64>,
    /// Rows that it wants later.
    not_before: BTreeMap<u64, u64>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let app = Arc::new(App::new("1", "k", "s"));
        let mut endpoint = Endpoint::new("e", app, SinkSettings::None);
        endpoint.batch_window = Duration::from_millis(rng.u64(0..300));
        endpoint.batch_events_max = rng.usize(1..8);
        endpoint.kinds = HookKinds::NONE.with(HookKind::ChannelOccupied);
        endpoint.channel_prefix = rng.bool().then(|| "c".to_owned());
        endpoint.channel_suffix = rng.bool().then(|| "x".to_owned());
        let delivery = DeliverySettings {
            retry: if rng.u8(0..4) == 0 { Retry::Day } else { Retry::Pusher },
            disable_after: None,
            give_up_after: Duration::from_millis(rng.u64(1_000..30_000)),
            pause_max: Duration::from_millis(rng.u64(500..5_000)),
            strict_endpoints: false,
            in_flight_max: rng.usize(1..5),
            span_bytes_max: u64::MAX,
        };
        let now = Now { steady_ms: 1_000, unix_ms: UNIX_MS };
        let queue = new_queue(&endpoint, &delivery, Position(0, 0), &mut rng);
        let poison = (rng.u8(0..4) == 0).then(|| "c0x".to_owned());
        let (model, seen) = (Model::default(), Seen::default());
        let journal = Vec::new();
        Self {
            seed,
            rng,
            endpoint,
            delivery,
            now,
            journal,
            queue,
            mood: Mood::Well,
            is_disabled: false,
            poison,
            probing: false,
            probe: None,
            model,
            seen,
        }
    }

    fn step(&mut self) {
        match self.rng.u8(0..20) {
            0..=5 => self.happen(),
            6..=10 => self.read(),
            11..=15 => self.answer(),
            16 if self.rng.u8(0..8) == 0 => self.switch(),
            16 => self.change_mood(),
            17 => self.replay(),
            18 if self.rng.u8(0..6) == 0 => self.restart(),
            _ => self.wait(),
        }
        self.poll();
    }

    fn happen(&mut self) {
        for _ in 0..self.rng.usize(1..12) {
            let (app, channel) = (Arc::clone(&self.endpoint.app), self.channel());
            let event = if self.rng.u8(0..8) == 0 {
                HookEvent::ChannelVacated { app, channel }
            } else {
                HookEvent::ChannelOccupied { app, channel }
            };
            let id = self.journal.len() as u64 + 1;
            self.journal.push(Arc::new(Row { id, time_ms: self.now.unix_ms, event }));
        }
    }

    fn channel(&mut self) -> Arc<str> {
        let (start, end) =
            (*self.rng.choice(&["c", "c", "c", "d"]).unwrap(), *self.rng.choice(&["x", "x", "y"]).unwrap());
        format!("{start}{}{end}", self.rng.u8(0..4)).into()
    }

    fn read(&mut self) {
        let rows = self.rng.usize(1..20);
        let from = self.queue.read().0 as usize;
        if !self.queue.has_room(rows) {
            return;
        }
        for row in self.journal.iter().skip(from).take(rows) {
            self.queue.handle_row(Position(row.id, 0), row, self.now);
        }
    }

    fn answer(&mut self) {
        let flights: Vec<u64> = self.model.sent.keys().copied().collect();
        let Some(flight) = self.rng.choice(flights) else { return };
        let batch = self.model.sent.remove(&flight).unwrap();
        let outcome = self.outcome_of(&batch);
        if outcome == Outcome::Done {
            self.check_acceptance(&batch);
            self.model.failing.retain(|channel| batch.rows.iter().all(|row| row.event.channel() != channel));
        } else {
            self.seen.failures += 1;
        }
        if matches!(outcome, Outcome::Ended(_)) {
            self.model.ended.insert(flight);
        }
        if let Outcome::Later(_, pause) = &outcome {
            let wait_ms = (pause.as_millis() as u64).min(self.wait_max_ms());
            let until_ms = self.now.steady_ms + wait_ms;
            self.model.not_before.extend(batch.rows.iter().map(|row| (row.id, until_ms)));
            self.seen.later += 1;
        }
        if outcome != Outcome::Done {
            let ids: Vec<u64> = batch.rows.iter().map(|row| row.id).collect();
            self.model.refused.extend(ids.iter().map(|id| (*id, ids.clone())));
        }
        self.queue.handle_outcome(flight, outcome, self.now);
        self.probing &= self.probe != Some(flight) && self.queue.is_paused();
        for letter in self.queue.take_replayed() {
            assert!(self.model.taken.remove(&letter), "{self}: {letter} was not to be tried again");
            self.model.letters.remove(&letter);
            self.seen.replayed += 1;
        }
        self.check_place();
    }

    fn outcome_of(&mut self, batch: &Batch) -> Outcome {
        let is_poisoned = batch.rows.iter().any(|row| Some(&**row.event.channel()) == self.poison.as_deref());
        let refused = || Outcome::Refused("500".to_owned());
        let gone = || Outcome::Unreachable("gone".to_owned());
        match (self.mood, self.rng.u8(0..3)) {
            (Mood::Gone, _) => gone(),
            (Mood::Refusing, _) => refused(),
            (Mood::Ending, 0) => Outcome::Ended("410".to_owned()),
            (Mood::Busy, 0 | 1) => {
                Outcome::Later("503".to_owned(), Duration::from_millis(self.rng.u64(0..10_000)))
            }
            _ if is_poisoned => {
                if self.seed.is_multiple_of(2) {
                    gone()
                } else {
                    refused()
                }
            }
            (Mood::Mixed, 0) => gone(),
            (Mood::Mixed, 1) => refused(),
            _ => Outcome::Done,
        }
    }

    /// All that came before on the same channel was accepted, or has died.
    fn check_acceptance(&mut self, batch: &Batch) {
        for row in &batch.rows {
            let before = self.journal.iter().take(row.id as usize - 1);
            for earlier in before.filter(|earlier| earlier.event.channel() == row.event.channel()) {
                let is_done =
                    self.model.accepted.contains(&earlier.id) || self.model.dead.contains(&earlier.id);
                assert!(
                    is_done || !self.wants(earlier),
                    "{self}: {} is accepted before {}",
                    row.id,
                    earlier.id
                );
            }
            self.model.accepted.insert(row.id);
            let is_first =
                self.model.accepted_now.insert(row.id) || self.model.replayed_now.contains(&row.id);
            assert!(is_first, "{self}: {} is accepted twice", row.id);
        }
    }

    fn wants(&self, row: &Row) -> bool {
        let channel = row.event.channel();
        row.event.kind() == HookKind::ChannelOccupied
            && self.endpoint.channel_prefix.as_ref().is_none_or(|_| channel.starts_with('c'))
            && self.endpoint.channel_suffix.as_ref().is_none_or(|_| channel.ends_with('x'))
    }

    fn check_place(&mut self) {
        let place = self.queue.place().0 as usize;
        for row in self.journal.iter().take(place).skip(self.model.place).filter(|row| self.wants(row)) {
            let is_done = self.model.accepted.contains(&row.id) || self.model.dead.contains(&row.id);
            assert!(is_done, "{self}: the place is behind {}, which is lost", row.id);
        }
        self.model.place = place;
    }

    fn change_mood(&mut self) {
        self.mood = *self
            .rng
            .choice(&[
                Mood::Well,
                Mood::Well,
                Mood::Mixed,
                Mood::Refusing,
                Mood::Gone,
                Mood::Gone,
                Mood::Ending,
                Mood::Busy,
            ])
            .unwrap();
    }

    /// The endpoint is disabled, or enabled again.
    fn switch(&mut self) {
        self.is_disabled = !self.is_disabled;
        if self.is_disabled {
            self.queue.disable("disabled".into());
        } else {
            self.queue.enable();
        }
        self.probing = false;
    }

    fn replay(&mut self) {
        if self.is_disabled {
            return;
        }
        let held = self.model.letters.clone();
        let Some((letter, id)) = held.into_iter().find(|(letter, _)| !self.model.taken.contains(letter))
        else {
            return;
        };
        self.model.taken.insert(letter);
        self.model.replayed_now.insert(id);
        let row = Arc::clone(&self.journal[id as usize - 1]);
        self.queue.handle_replay(letter, row, self.now);
    }

    /// A new process goes on at the place that was released last, here the one of this moment.
    fn restart(&mut self) {
        let place = self.queue.place();
        self.queue = new_queue(&self.endpoint, &self.delivery, place, &mut self.rng);
        self.is_disabled = false;
        self.model.sent.clear();
        self.probing = false;
        self.model.first.clear();
        self.model.tried.clear();
        self.model.refused.clear();
        self.model.ended.clear();
        self.model.not_before.clear();
        self.model.accepted_now.clear();
        self.model.taken.clear();
        self.model.replayed_now.clear();
        self.seen.restarts += 1;
    }

    fn wait(&mut self) {
        let ms = match self.queue.deadline_ms() {
            Some(deadline_ms) if self.rng.bool() => deadline_ms.saturating_sub(self.now.steady_ms),
            _ => self.rng.u64(0..2_000),
        };
        self.now.steady_ms += ms;
        self.now.unix_ms += ms;
    }

    fn poll(&mut self) {
        let was_paused = self.queue.is_paused();
        while let Some(action) = self.queue.poll(self.now) {
            match action {
                Action::Send { flight, batch } => {
                    assert!(!self.is_disabled, "{self}: sent although it is disabled");
                    assert!(!(was_paused && self.probing), "{self}: a second probe");
                    self.probing = was_paused;
                    self.seen.probes += u64::from(was_paused);
                    self.probe = was_paused.then_some(flight);
                    self.check_send(flight, batch);
                }
                Action::Bury { flight, burial } => self.handle_burial(flight, &burial),
            }
        }
        self.seen.pauses += u64::from(was_paused);
        let deadline_ms = self.queue.deadline_ms();
        assert!(
            deadline_ms.is_none_or(|ms| ms > self.now.steady_ms),
            "{self}: due at {deadline_ms:?} and idle"
        );
        self.check_place();
    }

    fn check_send(&mut self, flight: u64, batch: Batch) {
        let ids: Vec<u64> = batch.rows.iter().map(|row| row.id).collect();
        assert!(!ids.is_empty() && ids.len() <= self.endpoint.batch_events_max, "{self}: {ids:?}");
        assert!(batch.rows.iter().all(|row| self.wants(row)), "{self}: not wanted: {ids:?}");
        let channels = |batch: &Batch| -> BTreeSet<Arc<str>> {
            batch.rows.iter().map(|row| Arc::clone(row.event.channel())).collect()
        };
        for other in self.model.sent.values() {
            assert!(channels(other).is_disjoint(&channels(&batch)), "{self}: a channel is on its way twice");
        }
        for id in &ids {
            let until_ms = self.model.not_before.remove(id).unwrap_or(0);
            assert!(self.now.steady_ms >= until_ms, "{self}: {id} is tried before {until_ms} ms");
        }
        let known = self.model.first.get(&flight).cloned();
        let is_first = batch.tries == 0;
        let is_part = known.is_none() && ids.iter().any(|id| self.model.refused.contains_key(id));
        if is_part && !is_first {
            self.check_part(&batch, &ids);
        }
        let known = known.unwrap_or_else(|| (batch.time_ms, ids.clone()));
        assert_eq!((known.0, &known.1), (batch.time_ms, &ids), "seed {}: a batch changed", self.seed);
        self.model.first.insert(flight, known);
        for id in ids.into_iter().filter(|_| is_first) {
            self.model.tried.insert(id, self.now.steady_ms);
        }
        assert!(self.model.sent.insert(flight, batch).is_none(), "{self}: sent while on its way");
        assert!(self.model.sent.len() <= self.delivery.in_flight_max, "{self}: too many at once");
        self.seen.side_by_side += u64::from(self.model.sent.len() > 1);
    }

    /// A batch that was refused comes in parts, and all rows of a channel that it had are in one of them.
    fn check_part(&mut self, batch: &Batch, ids: &[u64]) {
        let whole = &self.model.refused[&ids[0]];
        assert!(ids.iter().all(|id| whole.contains(id)), "{self}: {ids:?} are no part of {whole:?}");
        let channel = |id: &u64| self.journal[*id as usize - 1].event.channel();
        for id in whole.iter().filter(|id| !ids.contains(id)) {
            let is_apart = batch.rows.iter().all(|row| row.event.channel() != channel(id));
            assert!(is_apart, "{self}: {id} is parted from its channel in {ids:?}");
        }
        self.seen.parts += 1;
    }

    fn handle_burial(&mut self, flight: u64, burial: &Burial) {
        let give_up_after_ms = self.give_up_after_ms();
        if self.is_disabled {
            self.seen.disabled += 1;
        } else if self.model.ended.remove(&flight) {
            self.seen.ended += 1;
        } else if burial.reason.contains("given up early") {
            self.check_held_up(burial);
        } else if self.delivery.retry == Retry::Day && burial.tries >= 8 {
            self.model.failing.extend(burial.rows.iter().map(|(row, _)| Arc::clone(row.event.channel())));
            self.seen.day_died += 1;
        } else if burial.tries > 0 {
            let first_ms = burial.rows.iter().map(|(row, _)| self.model.tried[&row.id]).max().unwrap();
            let tried_long = self.now.steady_ms >= first_ms + give_up_after_ms;
            assert!(tried_long || self.stood_behind_dead(burial), "{self}: gave up too early");
            self.model.failing.extend(burial.rows.iter().map(|(row, _)| Arc::clone(row.event.channel())));
            self.seen.died_tried += 1;
            self.seen.died_early += u64::from(!tried_long);
        } else {
            let happened_ms =
                burial.rows.iter().filter(|(_, letter)| letter.is_none()).map(|(row, _)| row.time_ms).max();
            let age_ms = happened_ms.map(|ms| self.now.unix_ms - ms);
            assert!(age_ms.is_none_or(|ms| ms >= give_up_after_ms), "{self}: gave up a young row");
            self.seen.died_untried += 1;
        }
        for (row, letter) in &burial.rows {
            self.model.dead.insert(row.id);
            let letter = letter.unwrap_or(row.id as i64);
            self.model.letters.insert(letter, row.id);
        }
        self.model.not_before.retain(|id, _| burial.rows.iter().all(|(row, _)| row.id != *id));
        for letter in burial.rows.iter().filter_map(|(_, letter)| *letter) {
            assert!(self.model.taken.remove(&letter), "{self}: {letter} was not to be tried again");
        }
        self.queue.handle_buried(flight);
    }

    fn wait_max_ms(&self) -> u64 {
        match self.delivery.retry {
            Retry::Pusher => self.delivery.pause_max.as_millis() as u64,
            Retry::Day => 3_600_000,
        }
    }

    fn give_up_after_ms(&self) -> u64 {
        match self.delivery.retry {
            Retry::Pusher => self.delivery.give_up_after.as_millis() as u64,
            Retry::Day => 28 * 3_600_000,
        }
    }

    /// What is given up early was tried again while others were accepted, and holds up as much as an endpoint may hold.
    fn check_held_up(&mut self, burial: &Burial) {
        assert!(burial.tries > 1 && !self.model.accepted_now.is_empty(), "{self}: gave up early");
        let holds_much =
            self.queue.held_rows() + MOST_HELD / 2 > MOST_HELD || self.journal.len() > MOST_BEHIND;
        assert!(holds_much, "{self}: gave up early with {} rows", self.queue.held_rows());
        self.seen.held_up += 1;
    }

    /// True if all its rows are old enough to be given up, and stood behind others of their channels that were.
    fn stood_behind_dead(&self, burial: &Burial) -> bool {
        let give_up_after_ms = self.give_up_after_ms();
        burial.rows.iter().all(|(row, letter)| {
            let is_old = letter.is_some() || self.now.unix_ms - row.time_ms >= give_up_after_ms;
            is_old && self.model.failing.contains(row.event.channel())
        })
    }

    /// Rows of a channel that is refused, with others among them that must pass. None where these may be given up before
    /// what was refused until now is found out.
    fn happen_beside_poison(&mut self) -> Vec<u64> {
        let is_refused = self.poison.is_some() && !self.seed.is_multiple_of(2);
        if !is_refused
            || self.delivery.retry == Retry::Pusher && self.delivery.give_up_after < Duration::from_secs(27)
        {
            return Vec::new();
        }
        let mut beside = Vec::new();
        for channel in ["c0x", "c1x", "c0x", "c2x", "c3x", "c0x", "c1x"] {
            let id = self.journal.len() as u64 + 1;
            let event =
                HookEvent::ChannelOccupied { app: Arc::clone(&self.endpoint.app), channel: channel.into() };
            self.journal.push(Arc::new(Row { id, time_ms: self.now.unix_ms, event }));
            beside.extend((channel != "c0x").then_some(id));
        }
        beside
    }

    /// The endpoint is well from now on, and there is time.
    fn settle(&mut self) {
        self.mood = Mood::Well;
        if self.is_disabled {
            self.switch();
        }
        let beside = self.happen_beside_poison();
        for _ in 0..20_000 {
            self.read();
            self.poll();
            self.answer();
            self.poll();
            let is_read = self.queue.read().0 as usize == self.journal.len();
            if is_read && self.queue.held_rows() == 0 {
                break;
            }
            if self.model.sent.is_empty() {
                self.wait();
            }
        }
        for id in &beside {
            assert!(
                self.model.accepted.contains(id),
                "{self}: {id} was held back by a channel that is refused"
            );
        }
        self.seen.beside_poison = beside.len() as u64;
        self.seen.rows = self.journal.len() as u64;
        assert_eq!(self.queue.held_rows(), 0, "{self}: rows are left");
        assert_eq!(self.queue.channels(), 0, "{self}: idle channels are kept");
        assert_eq!(self.queue.place().0 as usize, self.journal.len(), "{self}: the place is not at the end");
        self.check_place();
    }
}

impl std::fmt::Display for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "seed {} at {} ms", self.seed, self.now.steady_ms)
    }
}

impl Seen {
    fn add(&mut self, world: &World) {
        let Self {
            rows,
            failures,
            died_tried,
            died_untried,
            died_early,
            replayed,
            restarts,
            pauses,
            probes,
            side_by_side,
            parts,
            beside_poison,
            ended,
            held_up,
            disabled,
            day_died,
            later,
        } = &world.seen;
        self.rows += rows;
        self.failures += failures;
        self.died_tried += died_tried;
        self.died_untried += died_untried;
        self.died_early += died_early;
        self.replayed += replayed;
        self.restarts += restarts;
        self.pauses += pauses;
        self.probes += probes;
        self.side_by_side += side_by_side;
        self.parts += parts;
        self.beside_poison += beside_poison;
        self.ended += ended;
        self.held_up += held_up;
        self.disabled += disabled;
        self.day_died += day_died;
        self.later += later;
    }
}
