//! Users who must go: who may be closed for it, and who must be.

use std::collections::BTreeSet;

use corecast_machines::cores::CoreId;

use crate::channels::{CHANNELS, user_on};
use crate::clients::Clients;
use crate::cores::Cores;

#[derive(Debug, Default)]
pub struct Terminations {
    users: BTreeSet<String>,
    /// Clients whose shards were told of it while they were on this channel, after so many subscriptions.
    must_go: Vec<(usize, String, usize)>,
    /// The same of clients who were signed in.
    signed_in_must_go: Vec<usize>,
}

impl Terminations {
    /// The connections of a user must go: marks those that may be closed for it.
    pub fn name(&mut self, user: &str, by_presence: bool, clients: &mut Clients, cores: &Cores) {
        self.users.insert(user.to_owned());
        for client in 0..clients.len() {
            let settled = clients.has_taken_all(client, cores);
            let may = clients.get(client).channels.iter().any(|(name, channel)| {
                name.starts_with("presence-") && user_on(client, name) == user && (channel.wanted || !settled)
            });
            let signed_in = clients.get(client).signed_in == Some(user);
            clients.get_mut(client).may_be_terminated |= signed_in || (by_presence && may);
        }
    }

    /// True when this user was named.
    pub fn has(&self, user: &str) -> bool {
        self.users.contains(user)
    }

    /// The shard gets to know of it: every client that it knows to be on a channel as that user must be closed.
    pub fn tell(
        &mut self,
        shard: CoreId,
        user: &str,
        by_presence: bool,
        clients: &mut Clients,
        cores: &Cores,
    ) {
        for client in 0..clients.len() {
            if CoreId::Shard(clients.get(client).shard as u16) != shard
                || !clients.has_taken_all(client, cores)
            {
                continue;
            }
            if clients.get(client).signed_in == Some(user) {
                self.signed_in_must_go.push(client);
            }
            for name in CHANNELS.iter().filter(|name| by_presence && name.starts_with("presence-")) {
                let unsure = clients.may_refuse(name) && clients.awaits_answer(client, name);
                let channel = clients.channel(client, name);
                if channel.wanted && !unsure && user_on(client, name) == user {
                    self.must_go.push((client, (*name).to_owned(), channel.accepted));
                }
            }
        }
    }

    /// Everything has come to rest: all that had to go are gone.
    pub fn check(&mut self, clients: &mut Clients, cores: &Cores) -> Result<(), String> {
        for (client, name, accepted) in std::mem::take(&mut self.must_go) {
            let gone = clients.socket(client, cores).closed;
            let channel = clients.channel(client, &name);
            if !gone && channel.wanted && channel.accepted == accepted {
                return Err(format!("client {client} is still on {name}, and its user must go"));
            }
        }
        let stays = |client: &usize| !clients.socket(*client, cores).closed;
        match std::mem::take(&mut self.signed_in_must_go).into_iter().find(stays) {
            Some(client) => Err(format!("client {client} is still signed in, and its user must go")),
            None => Ok(()),
        }
    }
}
