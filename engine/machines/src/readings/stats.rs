//! What happened on a shard, as plain counters: those of each part of it, which that part alone bumps, and all of them
//! together. Read by the driver for metrics and by the simulation to show that it reached every transition. Never
//! consulted to decide anything.

macro_rules! counters {
    ($(#[doc = $of:literal] $part:ident: $Part:ident { $(#[doc = $doc:literal] $name:ident,)* })*) => {
        $(
            #[doc = $of]
            #[derive(Clone, Copy, Debug, Default)]
            pub struct $Part { $(#[doc = $doc] pub $name: u64,)* }
        )*

        /// Counters since the start of the shard.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        pub struct Stats { $($(#[doc = $doc] pub $name: u64,)*)* }

        /// The counters of each part of a shard.
        #[derive(Debug)]
        pub struct Parts<'a> { $(#[doc = $of] pub $part: &'a $Part,)* }

        impl From<Parts<'_>> for Stats {
            fn from(parts: Parts<'_>) -> Self { Self { $($($name: parts.$part.$name,)*)* } }
        }

        impl Stats {
            /// Adds another shard's counters.
            pub fn add(&mut self, other: &Self) { $($(self.$name += other.$name;)*)* }

            /// Name and value of each.
            pub fn entries(&self) -> Vec<(&'static str, u64)> { vec![$($((stringify!($name), self.$name),)*)*] }

            /// Name, meaning and value of each.
            pub fn explained(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![$($((stringify!($name), $doc.trim_ascii(), self.$name),)*)*]
            }
        }
    };
}

counters! {
    /// What comes in: heads, messages of clients, and the rotation that takes all classes of input.
    inbound: InboundStats {
        /// Connections attached.
        attached,
        /// Slots given to another connection.
        slots_reused,
        /// Half-open connections given up: too many, too slow, or malformed.
        heads_refused,
        /// Those of them that were one too many from their address (half_open_per_address_max).
        half_open_refused_for_address,
        /// Clients refused because their address has as many connections as it may (connections_per_address_max).
        connects_refused_for_address,
        /// Clients refused because those of their app connect too fast (new_connections_per_second_max).
        connects_refused_for_rate,
        /// Clients that waited for a source of apps (apps_url).
        app_waits,
        /// Clients refused because too many waited for it already.
        app_waits_refused,
        /// Messages that clients sent and that were taken.
        commands,
        /// Connections that had to wait because a root batch was full.
        commands_gated,
        /// Connections that used up their messages of a turn.
        commands_budgeted,
        /// Decide phases that ended in quiet: lately nothing but signs of life had come.
        quiet_phases,
        /// Decide phases that ended at the flush gate.
        flush_gated,
        /// Those of them that ended because of what all connections together had not been tried with.
        flush_gated_by_all,
        /// Times that roots had to wait because a leaf batch was full.
        roots_gated,
        /// Decide phases that ended at the flush gate with rosters of several channels still to be told.
        grants_gated,
        /// Subscribers that waited for a link that somebody else had asked for.
        joining_shared,
        /// Subscriptions refused.
        subscribe_refused,
        /// Those of them that were refused because the connection changes its subscriptions too fast.
        subscribe_refused_for_rate,
        /// Those of them that were refused because the shard or the app has as many as it may.
        subscribe_refused_for_room,
        /// Client events refused because of their rate.
        client_events_limited,
        /// Bytes that came from sockets.
        bytes_received,
        /// Batches taken from other cores.
        batches_taken,
    }
    /// The channels that live here, and what the hooks are told of them.
    home: HomeStats {
        /// Links asked for.
        joins,
        /// Join of a link while home still had the one before.
        joins_superseding,
        /// Count, Enter or Replay of a link that home has no longer.
        roots_stale,
        /// Presence subscriptions let in.
        granted,
        /// Those of them that got the roster that was encoded for another one.
        rosters_shared,
        /// Presence subscriptions turned away by the home shard.
        refused,
        /// Users that entered a roster.
        members_added,
        /// Users that left a roster.
        members_removed,
        /// Connections that entered a roster in which their user already was.
        members_again,
        /// Subscriptions to cache channels that got the last event.
        cache_hits,
        /// Subscriptions to cache channels that remembered nothing.
        cache_misses,
        /// Cached events whose time was over.
        cache_expired,
        /// Cached events that had to go before their time, since all of them together took too much.
        cache_evicted,
        /// Events taken at their home shard.
        published,
        /// Events for a topic that nobody is subscribed to.
        published_unheard,
        /// Times that the subscribers of a channel were told how many they are.
        subscription_counts_told,
        /// Times that they were not told of a change because they are many and had been told a moment ago.
        subscription_counts_put_off,
        /// Channels that may be told again too early, because too many wait for that.
        subscription_counts_hurried,
        /// Topics whose first subscriber came.
        occupied,
        /// Topics whose last subscriber went.
        vacated,
        /// Users whose first connection signed in.
        users_online,
        /// Users whose last signed-in connection went.
        users_offline,
        /// Those of them that were back before anybody who watches them was told.
        users_returned,
        /// Lists of channels begun.
        lists,
        /// Lists of channels refused because too many were being made.
        lists_refused,
        /// Steps of lists of channels.
        list_steps,
        /// Questions that were passed on to a server of the cluster.
        lookups,
        /// Those that were refused because too many had no answer.
        lookups_refused,
        /// Those that the server did not answer: there was no session, or it took too long.
        lookups_unanswered,
        /// Tails of channels that an operator has begun.
        tails,
        /// Tails and traces refused because there were too many.
        watches_refused,
        /// Events and messages that an operator who watched was not told, because there were too many.
        watched_left_out,
        /// Events told to the hooks.
        hooks,
        /// Times that an edge found the hooks' queue full; it is told later.
        hook_edges_refused,
        /// Client events that the hooks were not told because their queue was full.
        hook_client_events_dropped,
        /// Published events that the hooks were not told because their queue was full.
        hook_server_events_dropped,
        /// Numbers of subscriptions that the hooks were not told because their queue was full.
        hook_subscription_counts_dropped,
        /// Empty cache channels that the hooks were not told because their queue was full; the next subscriber is another chance.
        hook_cache_misses_dropped,
    }
    /// A home in a cluster.
    cluster: ClusterStats {
        /// Events delivered on this node alone because the session with their server was lost before they came back.
        bus_echo_local,
        /// Events that no other node got, because there was no session with their server.
        bus_gap_out_events,
        /// Topics that a server was told anew in another session.
        bus_topics_retold,
        /// Members that had come or gone while there was no session, or had another user_info afterwards.
        bus_members_reconciled,
        /// Members of other nodes that were dropped because their server was away for too long (remote_members_kept_s).
        bus_members_forgotten,
        /// Topics whose subscriptions were let in because a server took too long to answer.
        bus_let_in_late,
        /// What servers said of another session, of a link before, or of a topic without one.
        bus_news_stale,
    }
    /// Links to home shards.
    links: LinksStats {
        /// Links that came up.
        joined,
        /// Joined of a link that is gone.
        joined_stale,
        /// Joined of a link that a newer one has superseded.
        joined_superseded,
        /// Links whose last waiter went before Joined came.
        joining_abandoned,
        /// Exits that waited outside a full batch.
        exits_outside,
        /// Counts that waited outside a full batch.
        counts_outside,
        /// Counts struck out by a newer one of the same epoch.
        counts_struck,
        /// Enters and Replays struck out before they were sent, since their subscription had gone: nobody was told of either.
        enters_struck,
        /// Answers of presence and cache channels that came for a subscription that is gone.
        granted_stale,
    }
    /// Connections, what they are subscribed to, and what is written to them.
    fanout: FanoutStats {
        /// Subscriptions acknowledged.
        subscribed,
        /// Subscriptions that ended.
        unsubscribed,
        /// Waiting subscriptions that ended.
        unsubscribed_waiting,
        /// Frames of events put into outboxes, counted per subscriber, those included that have gone and are still counted.
        deliveries,
        /// Senders left out of their own event.
        excluded,
        /// Frames put into one connection's outbox alone: acknowledgements, pongs, errors.
        replies,
        /// Connections put on hold until the next tick of their app's flush interval.
        held,
        /// Ticks at which holds ended.
        holds_ended,
        /// Times that all holds ended before their tick because of how much was waiting.
        holds_cut,
        /// Those of them at which somebody may have had too many ranges.
        holds_cut_by_ranges,
        /// Dirty connections that lost a subscription of which something was waiting for them.
        gained_of_gone,
        /// Connections that the kernel refused to take more for.
        blocked,
        /// Connections closed because they read too slowly.
        slow_consumers,
        /// Connections closed because all outboxes together kept too much, and most was waiting for them.
        outboxes_shed,
        /// Connections that went with more subscriptions than are given up at once.
        departed_in_steps,
        /// Steps of giving up subscriptions of connections that have gone.
        departure_steps,
    }
    /// Users whom connections are signed in as.
    users: UsersStats {
        /// Connections that signed in, or did so again.
        signins,
        /// Sign-ins refused.
        signins_refused,
        /// Watchlists cut because the shard has as many subscriptions and watched users as it may.
        watchlists_cut,
        /// Times that a connection was told which users of its watchlist are online, or are not.
        watch_events,
        /// Words of a home on a user that nobody watches any more, or watches anew.
        watch_news_stale,
    }
    /// Connections that end, and silent ones that are asked whether they are still there.
    ending: EndingStats {
        /// Connections closed, for whatever reason.
        closed,
        /// Connections whose outbox was cut at their close: the kernel took no more, and what may be kept of it is bounded.
        partings_cut,
        /// Connections that were reset at their close because not even the frame that was begun could be kept.
        partings_reset,
        /// Pings sent to silent connections.
        pings,
        /// Connections closed because nothing came in answer to a ping.
        pongs_missed,
        /// Connections closed because the server ends.
        drained,
        /// Connections closed because they were not authorized in the time that their app allows.
        not_authorized_in_time,
        /// Connections closed because their user had to go.
        terminated,
        /// Users named whose connections must go.
        terminations,
        /// Steps of walks for them.
        termination_steps,
        /// Connections closed because their app was removed or disabled.
        apps_gone,
        /// Connections that went on under new settings of their app.
        apps_renewed,
        /// Steps of walks for a new registry of apps.
        app_steps,
    }
    /// What goes out at the border of the shard.
    border: BorderStats {
        /// Bytes that sockets took.
        bytes_sent,
        /// Batches sent to other cores.
        batches_sent,
    }
}
