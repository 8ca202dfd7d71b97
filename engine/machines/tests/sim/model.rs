//! What must be true of a schedule: the order of each channel as its home makes it, and what each client must
//! have seen of it. Knows nothing of how shards work.

use std::collections::{BTreeMap, BTreeSet};

use corecast_machines::mesh::{Found, listed_bytes};
use protocol::socket_id::SocketId;

use crate::client::{Channel, Client, Seen};
use crate::remembered::{Kept, Remembered, is_cached};

/// What a home did to a channel.
#[derive(Clone, Debug)]
pub enum Done {
    Occupied,
    Vacated,
    Added(String),
    Removed(String),
    Online,
    Offline,
    /// An event, and how it is remembered if it is.
    Event {
        id: u64,
        except: Option<SocketId>,
        of_client: bool,
        kept: Kept,
    },
    /// Its subscribers were told how many they are.
    Counted(u64),
    /// Subscribers of a cache channel got this event, or heard that there is none.
    Replayed(Option<u64>),
}

/// One thing that happened on a channel, in the home shard's order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Item {
    Event { id: u64, except: Option<SocketId> },
    Added(String),
    Removed(String),
    Counted(u64),
    Replayed(Option<u64>),
}

#[derive(Debug)]
pub struct Model {
    remembered: Remembered,
    order: BTreeMap<String, Vec<Item>>,
    occupied: BTreeMap<String, bool>,
    /// Events of the API core: channel, step at which it was accepted, whom it leaves out.
    published: BTreeMap<u64, (String, u64, Option<SocketId>)>,
    /// Lists of channels that were asked for and not answered.
    lists: BTreeMap<u64, List>,
}

/// A list of the channels of one home, while it is made.
#[derive(Debug)]
pub struct List {
    /// The channels that it may name.
    pub asked: BTreeSet<String>,
    pub bytes_max: usize,
    /// Those of them that were occupied all the time.
    always: BTreeSet<String>,
    /// Those of them that were occupied at any time.
    ever: BTreeSet<String>,
}

/// What an outsider sees of one channel.
pub struct Expected {
    pub subscriptions: u64,
    pub users: u32,
}

impl Model {
    pub fn new(remembered: Remembered) -> Self {
        Self {
            remembered,
            order: BTreeMap::new(),
            occupied: BTreeMap::new(),
            published: BTreeMap::new(),
            lists: BTreeMap::new(),
        }
    }

    /// What cache channels remember.
    pub fn remembered(&self) -> &Remembered {
        &self.remembered
    }

    pub fn publish(&mut self, id: u64, channel: &str, step: u64, except: Option<SocketId>) {
        self.published.insert(id, (channel.to_owned(), step, except));
    }

    /// A home is asked for those of these channels that are occupied.
    pub fn list(&mut self, id: u64, asked: BTreeSet<String>, bytes_max: usize) {
        let is_occupied = |name: &&String| self.occupied.get(*name).copied().unwrap_or(false);
        let now: BTreeSet<String> = asked.iter().filter(is_occupied).cloned().collect();
        self.lists.insert(id, List { asked, bytes_max, always: now.clone(), ever: now });
    }

    /// What came of it.
    pub fn listed(&mut self, id: u64, found: &Found) -> Result<(), String> {
        let list = self.lists.remove(&id).ok_or_else(|| format!("list {id} is answered twice"))?;
        let bytes = |names: &BTreeSet<String>| names.iter().map(|name| listed_bytes(name)).sum::<usize>();
        let channels = match found {
            Found::Channels(channels) => channels,
            Found::ChannelsTooLong if bytes(&list.ever) > list.bytes_max => return Ok(()),
            Found::Busy => return Ok(()),
            other => return Err(format!("{other:?} answers {list:?}")),
        };
        let names: BTreeSet<String> = channels.iter().map(|(name, _)| name.to_string()).collect();
        let right = names.len() == channels.len()
            && names.is_superset(&list.always)
            && names.is_subset(&list.ever)
            && bytes(&names) <= list.bytes_max;
        if right { Ok(()) } else { Err(format!("{channels:?} answers {list:?}")) }
    }

    /// Lists that were not answered.
    pub fn lists_open(&self) -> usize {
        self.lists.len()
    }

    /// What a home has done to a channel, now.
    pub fn done(&mut self, home: usize, channel: &str, done: &Done, now_ms: u64) -> Result<(), String> {
        let item = match done {
            Done::Occupied => return self.edge(channel, true),
            Done::Vacated => return self.edge(channel, false),
            Done::Online | Done::Offline => return Ok(()),
            Done::Added(user) => Item::Added(user.clone()),
            Done::Removed(user) => Item::Removed(user.clone()),
            // Nobody is there to hear it.
            Done::Counted(0) => return Ok(()),
            Done::Counted(subscriptions) => Item::Counted(*subscriptions),
            Done::Replayed(replayed) => {
                let remembered = self.remembered.of(channel, now_ms).map(|(id, _)| id);
                if *replayed != remembered {
                    return Err(format!(
                        "{replayed:?} was replayed on {channel}, which remembers {remembered:?}"
                    ));
                }
                Item::Replayed(*replayed)
            }
            Done::Event { id, except, .. } => match self.published.get(id) {
                Some((of, ..)) if of != channel => {
                    return Err(format!("event {id} of {of} came to {channel}"));
                }
                Some((_, _, left_out)) if left_out != except => {
                    return Err(format!("event {id} leaves out {except:?}"));
                }
                _ => Item::Event { id: *id, except: *except },
            },
        };
        let order = self.order.entry(channel.to_owned()).or_default();
        if matches!(item, Item::Event { .. }) && order.contains(&item) {
            return Err(format!("{item:?} was handled twice on {channel}"));
        }
        order.push(item);
        if let Done::Event { id, of_client: false, kept, .. } = done {
            self.remembered.take(home, channel, *id, *kept, now_ms);
        }
        let roster = roster(order)?;
        if !roster.is_empty() && !self.occupied.get(channel).copied().unwrap_or(false) {
            return Err(format!("{channel} is vacated and has members {roster:?}"));
        }
        Ok(())
    }

    fn edge(&mut self, channel: &str, occupied: bool) -> Result<(), String> {
        let before = self.occupied.insert(channel.to_owned(), occupied).unwrap_or(false);
        if before == occupied {
            return Err(format!("{channel}: occupied = {occupied} twice in a row"));
        }
        for list in self.lists.values_mut().filter(|list| list.asked.contains(channel)) {
            if occupied {
                list.ever.insert(channel.to_owned());
            } else {
                list.always.remove(channel);
            }
        }
        Ok(())
    }

    /// Everything has come to rest: each client has seen what it had to.
    pub fn check(&self, clients: &[Client], expected: &BTreeMap<String, Expected>) -> Result<(), String> {
        for (number, client) in clients.iter().enumerate() {
            for (name, channel) in &client.channels {
                self.check_channel(client, name, channel)
                    .map_err(|why| format!("client {number} ({:?}) on {name}: {why}", client.socket_id))?;
            }
        }
        for (id, (channel, ..)) in &self.published {
            let handled = self.order.get(channel).is_some_and(|order| {
                order.iter().any(|item| matches!(item, Item::Event { id: of, .. } if of == id))
            });
            if !handled {
                return Err(format!("event {id} never came to the home of {channel}"));
            }
        }
        for (channel, expected) in expected {
            let users = self.order.get(channel).map_or(Ok(BTreeSet::new()), |order| roster(order))?;
            if users.len() as u32 != expected.users {
                return Err(format!("{channel} has {users:?} in its roster, and {} users", expected.users));
            }
            if self.occupied.get(channel).copied().unwrap_or(false) != (expected.subscriptions > 0) {
                return Err(format!("{channel} has {} subscriptions, wrong edge", expected.subscriptions));
            }
        }
        Ok(())
    }

    /// Everybody has left.
    pub fn check_empty(&self) -> Result<(), String> {
        for (channel, order) in &self.order {
            let roster = roster(order)?;
            if !roster.is_empty() {
                return Err(format!("{roster:?} stay in the roster of {channel}"));
            }
        }
        match self.occupied.iter().find(|(_, occupied)| **occupied) {
            Some((channel, _)) => Err(format!("{channel} is never vacated")),
            None => Ok(()),
        }
    }

    fn check_channel(&self, client: &Client, name: &str, channel: &Channel) -> Result<(), String> {
        let none = Vec::new();
        let order = self.order.get(name).unwrap_or(&none);
        let mine: Vec<(usize, &Item)> =
            order.iter().enumerate().filter(|(_, item)| !leaves_out(item, client)).collect();
        let spans = spans(&channel.seen, is_cached(name))?;
        if spans.len() > channel.accepted {
            return Err(format!("{} acknowledgements of {} subscriptions", spans.len(), channel.accepted));
        }
        let last = spans.last().map(|span| span.step);
        if channel.wanted && !client.leaving && last.is_none_or(|step| step < channel.asked_at) {
            return Err("its last subscription was never acknowledged".into());
        }
        let mut from = 0;
        for (index, span) in spans.iter().enumerate() {
            let open = index + 1 == spans.len() && channel.wanted && !client.leaving;
            from = self.place(name, order, &mine, span, from, open)?;
        }
        Ok(())
    }

    /// Finds the part of the channel's order that a span shows; returns where it ends.
    fn place(
        &self,
        name: &str,
        order: &[Item],
        mine: &[(usize, &Item)],
        span: &Span<'_>,
        from: usize,
        open: bool,
    ) -> Result<usize, String> {
        let latest = if open { self.must_begin_by(name, mine, span.step) } else { mine.len() };
        let candidates: Vec<usize> = (from..=mine.len())
            .filter(|start| start + span.items.len() <= mine.len())
            .filter(|start| mine[*start..].iter().zip(&span.items).all(|((_, item), seen)| same(item, seen)))
            .collect();
        if candidates.is_empty() {
            return Err(format!("saw {:?}, which is no part of {mine:?} from {from}", span.items));
        }
        for start in candidates {
            let end = start + span.items.len();
            if open && (end != mine.len() || start > latest) {
                continue;
            }
            let roster_fits = span.members.is_none_or(|members| {
                let upto = mine.get(start).map_or(order.len(), |(at, _)| *at);
                // Between what this client gets, others may have happened that it is left out of, but no members.
                roster(&order[..upto]).is_ok_and(|roster| roster == members.iter().collect())
            });
            let upto = mine.get(start).map_or(order.len(), |(at, _)| *at);
            let from = start.checked_sub(1).and_then(|before| mine.get(before)).map_or(0, |(at, _)| at + 1);
            let replay_fits = match &span.replay {
                Some(replay) => order[from..upto].contains(&Item::Replayed(*replay)),
                // A connection that is closed may not get it any more.
                None => !is_cached(name) || !open,
            };
            if replay_fits && (roster_fits || (!open && span.items.is_empty())) {
                return Ok(end);
            }
        }
        Err(format!(
            "saw {:?} with members {:?} and replay {:?} (open: {open}, from step {}), which does not fit {order:?}",
            span.items, span.members, span.replay, span.step
        ))
    }

    /// Whatever was accepted after the acknowledgement had been seen must be within the span.
    fn must_begin_by(&self, name: &str, mine: &[(usize, &Item)], step: u64) -> usize {
        let later = |item: &Item| {
            let Item::Event { id, .. } = item else { return false };
            self.published.get(id).is_some_and(|(channel, accepted, _)| channel == name && *accepted > step)
        };
        mine.iter().position(|(_, item)| later(item)).unwrap_or(mine.len())
    }
}

struct Span<'a> {
    step: u64,
    members: Option<&'a Vec<String>>,
    /// What came right behind the acknowledgement on a cache channel: an event, or that there is none.
    replay: Option<Option<u64>>,
    items: Vec<&'a Seen>,
}

fn spans(seen: &[Seen], cached: bool) -> Result<Vec<Span<'_>>, String> {
    let mut spans: Vec<Span<'_>> = Vec::new();
    let mut replay_is_next = false;
    for item in seen {
        let is_replay = std::mem::take(&mut replay_is_next);
        match (item, spans.last_mut()) {
            (Seen::Event(id), Some(span)) if is_replay => span.replay = Some(Some(*id)),
            (Seen::Missed, Some(span)) if is_replay => span.replay = Some(None),
            _ => {}
        }
        match item {
            Seen::Succeeded { members, step } => {
                replay_is_next = cached;
                spans.push(Span { step: *step, members: members.as_ref(), replay: None, items: Vec::new() });
            }
            _ if is_replay && spans.last().is_some_and(|span| span.replay.is_some()) => {}
            other => spans
                .last_mut()
                .ok_or_else(|| format!("{other:?} before any acknowledgement"))?
                .items
                .push(other),
        }
    }
    Ok(spans)
}

fn same(item: &Item, seen: &Seen) -> bool {
    match (item, seen) {
        (Item::Event { id, .. }, Seen::Event(of)) => id == of,
        (Item::Counted(one), Seen::Counted(other)) => one == other,
        (Item::Added(user), Seen::Added(of)) | (Item::Removed(user), Seen::Removed(of)) => user == of,
        _ => false,
    }
}

fn leaves_out(item: &Item, client: &Client) -> bool {
    match item {
        Item::Event { except, .. } => except.is_some() && client.socket_id == *except,
        // That stands beside its acknowledgement.
        Item::Replayed(_) => true,
        Item::Added(_) | Item::Removed(_) | Item::Counted(_) => false,
    }
}

fn roster(order: &[Item]) -> Result<BTreeSet<&String>, String> {
    let mut roster = BTreeSet::new();
    for item in order {
        let fits = match item {
            Item::Added(user) => roster.insert(user),
            Item::Removed(user) => roster.remove(user),
            Item::Event { .. } | Item::Counted(_) | Item::Replayed(_) => true,
        };
        if !fits {
            return Err(format!("{item:?} does not fit the roster {roster:?}"));
        }
    }
    Ok(roster)
}
