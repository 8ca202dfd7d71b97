//! Edges of a cluster, which go into the stream once, whichever nodes add them.
//!
//! The node that passes edges on may die when some are in the stream and their server does not know yet. Another node
//! takes those again, and the first one may find them in its journal later. They are the same edge at the same time, by
//! which the last ones that went in are remembered beside the stream. What must never happen here: an edge that is left out
//! although the stream never had it.

use protocol::hook_event::HookEvent;
use redis::{Cmd, cmd};

use crate::limits::ONCE_EDGES_MAX;
use crate::row::Row;

/// Adds an entry unless its edge was added before. Answers its place, or that of the last entry. What is remembered counts for
/// the stream that is there alone, and a user who may not remember has duplicates instead.
const ADD: &str = "\
    if redis.pcall('EXISTS', KEYS[1]) == 0 then redis.call('DEL', KEYS[2]) end \
    if type(redis.pcall('ZSCORE', KEYS[2], ARGV[1])) == 'string' then \
      local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1] \
      if last then return last[1] end \
    end \
    local at = redis.call('XADD', KEYS[1], '*', unpack(ARGV, 4)) \
    redis.pcall('ZADD', KEYS[2], ARGV[2], ARGV[1]) \
    redis.pcall('ZREMRANGEBYRANK', KEYS[2], 0, ARGV[3]) \
    return at";

/// Where the edges of this stream are remembered.
pub(super) fn key(stream: &str) -> String {
    format!("{stream}:edges")
}

/// The command for this row instead of `add`, which would add it in any case. None: it is no edge.
pub(super) fn guarded(row: &Row, add: &Cmd, stream: &str) -> Option<Cmd> {
    let edge = edge_of(row)?;
    let mut guarded = cmd("EVAL");
    guarded.arg(ADD).arg(2).arg(stream).arg(key(stream));
    guarded.arg(edge).arg(row.time_ms).arg(-(ONCE_EDGES_MAX + 1));
    // Behind XADD, the key and the star.
    for argument in add.args_iter().skip(3) {
        if let redis::Arg::Simple(bytes) = argument {
            guarded.arg(bytes);
        }
    }
    Some(guarded)
}

/// What tells this edge from all others.
fn edge_of(row: &Row) -> Option<String> {
    let user = match &row.event {
        HookEvent::ChannelOccupied { .. }
        | HookEvent::ChannelVacated { .. }
        | HookEvent::UserOnline { .. }
        | HookEvent::UserOffline { .. } => "",
        HookEvent::MemberAdded { user_id, .. } | HookEvent::MemberRemoved { user_id, .. } => user_id,
        HookEvent::ClientEvent { .. }
        | HookEvent::ServerEvent { .. }
        | HookEvent::CacheMiss { .. }
        | HookEvent::SubscriptionCount { .. } => return None,
    };
    let (app, channel, name) = (&row.event.app().id, row.event.channel(), row.event.name());
    Some(format!("{}\0{name}\0{app}\0{channel}\0{user}", row.time_ms))
}
