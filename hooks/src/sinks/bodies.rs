//! The bodies of webhooks: Pusher's, and those of webman-push-server and of its parent webman/push.
//!
//! Each tells of the same events in the words of its kind, with our ids beside them.

use protocol::hook_event::{HookEvent, encode_hook_event};
use protocol::json::encode_string;

use crate::encoding::{encode_row_data, encode_seconds};
use crate::sink::Batch;

/// Pusher's: `{"time_ms":1327078148132,"events":[…]}`
pub(super) fn encode_pusher(out: &mut Vec<u8>, batch: &Batch) {
    out.extend_from_slice(format!("{{\"time_ms\":{},\"events\":[", batch.time_ms).as_bytes());
    for (index, row) in batch.rows.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        encode_hook_event(out, &row.event, row.id);
    }
    out.extend_from_slice(b"]}");
}

/// webman-push-server's: the same with the fields of its stream entries as events. `data` is JSON in a string, `time` a number in one.
pub(super) fn encode_webman(out: &mut Vec<u8>, batch: &Batch) {
    out.extend_from_slice(b"{\"time_ms\":");
    encode_seconds(out, batch.time_ms);
    out.extend_from_slice(b",\"events\":[");
    let mut data = Vec::new();
    for (index, row) in batch.rows.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        data.clear();
        encode_row_data(&mut data, row.id, row.time_ms, &row.event);
        out.extend_from_slice(b"{\"name\":\"");
        out.extend_from_slice(row.event.name().as_bytes());
        out.extend_from_slice(b"\",\"data\":");
        encode_string(out, &String::from_utf8_lossy(&data));
        out.extend_from_slice(b",\"time\":\"");
        encode_seconds(out, row.time_ms);
        out.extend_from_slice(format!("\",\"id\":\"{}\",\"app_id\":", row.id).as_bytes());
        encode_string(out, &batch.app.id);
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
}

/// webman/push's: Pusher's with its words for a channel that comes and goes, and the time in seconds. What it has no words
/// for is told in Pusher's.
pub(super) fn encode_webman_push(out: &mut Vec<u8>, batch: &Batch) {
    out.extend_from_slice(b"{\"time_ms\":");
    encode_seconds(out, batch.time_ms);
    out.extend_from_slice(b",\"events\":[");
    for (index, row) in batch.rows.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let name = match &row.event {
            HookEvent::ChannelOccupied { .. } => "channel_added",
            HookEvent::ChannelVacated { .. } => "channel_removed",
            event => {
                encode_hook_event(out, event, row.id);
                continue;
            }
        };
        out.extend_from_slice(format!("{{\"name\":\"{name}\",\"channel\":").as_bytes());
        encode_string(out, row.event.channel());
        out.extend_from_slice(format!(",\"id\":\"{}\"}}", row.id).as_bytes());
    }
    out.extend_from_slice(b"]}");
}
