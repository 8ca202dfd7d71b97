//! Requests on a connection, one behind the other, and the upgrades among them.
//!
//! An input is what a peer writes. No beginning of a good request may look bad or whole, no body may have two lengths,
//! and nothing of a request may break out of the answer to an upgrade. Called by the fuzz target and by the test that
//! replays the seeds.

use protocol::http::{Head, Request, RequestParse, parse_request};
use protocol::limits::{HTTP_BODY_BYTES_MAX, HTTP_HEAD_BYTES_MAX, QUERY_PARAMS_MAX};
use protocol::query::parse_query;
use protocol::ws::{encode_upgrade_response, parse_protocol_version, parse_upgrade, route_app};

const PREFIXES_MAX: usize = 48;

/// `taken`, `unfinished` or `refused`.
pub(crate) fn check(input: &[u8]) -> &'static str {
    let mut rest = input;
    while !rest.is_empty() {
        match parse_request(rest) {
            RequestParse::Complete { request, bytes } => {
                check_request(&request);
                check_prefixes(&rest[..bytes], &request);
                rest = &rest[bytes..];
            }
            RequestParse::Partial { bytes_min, .. } => {
                assert!(bytes_min > rest.len(), "{bytes_min} bytes are there");
                assert!(
                    bytes_min <= HTTP_HEAD_BYTES_MAX + 2 * HTTP_BODY_BYTES_MAX,
                    "{bytes_min} is no bound"
                );
                return "unfinished";
            }
            RequestParse::Refused(error) => {
                assert!(matches!(error.status, 400 | 413 | 431 | 501 | 505), "{error:?}");
                return "refused";
            }
        }
    }
    "taken"
}

fn check_request(request: &Request<'_>) {
    let head = &request.head;
    assert!(request.body.len() <= HTTP_BODY_BYTES_MAX);
    assert!(head.target.len() <= HTTP_HEAD_BYTES_MAX && !head.path.is_empty());
    let lengths = head.header_values("content-length").count();
    let codings = head.header_values("TRANSFER-ENCODING").count();
    assert!(lengths + codings <= 1, "a body with two ends");
    assert!(lengths + codings == 1 || request.body.is_empty(), "a body without an end");
    assert!(parse_query(head.query).iter().count() <= QUERY_PARAMS_MAX);
    check_upgrade(head);
}

fn check_upgrade(head: &Head<'_>) {
    let upgrade = match parse_upgrade(head) {
        Ok(upgrade) => upgrade,
        Err(refusal) => {
            assert!(matches!(refusal.status, 400 | 405 | 426));
            return;
        }
    };
    if let Ok(key) = route_app(upgrade.path) {
        assert!(!key.is_empty() && !key.contains('/'));
    }
    if let Ok(version) = parse_protocol_version(&upgrade.query) {
        assert!((4..=7).contains(&version));
    }
    let mut answer = Vec::new();
    encode_upgrade_response(&mut answer, upgrade.sec_key);
    let lines = answer.split(|byte| *byte == b'\n').count();
    assert_eq!(lines, 6, "{}", String::from_utf8_lossy(&answer));
}

fn check_prefixes(bytes: &[u8], whole: &Request<'_>) {
    for end in (0..bytes.len()).step_by(bytes.len() / PREFIXES_MAX + 1) {
        let RequestParse::Partial { bytes_min, .. } = parse_request(&bytes[..end]) else {
            panic!("{end} of {} bytes are no beginning", bytes.len());
        };
        assert!(bytes_min > end && bytes_min <= bytes.len(), "{bytes_min} at {end} of {}", bytes.len());
    }
    let RequestParse::Complete { request, .. } = parse_request(bytes) else { panic!("not whole by itself") };
    assert_eq!((request.body, request.head.target), (whole.body.clone(), whole.head.target));
}
