//! Streams of events, as pages read them (server-sent events): a response without an end, and one event after another.

use std::borrow::Cow;

/// Appends the head of a stream. Its end is that of its connection.
pub fn encode_stream_head(out: &mut Vec<u8>, date: &str) {
    out.extend_from_slice(b"HTTP/1.1 200 OK\r\nDate: ");
    out.extend_from_slice(date.as_bytes());
    // No proxy keeps events back.
    out.extend_from_slice(
        b"\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-store\r\nX-Accel-Buffering: no\r\n\
          X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
    );
}

/// Appends an event. `json` is one value; what it has of line ends is white space.
pub fn encode_event(out: &mut Vec<u8>, name: &str, json: &str) {
    let json =
        if json.contains(['\r', '\n']) { Cow::Owned(json.replace(['\r', '\n'], " ")) } else { json.into() };
    for part in ["event: ", name, "\ndata: ", &json, "\n\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_two_lines_whatever_is_in_it() {
        let mut out = Vec::new();
        encode_event(&mut out, "sample", "{\"a\":\n1}");
        assert_eq!(out, b"event: sample\ndata: {\"a\": 1}\n\n");
    }

    #[test]
    fn the_head_of_a_stream_ends_where_its_events_begin() {
        let mut out = Vec::new();
        encode_stream_head(&mut out, "now");
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with("HTTP/1.1 200 OK\r\nDate: now\r\n")
                && text.ends_with("\r\nConnection: close\r\n\r\n")
        );
        assert!(!text.contains("Content-Length"));
    }
}
