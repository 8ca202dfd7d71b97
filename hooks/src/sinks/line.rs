//! An event as one line of JSON, for files and commands: the object of Pusher's webhooks with its app and its time.
//!
//! What must never happen here: a line break inside a line.

use protocol::hook_event::encode_hook_event;
use protocol::json::encode_string;

use crate::sink::Batch;

/// Appends a line for each event of the batch.
pub(crate) fn encode_lines(out: &mut Vec<u8>, batch: &Batch) {
    for row in &batch.rows {
        encode_hook_event(out, &row.event, row.id);
        // Two more members before the brace that closes the object.
        out.pop();
        out.extend_from_slice(b",\"app_id\":");
        encode_string(out, &batch.app.id);
        out.extend_from_slice(format!(",\"time_ms\":{}}}\n", row.time_ms).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use protocol::app::App;
    use protocol::hook_event::HookEvent;

    use super::*;
    use crate::row::Row;

    #[test]
    fn a_line_is_an_object_with_app_and_time() {
        let app = Arc::new(App::new("1\"", "k", "s"));
        let event = HookEvent::ChannelOccupied { app: Arc::clone(&app), channel: "a\nb".into() };
        let row = Arc::new(Row { id: 7, time_ms: 1_700_000_000_123, event });
        let mut out = Vec::new();
        encode_lines(&mut out, &Batch { app, rows: vec![row], time_ms: 9, tries: 0 });
        let expected = "{\"name\":\"channel_occupied\",\"channel\":\"a\\nb\",\"id\":\"7\",\"app_id\":\"1\\\"\",\"time_ms\":1700000000123}\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
