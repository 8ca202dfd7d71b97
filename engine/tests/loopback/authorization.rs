//! Authorized connections: where the app sets a time, a connection shows in it that the app's back end knows it, or goes.

use std::time::{Duration, Instant};

use crate::rig::client::Client;
use crate::rig::server::Server;
use serde_json::json;

/// What the first app gives, and by how much the server's time may be ahead: that of a turn is read at its beginning.
const GIVEN: Duration = Duration::from_secs(1);
const TURN: Duration = Duration::from_millis(20);

const REASON: &str = "Connection not authorized within timeout";

/// A server with these shards, whose first app gives a second and whose second app gives any time.
fn serve(shards: usize) -> Server {
    let app = |id: &str, name: &str| {
        format!("[[apps]]\nid = \"{id}\"\nkey = \"{name}-key\"\nsecret = \"{name}-secret\"\n")
    };
    let apps = format!("{}authorization_timeout_s = 1\n{}", app("7", "loopback"), app("8", "other"));
    Server::with_apps("authorization", shards, &apps)
}

fn who_is_unknown_goes(server: &Server) {
    let (mut signed_in, mut private, mut member) = (server.connect(), server.connect(), server.connect());
    signed_in.sign_in(r#"{"id":"1"}"#);
    private.subscribe("private-a");
    private.unsubscribe("private-a");
    member.join("presence-a", r#"{"user_id":"1"}"#);
    let mut elsewhere = Client::connect(server.tcp(), "/app/other-key?protocol=7");
    let since = Instant::now();
    let (mut silent, mut public, mut refused) = (server.connect(), server.connect(), server.connect());
    public.subscribe("public");
    refused.ask_to_sign_in("{}");
    refused.hear_signin_refusal();
    refused.say(
        &json!({"event": "pusher:subscribe", "data": {"auth": "loopback-key:00", "channel": "private-a"}}),
    );
    refused.hear_refusal("private-a");
    for client in [&mut silent, &mut public, &mut refused] {
        assert_eq!(client.hear_error(), (Some(4009), REASON.to_owned()));
        assert_eq!(client.hear_close(), (4009, REASON.to_owned()));
    }
    assert!(since.elapsed() >= GIVEN - TURN, "{:?}", since.elapsed());
    for client in [&mut signed_in, &mut private, &mut member, &mut elsewhere] {
        client.expect_pong();
    }
}

#[test]
fn who_is_not_authorized_in_time_is_closed_with_4009_and_nobody_else() {
    who_is_unknown_goes(&serve(3));
    who_is_unknown_goes(&serve(1));
}
