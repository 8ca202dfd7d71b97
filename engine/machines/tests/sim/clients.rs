//! All clients of a schedule, and which socket each has.

use std::collections::{BTreeMap, BTreeSet};

use crate::channels::{CHANNELS, OWN_CHANNELS, user_on};
use crate::client::{Channel, Client, Seen};
use crate::cores::Cores;
use crate::model::Expected;
use crate::socket::{Reader, Socket};

#[derive(Debug)]
pub struct Clients {
    all: Vec<Client>,
    /// Any subscription may be refused: the connection, the shard or the app may have few, or changes too fast.
    tight: bool,
}

impl Clients {
    pub fn new(tight: bool) -> Self {
        Self { all: Vec::new(), tight }
    }

    /// True when any subscription may be refused.
    pub fn is_tight(&self) -> bool {
        self.tight
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub fn get(&self, client: usize) -> &Client {
        &self.all[client]
    }

    pub fn get_mut(&mut self, client: usize) -> &mut Client {
        &mut self.all[client]
    }

    pub fn all(&self) -> &[Client] {
        &self.all
    }

    /// A client with a socket of this shard.
    pub fn join(&mut self, shard: usize, socket: usize, takes_objects: bool, now_ms: u64) {
        let number = self.all.len();
        let mut client = Client::new(shard, socket, format!("u{}", number % 3));
        client.takes_objects = takes_objects;
        client.connected_ms = now_ms;
        self.all.push(client);
    }

    /// Whose socket this is.
    pub fn of_socket(&mut self, shard: usize, socket: usize) -> Result<&mut Client, String> {
        let client = self.all.iter_mut().find(|client| client.shard == shard && client.socket == socket);
        client.ok_or_else(|| "a socket of nobody".into())
    }

    pub fn socket<'a>(&self, client: usize, cores: &'a Cores) -> &'a Socket {
        let client = &self.all[client];
        &cores.sockets(client.shard)[client.socket]
    }

    /// True when this client reads whatever it is sent.
    pub fn listens(&self, client: usize, cores: &Cores) -> bool {
        let socket = self.socket(client, cores);
        let client = &self.all[client];
        !client.leaving && !client.silent && !socket.closed && socket.reader == Reader::Healthy
    }

    /// A client whose kernel takes nothing more, if there is one that has not left.
    pub fn blocked(&self, cores: &Cores) -> Option<usize> {
        (0..self.all.len()).find(|number| {
            let (client, socket) = (&self.all[*number], self.socket(*number, cores));
            socket.waits_writable && !socket.closed && !client.leaving && !client.silent
        })
    }

    /// Its shard has taken all that this client has sent.
    pub fn has_taken_all(&self, client: usize, cores: &Cores) -> bool {
        let socket = self.socket(client, cores);
        socket.inbound.is_empty() && !socket.paused && !socket.closed
    }

    pub fn channel(&mut self, client: usize, name: &str) -> &mut Channel {
        self.all[client].channels.entry(name.to_owned()).or_default()
    }

    /// True when a client knows only from the answer whether it is subscribed.
    pub fn may_refuse(&self, channel: &str) -> bool {
        self.tight || channel == "presence-small"
    }

    pub fn awaits_answer(&mut self, client: usize, name: &str) -> bool {
        let channel = self.channel(client, name);
        let answered = channel.seen.iter().filter(|seen| matches!(seen, Seen::Succeeded { .. })).count();
        channel.wanted && answered + usize::from(channel.refused) < channel.accepted
    }

    pub fn answer_pings(&mut self, cores: &mut Cores) {
        for client in &mut self.all {
            let fresh = client.server_pings > client.server_pings_seen;
            client.server_pings_seen = client.server_pings;
            let socket = &mut cores.sockets_mut(client.shard)[client.socket];
            if !fresh || socket.closed {
                continue;
            }
            socket.pinged = true;
            if !client.silent && !client.leaving && socket.reader != Reader::Dead {
                cores.send(client.shard, client.socket, &Client::pong());
            }
        }
    }

    /// Reads what has arrived since the last time.
    pub fn read(&mut self, cores: &Cores, step: u64) -> Result<(), String> {
        for (number, client) in self.all.iter_mut().enumerate() {
            let socket = &cores.sockets(client.shard)[client.socket];
            client.read(&socket.received, step).map_err(|why| format!("client {number}: {why}"))?;
        }
        Ok(())
    }

    /// What an outsider must be told of each channel.
    pub fn expected(&self, cores: &Cores) -> BTreeMap<String, Expected> {
        let expected = |name: &str| {
            let is_on = |client: &usize| {
                let channel = self.all[*client].channels.get(name);
                !self.socket(*client, cores).closed && channel.is_some_and(|channel| channel.wanted)
            };
            let on: Vec<usize> = (0..self.all.len()).filter(is_on).collect();
            let users: BTreeSet<String> = on.iter().map(|client| user_on(*client, name)).collect();
            let users = if name.starts_with("presence-") { users.len() as u32 } else { 0 };
            Expected { subscriptions: on.len() as u64, users }
        };
        CHANNELS.iter().chain(&OWN_CHANNELS).map(|name| ((*name).to_owned(), expected(name))).collect()
    }

    /// Everything has come to rest: each client has got its answers, in `seconds` since the beginning.
    pub fn check(&mut self, cores: &Cores, seconds: u64, activity_timeout_s: u16) -> Result<(), String> {
        for client in &mut self.all {
            if client.server_pings > 1 + seconds / u64::from(activity_timeout_s) {
                return Err(format!("{} pings in {seconds} s", client.server_pings));
            }
            client.leaving |= cores.sockets(client.shard)[client.socket].reader == Reader::Dead;
            if !client.leaving {
                check_replies(client)?;
            }
        }
        Ok(())
    }
}

fn check_replies(client: &Client) -> Result<(), String> {
    if client.pings != client.pongs {
        return Err(format!("{} pongs to {} pings", client.pongs, client.pings));
    }
    if client.takes_objects && client.unsubscribes_seen != client.unsubscribes {
        let (seen, expected) = (client.unsubscribes_seen, client.unsubscribes);
        return Err(format!("{seen} acknowledgements of {expected} unsubscribes"));
    }
    let signins = (client.signins_seen, client.bad_signins_seen);
    if signins != (client.signins, client.bad_signins) {
        let expected = (client.signins, client.bad_signins);
        return Err(format!(
            "{expected:?} sign-ins taken and refused are expected, and it has seen {signins:?}"
        ));
    }
    let commands = client.errors.iter().filter(|text| {
        text.starts_with("Existing subscription") || text.starts_with("No current subscription")
    });
    if commands.count() != client.errors_expected {
        return Err(format!("{} errors expected, got {:?}", client.errors_expected, client.errors));
    }
    let known = [
        "Existing",
        "No current",
        "Client event rejected",
        "The presence channel",
        "This ",
        "Connection is already signed in",
        "The watchlist is too long",
    ];
    match client.errors.iter().find(|text| !known.iter().any(|start| text.starts_with(start))) {
        Some(text) => Err(format!("unexpected error {text}")),
        None => Ok(()),
    }
}
