//! Subscribing and unsubscribing: the checks, and what they change on this shard.
//!
//! Only on a live link is a plain channel's subscriber acknowledged at once; on any other it waits for Joined, and on a
//! presence or cache channel always for its home's answer. Without that wait events are lost.

use std::sync::Arc;

use protocol::auth::verify_subscription;
use protocol::channel::check_own_channel;
use protocol::presence::parse_member;

use crate::invariant::Expected;
use crate::machine::{Now, Token};
use crate::shard::Shard;
use crate::shard::fanout::connection::Needs;
use crate::shard::inbound::commands::Target;
use crate::shard::inbound::refuse::Grounds;
use crate::topic::TopicKey;

impl Shard {
    pub(in crate::shard) fn subscribe(
        &mut self,
        id: Token,
        target: &Target<'_>,
        auth: &str,
        channel_data: Option<&str>,
        now: Now,
    ) {
        if self.subscription_of(id, target).is_some() {
            self.error(id, None, &format!("Existing subscription to channel {}", target.channel));
            return;
        }
        if let Err((grounds, text)) = self.check_room(id, target, now) {
            self.refuse_subscription(id, target.channel, grounds, &text);
            return;
        }
        if let Some(needs) = self.check_subscription(id, target, auth, channel_data) {
            self.note_subscribes(id, target.key);
            self.add_subscription(id, target, needs);
        }
    }

    fn subscription_of(&self, id: Token, target: &Target<'_>) -> Option<usize> {
        let at = self.fanout.find(target.hash, target.app, target.key)?;
        self.fanout.subscription_to(id, at)
    }

    /// Whether one more subscription may be, whatever the channel: of this connection, of the shard, of the app, and now.
    fn check_room(&mut self, id: Token, target: &Target<'_>, now: Now) -> Result<(), (Grounds, String)> {
        let (app, limits) = (&target.app.limits, &self.limits);
        let of_one = limits.subscriptions_per_connection_max;
        let of_shard = limits.subscriptions_per_shard_max.unwrap_or(usize::MAX);
        let of_app = app.subscriptions_max.map_or(limits.subscriptions_per_app_max, u64::from);
        let full = |who: &str, max: u64, key: &str| {
            let text = format!("{who} has {max} subscriptions, which is the most it may have ({key})");
            Err((Grounds::Full, text))
        };
        if self.fanout.subscriptions_of(id) >= of_one {
            return full("This connection", of_one as u64, "subscriptions_per_connection_max");
        }
        if self.fanout.subscriptions() + self.users.watches() >= of_shard {
            self.inbound.stats.subscribe_refused_for_room += 1;
            return full("This shard of the server", of_shard as u64, "subscriptions_per_shard_max");
        }
        if target.app.subscriptions() >= of_app {
            self.inbound.stats.subscribe_refused_for_room += 1;
            return full("This app", of_app, "subscriptions_max");
        }
        let per_second = app.subscription_changes_per_second;
        if !self.inbound.churn.allows(id, per_second, of_one, now.mono_ms) {
            self.inbound.stats.subscribe_refused_for_rate += 1;
            let text = format!(
                "This connection changes its subscriptions faster than {per_second} times per second \
                 (subscription_changes_per_second)"
            );
            return Err((Grounds::Rate, text));
        }
        Ok(())
    }

    /// Whether the connection may subscribe to this channel, and what it needs of its home.
    fn check_subscription(
        &mut self,
        id: Token,
        target: &Target<'_>,
        auth: &str,
        channel_data: Option<&str>,
    ) -> Option<Needs> {
        let Target { app, channel, key, .. } = *target;
        let socket_id = self.fanout.socket_id(id).expected("only a connection sends commands")?;
        let TopicKey::Channel { kind, .. } = key else {
            return self.check_own_channel(id, channel);
        };
        if kind.needs_auth()
            && let Err(error) = verify_subscription(app, socket_id, channel, channel_data, auth)
        {
            self.refuse_auth(id, channel, channel_data.is_some(), &error);
            return None;
        }
        if !kind.is_presence() {
            return Some(Needs::Nothing);
        }
        match parse_member(channel_data, self.users.user_of(id), &app.limits) {
            Ok(member) => Some(Needs::Presence(member)),
            Err(error) => {
                self.refuse_member(id, channel, &error);
                None
            }
        }
    }

    /// The same of a user's own channel.
    fn check_own_channel(&mut self, id: Token, channel: &str) -> Option<Needs> {
        match check_own_channel(channel, self.users.user_id_of(id)) {
            Ok(()) => Some(Needs::Nothing),
            Err(error) => {
                self.refuse_subscription(id, channel, Grounds::Auth, &error.to_string());
                None
            }
        }
    }

    /// A subscription that needs a signature shows that the app's back end knows the connection.
    fn note_subscribes(&mut self, id: Token, key: TopicKey<&str>) {
        if matches!(key, TopicKey::Channel { kind, .. } if kind.needs_auth()) {
            self.note_authorized(id);
        }
    }

    fn add_subscription(&mut self, id: Token, target: &Target<'_>, needs: Needs) {
        let found = self.fanout.find(target.hash, target.app, target.key);
        let topic_slot = found.unwrap_or_else(|| self.join(target));
        let sub = self.links.name_subscription(id);
        self.fanout.add_waiting(topic_slot, sub, needs.clone());
        let at_once = self.links.is_live(topic_slot);
        if found.is_some() {
            self.inbound.stats.joining_shared += u64::from(!at_once);
            self.send_count(topic_slot);
        }
        match needs {
            Needs::Presence(member) => {
                let topic = self.fanout.topic(topic_slot).cloned();
                let Some(topic) = topic.expected("a subscription has its topic") else { return };
                if let Some(sequence) = self.links.enter(topic_slot, topic, sub, member) {
                    self.fanout.note_entered(id, sequence);
                }
            }
            Needs::Nothing if target.key.is_cached() => {
                let topic = self.fanout.topic(topic_slot).cloned();
                let Some(topic) = topic.expected("a subscription has its topic") else { return };
                if let Some(sequence) = self.links.ask_replay(topic_slot, topic, sub) {
                    self.fanout.note_entered(id, sequence);
                }
            }
            Needs::Nothing if at_once => {
                let index = self.fanout.subscription_to(id, topic_slot);
                if let Some(index) = index.expected("it was added just before") {
                    let succeeded = Self::succeeded(target.channel, self.fanout.form_of(id));
                    self.fanout.acknowledge(id, index, succeeded);
                }
            }
            Needs::Nothing => self.links.wait_for_joined(topic_slot, sub),
        }
    }

    /// The first local subscriber: a new link.
    fn join(&mut self, target: &Target<'_>) -> u32 {
        let topic = self.hash.topic(target.app, target.key);
        let home = self.hash.home(topic.hash);
        let topic_slot = self.fanout.add_topic(Arc::clone(&topic));
        self.links.open(topic_slot, home, topic);
        topic_slot
    }

    pub(in crate::shard) fn unsubscribe(&mut self, id: Token, target: &Target<'_>, now: Now) {
        let Some(index) = self.subscription_of(id, target) else {
            let channel = target.channel;
            let text = format!("No current subscription to channel {channel}, or subscription in progress");
            self.error(id, None, &text);
            return;
        };
        if let Some(gone) = self.fanout.remove_subscription(id, index) {
            self.inbound.churn.charge(id, target.app.limits.subscription_changes_per_second, now.mono_ms);
            self.tell_gone(gone, false);
            self.acknowledge_unsubscribe(id, target.channel);
        }
    }
}
