//! Clients behind proxies: one connection may carry the requests of many.

use super::*;

const UPGRADE: &str = "GET /app/key HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    X-Forwarded-For: 1.2.3.4\r\n\r\n";

fn live(line: &str) -> String {
    format!("GET /live HTTP/1.1\r\nHost: h\r\n{line}\r\n")
}

fn told(rig: &Rig) -> Vec<&str> {
    rig.clients.iter().map(|(_, address)| &**address).collect()
}

#[test]
fn each_request_of_a_trusted_proxy_is_of_the_client_that_it_names() {
    let mut rig = Rig::new();
    let proxy = rig.open();
    rig.core.handle_peer(proxy, "10.0.0.1:5".parse::<std::net::SocketAddr>().ok().map(Into::into));
    let named = live("X-Forwarded-For: 1.2.3.4\r\n");
    rig.send(proxy, named.clone() + &named + &live("X-Forwarded-For: 5.6.7.8\r\n") + &live(""));
    rig.run();
    assert_eq!(told(&rig), ["1.2.3.4", "5.6.7.8", "10.0.0.1:5"]);
    rig.send(proxy, named);
    rig.run();
    assert_eq!(rig.statuses(proxy).len(), 5);
    // The shard that takes it over hears of the proxy, and asks it itself.
    rig.send(proxy, UPGRADE);
    rig.run();
    assert_eq!(told(&rig)[3..], ["1.2.3.4", "10.0.0.1:5"]);
    assert_eq!(rig.handed_over.len(), 1);
}

#[test]
fn what_another_peer_says_of_itself_is_ignored() {
    let mut rig = Rig::new();
    let peer = rig.open();
    rig.core.handle_peer(peer, "192.0.2.1:5".parse::<std::net::SocketAddr>().ok().map(Into::into));
    rig.send(peer, live("X-Forwarded-For: 1.2.3.4\r\n"));
    rig.run();
    assert_eq!(rig.statuses(peer), [200]);
    assert_eq!(told(&rig), [""; 0]);
}

#[test]
fn an_app_that_is_there_by_tls_only_takes_the_word_of_trusted_proxies_for_each_call() {
    let (https, http) = ("X-Forwarded-Proto: https\r\n", "X-Forwarded-Proto: http\r\n");
    let table = [
        ("10.0.0.1:5", false, [https, http, ""], [200, 403, 403]),
        ("10.0.0.1:5", true, [https, http, ""], [200, 403, 200]),
        ("192.0.2.1:5", false, [https, http, ""], [403, 403, 403]),
        ("192.0.2.1:5", true, [https, http, ""], [200, 200, 200]),
    ];
    for (peer, secure, lines, statuses) in table {
        let mut app = App::new("1", "key", "secret");
        app.tls_only = true;
        let mut rig = Rig::of(app);
        let token = rig.open_by(Door::Public, secure);
        rig.core.handle_peer(token, peer.parse::<std::net::SocketAddr>().ok().map(Into::into));
        for line in lines {
            let request = rig.signed("GET", "/apps/1/connections", &[], "");
            rig.send(token, request.replacen("\r\n", &format!("\r\n{line}"), 1));
            rig.run();
        }
        assert_eq!(rig.statuses(token), statuses, "{peer} {secure}");
    }
}
