//! The modelled Redis: what it holds, and its scripts, each of which is one step. What it says to nodes has the bytes that the
//! real scripts write.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use corecast_machines::cluster::answer::Value;
use corecast_machines::cluster::call::{Call, Since};
use corecast_machines::cluster::command::{COMMAND_BYTES, Command};
use corecast_machines::cluster::epoch::Epoch;
use corecast_machines::cluster::event_data::decode_event;
use corecast_machines::cluster::item::Entry;
use corecast_machines::cluster::parts::push_part;

pub type Name = Vec<u8>;
pub type User = String;
/// A channel, or a member of it.
pub type Level = (Name, Option<User>);
type Field = (Vec<u8>, Vec<u8>);

/// How long a level must be gone before it is told, in milliseconds.
const GRACE_MS: u64 = 3000;
/// When what may not be told yet is tried again.
const RETRY_MS: u64 = 1000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    Live,
    Closed,
    Dead,
}

#[derive(Clone, Debug)]
pub struct Registered {
    pub standing: Standing,
    pub beat: u64,
    pub done: u64,
    pub cut: bool,
    room: i64,
    out: u64,
    next: u64,
    pub inbox: VecDeque<Entry>,
    pub holds: BTreeSet<Level>,
    /// When it has beaten.
    beaten_ms: u64,
    /// It was retired by its own node.
    pub retired: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Topic {
    pub links: BTreeMap<Epoch, u64>,
    pub users: BTreeMap<User, (BTreeSet<Epoch>, String)>,
    pub cached: Option<(Vec<u8>, u64)>,
    pub told: bool,
    pub members_told: BTreeSet<User>,
}

/// All that is gone when it restarts empty.
#[derive(Clone, Debug, Default)]
pub struct Data {
    pub nodes: BTreeMap<Epoch, Registered>,
    pub topics: BTreeMap<Name, Topic>,
    pub due: BTreeMap<Level, u64>,
    pub edges: VecDeque<(Level, bool)>,
    /// Orders to all nodes, with their times.
    orders: Vec<(u64, Vec<u8>)>,
}

/// A user that was taken out of a roster, by whose epoch.
#[derive(Clone, Debug)]
pub struct Removal {
    pub topic: Name,
    pub user: User,
    pub epoch: Epoch,
    pub retired: bool,
}

/// A rule of the scripts, to be broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// Commands of a session that is closed or dead are not carried out.
    Fence,
    /// A session whose beat has changed is not called dead.
    Compare,
    /// A session that begins closes the one before it.
    Close,
    /// A command is carried out once, whatever comes again.
    Numbers,
    /// A session goes on only with the same memory.
    Identity,
    /// What a session holds is known.
    Holds,
    /// A user goes when the last of its sessions goes.
    LastSession,
    /// Hooks hear that the members have gone before they hear that the channel is vacated.
    VacatedLast,
    /// Hooks hear that the channel is occupied before they hear of members.
    OccupiedFirst,
    /// What is due is told only if it is so.
    Levels,
    /// What has no room among the edges is told later.
    Full,
    /// A session whose inbox has no room for an entry is over.
    Cut,
    /// Only the dead are swept.
    Mark,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Fence,
        Self::Compare,
        Self::Close,
        Self::Numbers,
        Self::Identity,
        Self::Holds,
        Self::LastSession,
        Self::VacatedLast,
        Self::OccupiedFirst,
        Self::Levels,
        Self::Full,
        Self::Cut,
        Self::Mark,
    ];
}

pub struct Server {
    /// The rule that does not hold.
    pub broken: Option<Rule>,
    pub data: Data,
    /// Another number: another process with another memory.
    pub identity: u64,
    pub born_ms: u64,
    pub now_ms: u64,
    inbox_bytes_max: i64,
    edges_max: usize,
    /// By topic, the numbers of the events that were carried out, in order; and how often each was.
    pub log: BTreeMap<Name, Vec<u64>>,
    pub carried_out: BTreeMap<u64, u32>,
    pub removals: Vec<Removal>,
    pub fault: Option<String>,
    pub killed: u64,
    pub cuts: u64,
    pub orders: u64,
    /// Numbers of subscribers that were not told for want of room.
    pub untold_counts: u64,
    out: Vec<(Epoch, Vec<Field>)>,
}

/// Whether hooks hear of it.
fn is_channel(name: &[u8]) -> bool {
    name.starts_with(b"1/c")
}

/// A slice, behind the cursor of the next one.
fn slice_of<T>(all: &[T], cursor: u64, slice: u64) -> (Value, &[T]) {
    let from = all.len().min(cursor as usize);
    let to = all.len().min(from + slice as usize);
    let next = if to == all.len() { 0 } else { to };
    (Value::Bytes(next.to_string().into_bytes()), &all[from..to])
}

/// The number of an event, from its bytes.
pub fn number_of(frame: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(frame);
    let is_number = |at: &usize| text[at + 1..].starts_with(|it: char| it.is_ascii_digit());
    let from = text.match_indices('#').map(|(at, _)| at).find(is_number).expect("an event has a number") + 1;
    text[from..].chars().take_while(char::is_ascii_digit).collect::<String>().parse().expect("a number")
}

impl Server {
    pub fn new(inbox_bytes_max: u64, edges_max: usize) -> Self {
        Self {
            broken: None,
            data: Data::default(),
            identity: 1,
            born_ms: 0,
            now_ms: 0,
            inbox_bytes_max: inbox_bytes_max as i64,
            edges_max,
            log: BTreeMap::new(),
            carried_out: BTreeMap::new(),
            removals: Vec::new(),
            fault: None,
            killed: 0,
            cuts: 0,
            orders: 0,
            untold_counts: 0,
            out: Vec::new(),
        }
    }

    /// Another process, with this memory.
    pub fn restart(&mut self, data: Data) {
        self.data = data;
        self.identity += 1;
        self.born_ms = self.now_ms;
        // What it knows of a topic may be older than the log.
        self.log.values_mut().for_each(|log| log.push(0));
    }

    fn holds(&self, rule: Rule) -> bool {
        self.broken != Some(rule)
    }

    fn identity(&self) -> Vec<u8> {
        format!("id{}", self.identity).into_bytes()
    }

    fn is_live(&self, epoch: Epoch) -> bool {
        let fence = self.holds(Rule::Fence);
        self.data.nodes.get(&epoch).is_some_and(|it| (it.standing == Standing::Live && !it.cut) || !fence)
    }

    /// Carries out a script.
    pub fn call(&mut self, call: &Call) -> Value {
        let answer = self.carry_out(call);
        self.flush();
        answer
    }

    fn carry_out(&mut self, call: &Call) -> Value {
        let word = |word: &str| Value::Bytes(word.into());
        match call {
            Call::Register { epoch, old, since, .. } => {
                self.register(*epoch, *old);
                let since_ms = match since {
                    Since::Clock(ms) => *ms,
                    Since::Ago(ms) => self.now_ms.saturating_sub(*ms),
                };
                let missed = self.data.orders.iter().filter(|(at_ms, _)| *at_ms >= since_ms);
                let missed = missed.map(|(_, order)| Value::Bytes(order.clone()));
                let head = [Value::Bytes(self.identity()), Value::Number(self.now_ms as i64)];
                Value::Array(head.into_iter().chain(missed).collect())
            }
            Call::Hello { epoch, identity } => {
                let is_same = **identity == *self.identity() || !self.holds(Rule::Identity);
                let goes_on = self.is_live(*epoch) && is_same;
                if goes_on { Value::Number(self.data.nodes[epoch].done as i64) } else { word("GONE") }
            }
            Call::Commands { epoch, .. } | Call::Beat { epoch, .. } if !self.is_live(*epoch) => {
                word("FENCED")
            }
            Call::Commands { epoch, first, commands } => self.commands(*epoch, *first, commands),
            Call::Beat { epoch, .. } => self.beat(*epoch),
            Call::Kill { epoch, beat } => Value::Number(self.kill(*epoch, *beat)),
            Call::Sweep { epoch, slice } => Value::Number(self.sweep(*epoch, *slice)),
            Call::Due { slice } => {
                self.tell_due(*slice);
                Value::Number(self.data.due.len() as i64)
            }
            Call::Ack { epoch, entry, bytes } => {
                if let Some(node) = self.data.nodes.get_mut(epoch)
                    && *bytes > node.out
                {
                    node.inbox.retain(|it| it.number > *entry);
                    node.room += (*bytes - node.out) as i64;
                    node.out = *bytes;
                }
                Value::Number(0)
            }
            Call::Counts { except, topic, cached } => {
                let (mut values, of) = (self.counts(topic, except), self.data.topics.get(&**topic));
                let event =
                    of.and_then(|it| it.cached.as_ref()).filter(|(_, ends_ms)| *ends_ms > self.now_ms);
                if let Some((event, ends_ms)) = event.filter(|_| *cached) {
                    values
                        .extend([Value::Bytes(event.clone()), Value::Number((ends_ms - self.now_ms) as i64)]);
                }
                Value::Array(values)
            }
            Call::List { except, app, prefix, cursor, slice } => {
                let beginning = [app, &b"/c"[..], prefix.as_bytes()].concat();
                let all = self.data.topics.keys().filter(|name| name.starts_with(&beginning));
                let all: Vec<_> = all.cloned().collect();
                let (next, some) = slice_of(&all, *cursor, *slice);
                let of_channel = |name: &Name| {
                    let counts = self.counts(name, except);
                    let is_empty = counts[0] == Value::Number(0);
                    let channel = Value::Bytes(name[app.len() + 2..].to_vec());
                    if is_empty { vec![] } else { [vec![channel], counts].concat() }
                };
                Value::Array([vec![next], some.iter().flat_map(of_channel).collect()].concat())
            }
            Call::Users { topic, cursor, slice } => {
                let of = self.data.topics.get(&**topic);
                let all = of.into_iter().flat_map(|it| it.users.keys());
                let all: Vec<_> = all.map(|user| Value::Bytes(user.clone().into_bytes())).collect();
                let (next, some) = slice_of(&all, *cursor, *slice);
                Value::Array([vec![next], some.to_vec()].concat())
            }
        }
    }

    fn counts(&self, topic: &[u8], except: &[Epoch]) -> Vec<Value> {
        let of = self.data.topics.get(topic);
        let links = of.into_iter().flat_map(|it| &it.links).filter(|(epoch, _)| !except.contains(epoch));
        let users = of.map_or(0, |it| it.users.len());
        vec![Value::Number(links.map(|(_, count)| *count as i64).sum()), Value::Number(users as i64)]
    }

    fn register(&mut self, epoch: Epoch, old: Option<Epoch>) {
        let closes = self.holds(Rule::Close);
        if let Some(node) = old.and_then(|old| self.data.nodes.get_mut(&old))
            && closes
            && node.standing == Standing::Live
        {
            node.standing = Standing::Closed;
            node.inbox.clear();
        }
        let node = Registered {
            standing: Standing::Live,
            beat: 0,
            done: 0,
            cut: false,
            room: self.inbox_bytes_max,
            out: 0,
            next: 0,
            inbox: VecDeque::new(),
            holds: BTreeSet::new(),
            beaten_ms: self.now_ms,
            retired: false,
        };
        self.data.nodes.insert(epoch, node);
    }

    fn beat(&mut self, epoch: Epoch) -> Value {
        let (now_ms, mut waits) = (self.now_ms, 0);
        if let Some(node) = self.data.nodes.get_mut(&epoch) {
            node.beat += 1;
            node.beaten_ms = now_ms;
            waits = self.inbox_bytes_max - node.room;
        }
        let all = self.data.nodes.iter().flat_map(|(epoch, node)| {
            let dead = i64::from(node.standing == Standing::Dead);
            [Value::Bytes(epoch.to_string().into()), Value::Number(node.beat as i64), Value::Number(dead)]
        });
        Value::Array(vec![
            Value::Number(now_ms as i64),
            Value::Number(waits),
            Value::Array(all.collect()),
            Value::Array(Vec::new()),
        ])
    }

    fn kill(&mut self, epoch: Epoch, beat: u64) -> i64 {
        let (now_ms, born_ms) = (self.now_ms, self.born_ms);
        let compares = self.holds(Rule::Compare);
        let named = self.data.nodes.get_mut(&epoch);
        let Some(node) = named.filter(|node| node.beat == beat || !compares) else { return 0 };
        let since_ms = now_ms - node.beaten_ms.max(born_ms).min(now_ms);
        if node.standing == Standing::Live && since_ms < 3 * 2500 {
            self.fault.get_or_insert_with(|| format!("{epoch} is called dead {since_ms} ms after its beat"));
        }
        node.standing = Standing::Dead;
        self.killed += 1;
        1
    }

    fn sweep(&mut self, epoch: Epoch, slice: u64) -> i64 {
        let Some(node) = self.data.nodes.get(&epoch) else { return 0 };
        if node.standing != Standing::Dead && self.holds(Rule::Mark) {
            return 0;
        }
        // Any order will do; links first is the hardest.
        let mut levels: Vec<Level> = node.holds.iter().cloned().collect();
        levels.sort_by_key(|(_, user)| user.is_some());
        for (topic, user) in levels.into_iter().take(slice as usize) {
            self.leave(&topic, user.as_ref(), epoch);
        }
        let left = self.data.nodes[&epoch].holds.len();
        if left == 0 {
            self.data.nodes.remove(&epoch);
        }
        left as i64
    }

    fn commands(&mut self, epoch: Epoch, first: u64, commands: &[Command]) -> Value {
        let done = self.data.nodes[&epoch].done;
        let done = if self.holds(Rule::Numbers) { done } else { first - 1 };
        if first > done + 1 {
            self.fault.get_or_insert_with(|| format!("command {first} of {epoch} after {done}"));
            return Value::Bytes(b"GAP".to_vec());
        }
        let mut last = done;
        for (number, command) in (first..).zip(commands) {
            if number > done {
                self.command(epoch, command);
                last = number;
            }
        }
        if let Some(node) = self.data.nodes.get_mut(&epoch) {
            node.done = last;
        }
        Value::Number(last as i64)
    }

    fn command(&mut self, epoch: Epoch, command: &Command) {
        match command {
            Command::Join { topic, link, subscriptions } => self.join(epoch, topic, *link, *subscriptions),
            Command::Count { topic, subscriptions: 0 } => self.leave(topic, None, epoch),
            Command::Count { topic, subscriptions } => {
                let link = self.data.topics.get_mut(&**topic).and_then(|it| it.links.get_mut(&epoch));
                if let Some(count) = link {
                    *count = *subscriptions;
                    self.tell_elsewhere(topic, Some(epoch));
                }
            }
            Command::Enter { topic, member, ticket, force, members_max } => {
                let info = member.user_info.as_deref().unwrap_or("");
                self.enter(epoch, topic, &member.user_id, info, *ticket, *force, *members_max);
            }
            Command::Exit { topic, user_id } => self.leave(topic, Some(&user_id.to_string()), epoch),
            Command::Publish { topic, data, cache_ms } => self.publish(topic, data, *cache_ms),
            Command::Retire { epoch: old } => {
                if let Some(node) = self.data.nodes.get_mut(old) {
                    (node.standing, node.retired) = (Standing::Dead, true);
                }
            }
            Command::Order(order) => {
                self.data.orders.push((self.now_ms, order.to_vec()));
                self.orders += 1;
                for epoch in self.data.nodes.keys().copied().collect::<Vec<_>>() {
                    self.to(epoch, b"A".to_vec(), order.to_vec());
                }
            }
        }
    }

    fn join(&mut self, epoch: Epoch, name: &[u8], link: u64, subscriptions: u64) {
        let topic = self.data.topics.entry(name.to_vec()).or_default();
        topic.links.insert(epoch, subscriptions);
        self.hold(epoch, name, None);
        self.rise(name, None);
        let elsewhere = self.tell_elsewhere(name, Some(epoch));
        let now_ms = self.now_ms;
        let topic = &self.data.topics[name];
        let cached = topic.cached.as_ref().filter(|(_, ends_ms)| *ends_ms > now_ms);
        let mut value = Vec::new();
        push_part(&mut value, link.to_string().as_bytes());
        push_part(&mut value, elsewhere.to_string().as_bytes());
        let ttl_ms = cached.map_or(0, |(_, ends_ms)| ends_ms - now_ms);
        push_part(&mut value, ttl_ms.to_string().as_bytes());
        push_part(&mut value, cached.map_or(&[], |(data, _)| data));
        for (user, (_, info)) in &topic.users {
            push_part(&mut value, user.as_bytes());
            push_part(&mut value, info.as_bytes());
        }
        self.to(epoch, [b"J", name].concat(), value);
    }

    #[expect(clippy::too_many_arguments, reason = "those of the command")]
    fn enter(
        &mut self,
        epoch: Epoch,
        name: &[u8],
        user: &str,
        info: &str,
        ticket: u64,
        force: bool,
        max: u64,
    ) {
        let topic = self.data.topics.entry(name.to_vec()).or_default();
        let mut answer = Vec::new();
        push_part(&mut answer, user.as_bytes());
        answer.extend_from_slice(ticket.to_string().as_bytes());
        let is_new = !topic.users.contains_key(user);
        if is_new && !force && topic.users.len() as u64 >= max {
            self.tidy(name);
            return self.to(epoch, [b"R", name].concat(), answer);
        }
        let of_user =
            topic.users.entry(user.to_owned()).or_insert_with(|| (BTreeSet::new(), info.to_owned()));
        of_user.0.insert(epoch);
        self.hold(epoch, name, Some(user));
        self.rise(name, None);
        self.rise(name, Some(user));
        if is_new {
            let mut value = Vec::new();
            push_part(&mut value, user.as_bytes());
            value.extend_from_slice(info.as_bytes());
            self.emit(name, b'+', &value);
        }
        self.to(epoch, [b"E", name].concat(), answer);
    }

    fn publish(&mut self, name: &[u8], data: &[u8], cache_ms: u64) {
        let number = number_of(decode_event(data).expect("an event").frame.as_bytes());
        *self.carried_out.entry(number).or_default() += 1;
        if self.carried_out[&number] > 1 {
            self.fault.get_or_insert_with(|| format!("event {number} is carried out twice"));
        }
        self.log.entry(name.to_vec()).or_default().push(number);
        if cache_ms > 0 {
            let ends_ms = self.now_ms + cache_ms;
            self.data.topics.entry(name.to_vec()).or_default().cached = Some((data.to_vec(), ends_ms));
        }
        self.emit(name, b'P', data);
    }

    fn leave(&mut self, name: &[u8], user: Option<&User>, epoch: Epoch) {
        let (mut retired, last_only) = (false, self.holds(Rule::LastSession));
        if let Some(node) = self.data.nodes.get_mut(&epoch) {
            node.holds.remove(&(name.to_vec(), user.cloned()));
            retired = node.retired;
        }
        let Some(topic) = self.data.topics.get_mut(name) else { return };
        match user {
            None => {
                if topic.links.remove(&epoch).is_some() {
                    self.tell_elsewhere(name, None);
                    self.fall(name, None);
                }
            }
            Some(user) => {
                let Some((epochs, _)) = topic.users.get_mut(user) else { return };
                if epochs.remove(&epoch) && (epochs.is_empty() || !last_only) {
                    topic.users.remove(user);
                    let (topic, user) = (name.to_vec(), user.clone());
                    self.removals.push(Removal { topic, user: user.clone(), epoch, retired });
                    self.emit(name, b'-', user.as_bytes());
                    self.fall(name, Some(&user));
                    self.fall(name, None);
                }
            }
        }
    }

    fn hold(&mut self, epoch: Epoch, name: &[u8], user: Option<&str>) {
        if !self.holds(Rule::Holds) {
            return;
        }
        if let Some(node) = self.data.nodes.get_mut(&epoch) {
            node.holds.insert((name.to_vec(), user.map(str::to_owned)));
        }
    }

    // What goes to inboxes.

    fn emit(&mut self, name: &[u8], kind: u8, value: &[u8]) {
        let Some(topic) = self.data.topics.get(name) else { return };
        for epoch in topic.links.keys().copied().collect::<Vec<_>>() {
            self.to(epoch, [&[kind], name].concat(), value.to_vec());
        }
    }

    /// How many subscribe on other nodes is told to all that have subscribers, but the one that has changed it. Returns what that
    /// one would be told.
    fn tell_elsewhere(&mut self, name: &[u8], changed: Option<Epoch>) -> u64 {
        let Some(topic) = self.data.topics.get(name).filter(|_| is_channel(name)) else { return 0 };
        let links = topic.links.clone();
        let total: u64 = links.values().sum();
        for (epoch, own) in links.iter().filter(|(epoch, _)| changed != Some(**epoch)) {
            let room = self.data.nodes.get(epoch).map_or(0, |node| node.room);
            if room > self.inbox_bytes_max / 2 {
                self.to(*epoch, [b"#", name].concat(), (total - own).to_string().into_bytes());
            } else {
                self.untold_counts += 1;
            }
        }
        total - changed.and_then(|epoch| links.get(&epoch)).copied().unwrap_or(0)
    }

    fn to(&mut self, epoch: Epoch, field: Vec<u8>, value: Vec<u8>) {
        match self.out.iter_mut().find(|(to, _)| *to == epoch) {
            Some((_, fields)) => fields.push((field, value)),
            None => self.out.push((epoch, vec![(field, value)])),
        }
    }

    fn flush(&mut self) {
        for (epoch, fields) in std::mem::take(&mut self.out) {
            let is_lost = !self.holds(Rule::Cut);
            let Some(node) = self.data.nodes.get_mut(&epoch) else { continue };
            if node.standing != Standing::Live || node.cut {
                continue;
            }
            let bytes: usize =
                fields.iter().map(|(field, value)| COMMAND_BYTES + field.len() + value.len()).sum();
            if is_lost && node.room < bytes as i64 {
                continue;
            }
            node.room -= bytes as i64;
            node.next += 1;
            if node.room < 0 {
                self.cuts += 1;
                node.cut = true;
                node.inbox.clear();
                node.inbox.push_back(Entry { number: node.next, fields: vec![(b"!".to_vec(), Vec::new())] });
            } else {
                node.inbox.push_back(Entry { number: node.next, fields });
            }
        }
    }

    // Levels told to hooks.

    fn there(&self, name: &[u8], user: Option<&str>) -> bool {
        let Some(topic) = self.data.topics.get(name) else { return false };
        match user {
            Some(user) => topic.users.contains_key(user),
            None => !topic.links.is_empty() || !topic.users.is_empty(),
        }
    }

    fn told(&self, name: &[u8], user: Option<&str>) -> bool {
        let Some(topic) = self.data.topics.get(name) else { return false };
        user.map_or(topic.told, |user| topic.members_told.contains(user))
    }

    fn tell(&mut self, name: &[u8], user: Option<&str>, up: bool) {
        let members = self.data.topics.get(name).is_some_and(|topic| !topic.members_told.is_empty());
        let early = match (user, up) {
            (Some(_), true) => !self.told(name, None) && self.holds(Rule::OccupiedFirst),
            (None, false) => members && self.holds(Rule::VacatedLast),
            _ => false,
        };
        let level = (name.to_vec(), user.map(str::to_owned));
        let full = self.data.edges.len() >= self.edges_max;
        if early || (full && self.holds(Rule::Full)) {
            self.data.due.insert(level, self.now_ms + RETRY_MS);
            return;
        }
        let topic = self.data.topics.entry(name.to_vec()).or_default();
        match (user, up) {
            (None, up) => topic.told = up,
            (Some(user), true) => drop(topic.members_told.insert(user.to_owned())),
            (Some(user), false) => drop(topic.members_told.remove(user)),
        }
        if !full {
            self.data.edges.push_back((level, up));
        }
        self.tidy(name);
    }

    fn rise(&mut self, name: &[u8], user: Option<&str>) {
        if !is_channel(name) {
            return;
        }
        if self.holds(Rule::Levels) {
            self.data.due.remove(&(name.to_vec(), user.map(str::to_owned)));
        }
        if !self.told(name, user) {
            self.tell(name, user, true);
        }
    }

    fn fall(&mut self, name: &[u8], user: Option<&str>) {
        if !is_channel(name) {
            return self.tidy(name);
        }
        if self.there(name, user) {
            return;
        }
        let level = (name.to_vec(), user.map(str::to_owned));
        if self.told(name, user) {
            self.data.due.entry(level).or_insert(self.now_ms + GRACE_MS);
        } else {
            self.data.due.remove(&level);
        }
        self.tidy(name);
    }

    fn tell_due(&mut self, slice: u64) {
        let now_ms = self.now_ms;
        let mut due: Vec<(u64, Level)> =
            self.data.due.iter().map(|(level, at)| (*at, level.clone())).collect();
        due.retain(|(at_ms, _)| *at_ms <= now_ms);
        due.sort();
        for (_, (name, user)) in due.into_iter().take(slice as usize) {
            self.data.due.remove(&(name.clone(), user.clone()));
            let (there, told) = (self.there(&name, user.as_deref()), self.told(&name, user.as_deref()));
            if there != told {
                self.tell(&name, user.as_deref(), there);
            } else if there && !self.holds(Rule::Levels) {
                self.tell(&name, user.as_deref(), false);
            }
            self.tidy(&name);
        }
    }

    fn tidy(&mut self, name: &[u8]) {
        let unneeded = |topic: &Topic| {
            topic.links.is_empty()
                && topic.users.is_empty()
                && topic.cached.is_none()
                && !topic.told
                && topic.members_told.is_empty()
        };
        if self.data.topics.get(name).is_some_and(unneeded) {
            self.data.topics.remove(name);
        }
    }
}
