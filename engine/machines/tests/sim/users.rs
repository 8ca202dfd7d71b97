//! What is true of users, and what those who watch them were told. Knows what homes did, and nothing of how they tell it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::client::Client;

/// How long a user must be gone before anybody is told so.
const OFFLINE_MS: u64 = 3000;

/// What a client was told of its watchlist.
#[derive(Clone, Debug, Default)]
pub struct Watching {
    /// The lists of its sign-ins that were not answered yet, and when they were sent.
    pub asked: VecDeque<(BTreeSet<String>, u64)>,
    /// That of the last one that was, and when that was sent.
    list: BTreeSet<String>,
    since_ms: u64,
    told: BTreeMap<String, bool>,
    times: u64,
}

/// The users who are there, and when each came and went.
#[derive(Debug, Default)]
pub struct Users {
    /// Each time that a user came, and when it went after that.
    there: BTreeMap<String, Vec<(u64, Option<u64>)>>,
}

impl Users {
    /// A user has come online or gone offline at its home.
    pub fn turned(&mut self, user: &str, online: bool, now_ms: u64) -> Result<(), String> {
        if self.is_online(user) == online {
            return Err(format!("{user}: online = {online} twice in a row"));
        }
        let times = self.there.entry(user.to_owned()).or_default();
        if online {
            times.push((now_ms, None));
        } else if let Some((_, until)) = times.last_mut() {
            *until = Some(now_ms);
        }
        Ok(())
    }

    pub fn is_online(&self, user: &str) -> bool {
        self.there.get(user).and_then(|times| times.last()).is_some_and(|(_, until)| until.is_none())
    }

    /// Whether a user was gone for long enough, and it was so by now.
    fn was_gone_long(&self, user: &str, now_ms: u64) -> bool {
        let times = self.there.get(user).map_or(&[][..], |times| times);
        times.iter().enumerate().any(|(at, (_, until))| {
            let back = times.get(at + 1).map_or(now_ms, |(back, _)| *back).min(now_ms);
            until.is_some_and(|gone| gone + OFFLINE_MS <= back)
        })
    }

    /// A client is told of its watchlist.
    fn told(&self, watching: &mut Watching, user: &str, online: bool, now_ms: u64) -> Result<(), String> {
        if !watching.list.contains(user) {
            return Err(format!("told of {user}, whom it does not watch"));
        }
        let before = watching.told.insert(user.to_owned(), online);
        if before == Some(online) {
            return Err(format!("told twice that {user} is online: {online}"));
        }
        if online && !self.there.contains_key(user) {
            return Err(format!("told that {user} is online, who never was"));
        }
        if !online && before.is_some() && !self.was_gone_long(user, now_ms) {
            return Err(format!("told too early that {user} has gone"));
        }
        Ok(())
    }

    /// What a client has heard since the last time.
    pub fn hear(&self, client: &mut Client, now_ms: u64) -> Result<(), String> {
        for news in std::mem::take(&mut client.watch_news) {
            let watching = &mut client.watching;
            let Some(news) = news else {
                let (list, since_ms) = watching.asked.pop_front().ok_or("signed in, and did not ask")?;
                let asked = std::mem::take(&mut watching.asked);
                *watching = Watching { asked, list, since_ms, ..Watching::default() };
                continue;
            };
            if watching.times > 1 + (now_ms - watching.since_ms) / 1000 {
                return Err(format!("told of its watchlist {} times", watching.times));
            }
            watching.times += 1;
            for (user, online) in news {
                self.told(watching, &user, online, now_ms)?;
            }
        }
        Ok(())
    }

    /// Everything has come to rest, and nothing is put off: a client that listens knows what is true.
    pub fn check(&self, client: &Client) -> Result<(), String> {
        for user in &client.watching.list {
            let (knows, is) = (client.watching.told.get(user).copied(), self.is_online(user));
            if knows != Some(is) {
                return Err(format!("{user} is online: {is}, and who watches knows {knows:?}"));
            }
        }
        Ok(())
    }
}
