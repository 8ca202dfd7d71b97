//! Signatures of REST calls.

use crate::check::Check;
use crate::ground::Ground;
use crate::rest::Ask;
use crate::verdict::{Verdict, deviates};

pub(super) const CHECKS: &[Check] = &[
    Check { name: "rest_auth.right_signature", breaks: "every server SDK", play: right_signature },
    Check {
        name: "rest_auth.values_are_signed_unescaped",
        breaks: "parameters with commas in Node, PHP and Go",
        play: unescaped,
    },
    Check {
        name: "rest_auth.escaped_and_raw_values",
        breaks: "Node, which escapes nothing",
        play: raw_values,
    },
    Check {
        name: "rest_auth.clock_within_600_s",
        breaks: "back ends whose clock is a little off",
        play: clock_within,
    },
    Check {
        name: "rest_auth.old_calls_are_refused",
        breaks: "calls that were overheard can be repeated",
        play: old_calls,
    },
    Check {
        name: "rest_auth.calls_of_the_future_are_refused",
        breaks: "calls that were overheard can be repeated later",
        play: future_calls,
    },
    Check { name: "rest_auth.wrong_signature_is_401", breaks: "anybody can publish", play: wrong_signature },
    Check {
        name: "rest_auth.unknown_key_is_401",
        breaks: "server SDKs map the status to an error",
        play: unknown_key,
    },
    Check {
        name: "rest_auth.missing_signature_is_401",
        breaks: "anybody can publish",
        play: missing_signature,
    },
    Check {
        name: "rest_auth.changed_body_is_refused",
        breaks: "calls can be changed on their way",
        play: changed_body,
    },
    Check {
        name: "rest_auth.body_md5_of_nothing",
        breaks: "webman's ApiClient, which signs it on GET",
        play: md5_of_nothing,
    },
    Check {
        name: "rest_auth.unknown_app_is_404",
        breaks: "Ruby maps the status to an error",
        play: unknown_app,
    },
];

const EVENT: &str = r#"{"name":"x","channel":"conform-rest-auth","data":"y"}"#;

fn right_signature(ground: &Ground<'_>) -> Verdict {
    ground.rest.ask(&Ask::post("/events", EVENT))?.has_status(200)
}

fn unescaped(ground: &Ground<'_>) -> Verdict {
    let params = [("filter_by_prefix", "presence-"), ("info", "user_count")];
    ground.rest.ask(&Ask::get("/channels", &params))?.has_status(200)?;
    ground.rest.ask(&Ask::get("/channels", &[("filter_by_prefix", "a,b=c@d;e")]))?.has_status(200)
}

fn raw_values(ground: &Ground<'_>) -> Verdict {
    let ask = Ask::get("/channels", &[("filter_by_prefix", "a,b@c")]);
    let query = ground.rest.query(&ask).replace("%2C", ",").replace("%40", "@");
    ground.rest.ask_with(&ask, &query)?.has_status(200)
}

fn with_clock(ground: &Ground<'_>, clock_off: i64, status: u16) -> Verdict {
    let ask = Ask { clock_off, ..Ask::get("/channels", &[]) };
    ground.rest.ask(&ask)?.has_status(status)
}

fn clock_within(ground: &Ground<'_>) -> Verdict {
    with_clock(ground, -580, 200)?;
    with_clock(ground, 580, 200)
}

fn old_calls(ground: &Ground<'_>) -> Verdict {
    with_clock(ground, -630, 401)
}

fn future_calls(ground: &Ground<'_>) -> Verdict {
    with_clock(ground, 630, 401)
}

/// Asks with a query that was changed.
fn changed(ground: &Ground<'_>, change: impl Fn(&str) -> String, status: u16) -> Verdict {
    let ask = Ask::get("/channels", &[]);
    ground.rest.ask_with(&ask, &change(&ground.rest.query(&ask)))?.has_status(status)
}

fn wrong_signature(ground: &Ground<'_>) -> Verdict {
    changed(
        ground,
        |query| match query.rsplit_once('=') {
            Some((front, _)) => format!("{front}={}", "0".repeat(64)),
            None => query.to_owned(),
        },
        401,
    )
}

fn unknown_key(ground: &Ground<'_>) -> Verdict {
    let key = format!("auth_key={}", ground.app().key());
    changed(ground, |query| query.replacen(&key, "auth_key=no-such-key", 1), 401)
}

fn missing_signature(ground: &Ground<'_>) -> Verdict {
    changed(
        ground,
        |query| query.split_once("&auth_signature").map_or(query, |(front, _)| front).to_owned(),
        401,
    )
}

fn changed_body(ground: &Ground<'_>) -> Verdict {
    let query = ground.rest.query(&Ask::post("/events", EVENT));
    let other = Ask::post("/events", r#"{"name":"x","channel":"conform-rest-auth","data":"forged"}"#);
    ground.rest.ask_with(&other, &query)?.has_status(401)
}

fn md5_of_nothing(ground: &Ground<'_>) -> Verdict {
    let params = [("body_md5", "d41d8cd98f00b204e9800998ecf8427e")];
    ground.rest.ask(&Ask::get("/channels", &params))?.has_status(200)
}

fn unknown_app(ground: &Ground<'_>) -> Verdict {
    let place = &ground.target.place;
    let path = format!("{}/apps/no-such-app-conform/channels", place.path);
    let query = ground.app().signed_query("GET", &path, &[], "", 1);
    let answer =
        ground.rest.ask_at("GET", &format!("{}{path}?{query}", place.origin("http", "https")), "")?;
    match answer.status {
        // Both are told apart from a network fault by every SDK.
        404 | 401 | 403 => Ok(()),
        other => deviates(format!("expected 404, got {other}")),
    }
}
