//! Every bound of the engine's queues, with its default and its reason. The limits of the protocol itself (names,
//! sizes, members) are `protocol::limits`; what an operator may set arrives here as values that are already checked.

use protocol::limits::{
    ACTIVITY_TIMEOUT_SECONDS, HTTP_BODY_BYTES_MAX, HTTP_HEAD_BYTES_MAX, HTTP_HEADERS_MAX, HttpLimits,
    MESSAGE_BYTES_MAX,
};

/// The bounds of one shard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// What may remain of an outbox after the kernel refused more, in bytes. Past it the connection is closed with
    /// 4100: the client reconnects and starts afresh, so the loss shows.
    pub outbox_bytes_max: usize,
    /// The same, in frames.
    pub outbox_frames_max: usize,
    /// What all outboxes of a shard may keep alive together, in bytes, each Run counted once. Past it those go for whom
    /// most is waiting after the kernel refused more, with 4100. None: by the memory of the machine.
    pub outboxes_bytes_max: Option<usize>,
    /// How much any one outbox may gain that no write was tried for. Past it a shard takes no input until it has
    /// flushed. At most a quarter of `outbox_bytes_max`, so that a healthy connection never comes near its limit.
    pub unflushed_bytes_max: usize,
    /// How much all events of a shard may come to that were not yet tried to be written to all of their subscribers,
    /// each counted once. Past it a shard takes no input until it has flushed. More of it lets more events of many
    /// channels leave in one write each; beyond what caches hold that gains nothing.
    pub unflushed_shard_bytes_max: usize,
    /// How many ranges of Runs one outbox may have that waits for a tick of its app's flush interval. From then on it is
    /// written without waiting. As many as go out in one write; all of them take a kilobyte.
    pub held_ranges_max: usize,
    /// An open mesh batch with this many messages is full. More would only add delay behind a hot channel.
    pub batch_messages_max: usize,
    /// An open mesh batch with this many bytes is full.
    pub batch_bytes_max: usize,
    /// Messages that one connection may have handled in a turn before others have theirs.
    pub commands_per_turn_max: usize,
    /// Messages of one class of input taken before the next class has its turn.
    pub quantum: usize,
    /// Rounds through the classes of input before a phase ends, so that flushing begins.
    pub rounds_max: usize,
    /// Places that one step of a walk through all topics or all connections looks at. With a phase of `rounds_max` steps
    /// a walk takes well under a millisecond of it.
    pub walk_looks_max: usize,
    /// Subscriptions of connections that have gone that are given up in a turn; the rest follows in the next turns. They
    /// take two milliseconds, with what it makes other shards do.
    pub given_up_per_turn_max: usize,
    /// Lists of channels that one shard makes or has in line. Past it a call for another is answered 503.
    pub lists_max: usize,
    /// Users whose connections must go, and who wait for the walk that looks for them; past it roots wait.
    pub terminations_max: usize,
    /// Subscriptions of a channel up to which each change of their number is told to its subscribers.
    pub counts_exact_max: u64,
    /// How often the number is told of a channel with more, in milliseconds.
    pub counts_interval_ms: u64,
    /// Channels of a shard whose number has changed and was not told; past it roots wait until some have been told.
    pub counts_due_max: usize,
    /// Channels of a shard whose number was told and must not be told again yet; past it the oldest of them may be.
    pub counts_paced_max: usize,
    /// Connections without a complete HTTP head; past it the oldest is closed.
    pub half_open_max: usize,
    /// Of them, those from one address, on all shards together; past it another is closed. None: any number.
    pub half_open_per_address_max: Option<u32>,
    /// WebSocket connections from one address, on all shards together; past it newcomers get 4100. None: any number.
    pub connections_per_address_max: Option<u32>,
    /// Time to send a complete HTTP head, in milliseconds.
    pub head_ms_max: u64,
    /// Time for the handshake before that on a connection with TLS, in milliseconds.
    pub tls_handshake_ms_max: u64,
    /// The same for those who come or wait while the server drains, and are only told so.
    pub drain_head_ms_max: u64,
    /// WebSocket connections of a shard. Past it newcomers get 4100: descriptors must remain for publishers.
    pub connections_max: usize,
    /// What clients are told to ping after, in seconds of silence, never 0. Below the 60 s after which nginx cuts a
    /// connection that is idle.
    pub activity_timeout_s: u16,
    /// How long a client's own ping may take after that, in seconds, before it gets one from us: most silent clients
    /// are well, and speak first.
    pub ping_grace_s: u16,
    /// How long a byte in answer to our ping may take, in seconds; what pusher-js allows for ours. Past it the
    /// connection is closed with 4201.
    pub pong_s_max: u16,
    /// Whether silent connections are pinged and closed at all. What is announced does not depend on it: official
    /// clients do not start without.
    pub idle_check: bool,
    /// Silent connections looked at in a turn; the rest of a second's share follows in the next turns.
    pub idle_checks_per_turn_max: usize,
    /// A WebSocket message of a client, in decoded bytes and over all its fragments; past it the connection is closed
    /// with 1009.
    pub message_bytes_max: usize,
    /// The body of a REST call, in decoded bytes; past it the call is answered 413 and its connection closed.
    pub http_body_bytes_max: usize,
    /// What all REST connections may keep of requests that have not come whole, in bytes; past it such a request is
    /// answered 503 and its connection closed.
    pub http_bodies_bytes_max: usize,
    /// How long a REST connection may stay open after its last answer, in seconds. Longer than load balancers keep
    /// theirs: 600 s at Google, 350 s at Amazon. One that has never asked anything has 75 s at most.
    pub http_idle_s: u32,
    /// An HTTP head, in bytes; past it the request is answered 431 and its connection closed.
    pub http_head_bytes_max: usize,
    /// Header lines of an HTTP head; past it the same.
    pub http_headers_max: usize,
    /// Channels that one connection may be subscribed to; past it a subscription is refused. Nobody who behaves has
    /// more than some hundreds, and a connection needs no signature to fill as many.
    pub subscriptions_per_connection_max: usize,
    /// Subscriptions of all connections of a shard, and users on their watchlists; past it another subscription is refused,
    /// and a watchlist is cut. None: by the memory of the machine.
    pub subscriptions_per_shard_max: Option<usize>,
    /// Subscriptions of an app without a bound of its own, on all shards together.
    pub subscriptions_per_app_max: u64,
    /// What a home keeps of the last events of its cache channels, in bytes; past it the oldest goes. 5,000 events as large as
    /// they may be, or 100,000 of the usual size.
    pub cache_bytes_max: usize,
    /// Cached events whose time is over that are given back in a turn; the rest follows in the next turns. They take less than
    /// a millisecond.
    pub cache_expiries_per_turn_max: usize,
    /// Empty cache channels of which a home knows that the hooks were told; past it the one that was told first is forgotten,
    /// and told again to the next who finds it empty. They take 3 MiB.
    pub cache_misses_max: usize,
    /// What a home keeps of the events that it has published to one server of the cluster and that have not come back, in
    /// bytes; past it roots wait. As much as the commands that are not acknowledged.
    pub cluster_echo_bytes_max: usize,
    /// How long members of other nodes stay listed while there is no session with the server of their channel, in milliseconds.
    pub cluster_members_kept_ms: u64,
    /// Connections or calls of a core that wait until a source of apps has answered for the one that they name; past it they
    /// are told to come back. 0: nobody is asked, and an unknown app is unknown at once.
    pub app_waits_max: usize,
    /// How long a core that hears nothing but pings and pongs may let them gather, in milliseconds; the first message of
    /// a client after such quiet may wait as long. 0: never.
    pub nap_ms_max: u64,
    /// A shard with fewer connections never lets them gather: their pings are so few that a wake for each costs less
    /// than a tenth of a percent of a core, and nobody shall wait for that.
    pub nap_connections_min: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            outbox_bytes_max: 1 << 20,
            outbox_frames_max: 4096,
            outboxes_bytes_max: None,
            unflushed_bytes_max: 64 << 10,
            unflushed_shard_bytes_max: 4 << 20,
            held_ranges_max: 64,
            batch_messages_max: 512,
            batch_bytes_max: 64 << 10,
            commands_per_turn_max: 32,
            quantum: 64,
            rounds_max: 16,
            walk_looks_max: 128,
            given_up_per_turn_max: 2048,
            lists_max: 16,
            terminations_max: 1024,
            counts_exact_max: 100,
            counts_interval_ms: 5_000,
            counts_due_max: 4096,
            counts_paced_max: 16_384,
            half_open_max: 1024,
            half_open_per_address_max: None,
            connections_per_address_max: None,
            head_ms_max: 10_000,
            tls_handshake_ms_max: 10_000,
            drain_head_ms_max: 2_000,
            connections_max: usize::MAX,
            activity_timeout_s: ACTIVITY_TIMEOUT_SECONDS as u16,
            ping_grace_s: 10,
            pong_s_max: 30,
            idle_check: true,
            idle_checks_per_turn_max: 512,
            message_bytes_max: MESSAGE_BYTES_MAX,
            http_body_bytes_max: HTTP_BODY_BYTES_MAX,
            http_bodies_bytes_max: 64 << 20,
            http_idle_s: 620,
            http_head_bytes_max: HTTP_HEAD_BYTES_MAX,
            http_headers_max: HTTP_HEADERS_MAX,
            subscriptions_per_connection_max: 2000,
            subscriptions_per_shard_max: None,
            subscriptions_per_app_max: u64::MAX,
            cache_bytes_max: 64 << 20,
            cache_expiries_per_turn_max: 1024,
            cache_misses_max: 1 << 16,
            cluster_echo_bytes_max: 16 << 20,
            cluster_members_kept_ms: 60_000,
            app_waits_max: 0,
            nap_ms_max: 50,
            nap_connections_min: 1000,
        }
    }
}

/// What all outboxes of a shard may keep together on the smallest machine, in bytes.
pub const OUTBOXES_BYTES_MIN: usize = 64 << 20;

/// The part of the memory that all outboxes of all shards may keep together: one of so many.
pub const OUTBOXES_MEMORY_PART: usize = 8;

/// Subscriptions of a shard on the smallest machine.
pub const SUBSCRIPTIONS_MIN: usize = 50_000;

/// A subscription for so many bytes of the memory. One that is the first on a channel with a long name takes 1 KiB, one of
/// many on a channel a twentieth of that: half of the memory holds the worst that strangers can ask for.
pub const MEMORY_PER_SUBSCRIPTION: usize = 2 << 10;

/// What may be kept of the outboxes of those who are closed, beside what all outboxes may keep: one part of so many of that.
pub const PARTING_PART: usize = 8;

/// The bounds of a node's session with one server of its cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterLimits {
    /// Commands that are not acknowledged. Past it nothing is taken from homes, whose gates reach the publishers; while the
    /// session holds without a connection it is lost.
    pub commands_max: usize,
    /// The same, in bytes.
    pub commands_bytes_max: usize,
    /// Commands of one call: a script is one step for everybody, and 64 publishes take a quarter of a millisecond.
    pub call_commands_max: usize,
    /// The same, in bytes.
    pub call_bytes_max: usize,
    /// Calls with commands that are not answered: what a round trip of 4 ms needs at the full speed of a server.
    pub calls_in_flight_max: usize,
    /// What the inbox of a node may hold, in bytes; past it the server cuts it and the session is lost. The answers to
    /// questions of one node that are not answered may come to a quarter of it.
    pub inbox_bytes_max: u64,
    /// Entries that are taken before they are acknowledged.
    pub ack_entries_max: u64,
    /// How long an entry that was taken may wait for its acknowledgement, in milliseconds.
    pub ack_ms_max: u64,
    /// Members and links of a dead session that one script takes out: less than a millisecond.
    pub sweep_slice: u64,
    /// Levels that one script tells to hooks: the same.
    pub due_slice: u64,
    /// Channels or users that one script looks at to answer a question: the same.
    pub lookup_slice: u64,
    /// Calls that look something up and are not answered.
    pub lookups_in_flight_max: usize,
}

impl Default for ClusterLimits {
    fn default() -> Self {
        Self {
            commands_max: 1 << 16,
            commands_bytes_max: 16 << 20,
            call_commands_max: 64,
            call_bytes_max: 64 << 10,
            calls_in_flight_max: 16,
            inbox_bytes_max: 64 << 20,
            ack_entries_max: 64,
            ack_ms_max: 50,
            sweep_slice: 256,
            due_slice: 256,
            lookup_slice: 256,
            lookups_in_flight_max: 32,
        }
    }
}

/// What a cached event may come to in the answer to a Join, beside its data, in bytes: its frame and its header.
pub(crate) const CACHED_EVENT_BYTES: usize = 1 << 10;

impl Limits {
    /// Those of HTTP requests.
    pub fn http(&self) -> HttpLimits {
        HttpLimits {
            head_bytes_max: self.http_head_bytes_max,
            headers_max: self.http_headers_max,
            body_bytes_max: self.http_body_bytes_max,
        }
    }
}

/// Moments at which events were received that are on their way through a shard. A turn of a sender has one moment, and two batches of
/// each are in flight, so more come only from a crowd of cores; what is one too many counts with the one before.
pub const TIMED_MAX: usize = 256;

/// Descriptors that WebSocket clients never get: many publishers open a connection per call.
pub const DESCRIPTORS_KEPT: usize = 256;

/// Batches of one lane in flight from one core to another. Two keep the pair busy; an inbox of two per sender is then
/// never full.
pub const BATCHES_IN_FLIGHT_MAX: u32 = 2;

/// Bytes read from a socket at once, one buffer per core.
pub const SCRATCH_BYTES: usize = 64 << 10;

/// Connections that wait to be taken over by another core. Past it a plain HTTP connection is answered 503.
pub const HANDOVERS_MAX: usize = 1024;

/// Time for all parts of a call to reach their homes and for all answers to come, in milliseconds. After it the caller
/// gets 503 with `Retry-After`; parts that have gone stay gone.
pub(crate) const CALL_MS_MAX: u64 = 5_000;

/// How long anybody waits for a source of apps, in milliseconds. It has 5 s for its answer, and this is for one that is lost.
pub(crate) const APP_WAIT_MS_MAX: u64 = 6_000;

/// What a core keeps of clients that wait for a source of apps, in bytes.
pub(crate) const APP_WAITS_BYTES_MAX: usize = 4 << 20;

/// How long an HTTP connection that has never asked anything may stay open, in milliseconds.
pub(crate) const SILENT_MS_MAX: u64 = 75_000;

/// How long an HTTP connection without a request is kept though its descriptor is wanted, in milliseconds.
pub(crate) const IDLE_MS_MIN: u64 = 1_000;

/// Time for an HTTP request to arrive whole, in milliseconds.
pub(crate) const BODY_MS_MAX: u64 = 30_000;

/// How long an HTTP client may leave its answers unread, in milliseconds; and in all, as long as it takes fewer than
/// `READ_BYTES_PER_S_MIN` of them.
pub(crate) const UNREAD_MS_MAX: u64 = 30_000;

/// A peer that reads at least so much may take all the time it needs, in bytes per second.
pub(crate) const READ_BYTES_PER_S_MIN: u64 = 1 << 10;

/// Unread answers of one HTTP connection, in bytes; past it none of its requests is taken until it has read them. One
/// answer may overshoot.
pub(crate) const ANSWERS_BYTES_MAX: usize = 64 << 10;

/// Streams of the console, of all kinds together. One more is refused.
pub(crate) const CONSOLE_STREAMS_MAX: usize = 16;

/// Unread events of one stream of the console, in bytes; past it events are lost for it. One event may overshoot.
pub(crate) const CONSOLE_UNREAD_BYTES_MAX: usize = 256 << 10;

/// How often the console looks at the server, in milliseconds.
pub(crate) const CONSOLE_SAMPLE_MS: u64 = 1_000;

/// What is kept of what it has seen: ten minutes.
pub(crate) const CONSOLE_SAMPLES_MAX: usize = 600;

/// Apps that the console is told of, those with most connections.
pub(crate) const CONSOLE_APPS_MAX: usize = 500;

/// Sessions of the console that are remembered as ended. With one more, the oldest ends together with all before it.
pub(crate) const CONSOLE_SIGN_OUTS_MAX: usize = 256;

/// Wrong tokens for the console that may come at once, and in how many milliseconds there may be one more.
pub(crate) const WRONG_TOKENS_MAX: u64 = 10;
pub(crate) const WRONG_TOKEN_MS: u64 = 1_000;

/// Events that wait at the gates, all together, in bytes. Past it a publish that would have to wait gets 503 at once.
pub(crate) const PARKED_BYTES_MAX: usize = 64 << 20;

/// The longest list of channels, in bytes of its body (an estimate). A longer one is refused with a hint at the prefix;
/// a home stops looking when its own part alone is longer.
pub(crate) const CHANNELS_BYTES_MAX: usize = 8 << 20;

/// The last instant whose year has four digits, as an HTTP date needs it, in seconds of Unix time.
pub(crate) const HTTP_DATE_UNIX_S_MAX: u64 = 253_402_300_799;

/// Ranges for which spare boxes have room, 16 MiB: for 16,000 connections that an app's flush interval holds until then.
pub(crate) const SPARE_RANGES_MAX: usize = 1 << 20;

/// Ranges of a box that is kept for reuse; one that a backlog has blown up is not.
pub(crate) const TAIL_RANGES_MAX: usize = 128;

/// What may be kept of the outbox of one connection that is closed, in bytes.
pub(crate) const PARTING_BYTES_MAX: usize = 256 << 10;

/// What a late turn of a drain may make up for, in microseconds: a core sleeps to the next millisecond or two.
pub(crate) const DRAIN_LAG_US_MAX: u64 = 5_000;

/// Private bytes up to which a connection counts as having only a small frame.
pub(crate) const SMALL_BYTES_MAX: usize = 1024;

/// What a half-open connection has for its head, in milliseconds, though the lobby is full: a round trip of most clients.
pub(crate) const HEAD_MS_MIN: u64 = 200;

/// The same for a handshake: two round trips of a phone, and its turn among those who come back with it.
pub(crate) const HANDSHAKE_MS_MIN: u64 = 1_000;

/// Fewer buckets than this are not worth clearing.
pub(crate) const BUCKETS_MIN: usize = 64;

/// Fewer listings than this are not worth clearing.
pub(crate) const LISTINGS_MIN: usize = 64;

/// Refusals that are told for the log in one turn of a core; the others are counted.
pub(crate) const REFUSALS_TOLD_MAX: usize = 64;

/// What is told of the agent of a client, in bytes.
pub(crate) const AGENT_BYTES_MAX: usize = 64;

/// What is told of a path, in bytes.
pub(crate) const PATH_BYTES_MAX: usize = 256;

/// Beats of another session that were seen unchanged before it counts as dead.
pub const UNCHANGED_MAX: u32 = 4;

/// Questions about all nodes that a home may have without an answer; past it the API core is told that it is busy.
pub(crate) const LOOKUPS_MAX: usize = 1024;

/// How long a server may take for the answer to one of them, in milliseconds: less than a call has.
pub(crate) const LOOKUP_MS_MAX: u64 = 2_500;

/// How long a subscription may wait for the cluster, in milliseconds. Clients give up after 10 s and more.
pub(crate) const CLUSTER_WAIT_MS_MAX: u64 = 5_000;

/// Bytes of an event or a message that an operator who watches sees.
pub const WATCHED_BYTES_MAX: usize = 4 << 10;

/// Events of a channel that an operator who watches it is told in a second; the others are counted.
pub(crate) const TAILED_PER_SECOND_MAX: u32 = 20;

/// Messages of a connection that an operator who watches it is told in a second; the others are counted.
pub(crate) const TRACED_PER_SECOND_MAX: u32 = 50;

/// Tails of a home, and traces of a shard. Past it another one is refused.
pub(crate) const WATCHES_MAX: usize = 16;

/// The slowest connections that a shard names.
pub const SLOW_SHOWN_MAX: usize = 20;

/// Questions for the slowest that a shard has in line; past it another one is refused.
pub(crate) const SLOW_WALKS_MAX: usize = 4;

/// Channels of a connection that are named.
pub const CHANNELS_SHOWN_MAX: usize = 100;

/// Channels of a page of the console.
pub(crate) const CONSOLE_CHANNELS_PER_PAGE: usize = 100;

/// Members of a channel that the console is told of.
pub(crate) const CONSOLE_MEMBERS_MAX: usize = 500;

/// For how long a shard watches something when it is asked to, in milliseconds.
pub(crate) const WATCH_MS: u64 = 30_000;

/// How often it is asked again, in milliseconds.
pub(crate) const WATCH_RENEWED_MS: u64 = 10_000;

/// For how long the messages of a connection are shown, in milliseconds.
pub(crate) const TRACE_MS_MAX: u64 = 60_000;

/// For how long the messages of a connection are logged at a time, in seconds.
pub(crate) const LOGGED_S_MAX: u64 = 600;

/// How often answers of the hooks are looked for while some are missing, in milliseconds.
pub(crate) const HOOKS_LOOK_MS: u64 = 20;
