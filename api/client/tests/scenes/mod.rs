//! What the clients do against a real server: one body for both drivers, and for one shard and three.

mod endpoint;
pub(crate) mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use corecast_client::{
    ApiClient, ApiError, ConnectError, Credentials, Event, Info, Member, Members, Message, SubscribeError,
    Trigger, TriggerError, WsOptions,
};
use serde_json::json;

use self::endpoint::Endpoint;
use self::server::{PATIENCE, Server};

/// One of the two clients. Each call waits for its end.
pub(crate) trait Driven: Sized + Send + Sync + 'static {
    type Events: Hears;

    fn connect(options: WsOptions) -> Result<Self, ConnectError>;
    fn events(&self) -> Self::Events;
    fn subscribe(&self, channel: &str) -> Result<(), SubscribeError>;
    fn sign_in(&self) -> Result<(), SubscribeError>;
    fn members(&self, channel: &str) -> Members;
    fn is_subscribed(&self, channel: &str) -> bool;
    fn trigger(&self, channel: &str, event: &str, data: &str) -> Result<(), TriggerError>;
    fn unsubscribe(&self, channel: &str);
    fn unsubscribe_all(&self);
    fn channels(&self) -> Vec<String>;
    fn socket_id(&self) -> Option<String>;
    /// Counts the events of a name on a channel, until what is returned is called.
    fn count(&self, channel: &str, event: &str) -> (Arc<AtomicUsize>, Box<dyn FnOnce()>);
    fn disconnect(&self);

    /// The REST client with the same driver.
    fn call<T: Send + 'static>(api: &ApiClient, call: Call<T>) -> Result<T, ApiError>;
}

/// One call, for each of the two REST clients.
pub(crate) enum Call<T> {
    Trigger(Trigger, fn(std::collections::BTreeMap<String, corecast_client::ChannelInfo>) -> T),
    Batch(Vec<Trigger>, fn(Vec<corecast_client::ChannelInfo>) -> T),
    ToUser(&'static str, &'static str, fn(()) -> T),
    Channels(
        Option<String>,
        Vec<Info>,
        fn(std::collections::BTreeMap<String, corecast_client::ChannelInfo>) -> T,
    ),
    Channel(String, Vec<Info>, fn(corecast_client::ChannelInfo) -> T),
    Users(String, fn(Vec<String>) -> T),
    Terminate(&'static str, fn(()) -> T),
}

/// Events as they come.
pub(crate) trait Hears {
    fn hear(&mut self) -> Event;
}

fn options(server: &Server) -> WsOptions {
    WsOptions::new(&server.url(), "client-key").unwrap()
}

fn app() -> Credentials {
    Credentials::new("7", "client-key", "client-secret")
}

fn signing(server: &Server, user: &str) -> WsOptions {
    options(server).sign_with(app(), Member::with_info(user, json!({"name": user})))
}

fn api(server: &Server) -> ApiClient {
    ApiClient::from_url(&server.pusher_url()).unwrap()
}

/// A channel of one test on one server.
fn named<D: Driven>(server: &Server, name: &str) -> String {
    format!("{name}-{}-{}", server.shards(), std::process::id())
}

/// The next message; what else comes is passed over.
fn message(events: &mut impl Hears) -> Message {
    loop {
        if let Event::Message(message) = events.hear() {
            return message;
        }
    }
}

fn data(events: &mut impl Hears) -> String {
    message(events).data
}

fn trigger<D: Driven>(api: &ApiClient, event: Trigger) {
    D::call(api, Call::Trigger(event, drop)).unwrap();
}

/// Waits until something is so.
fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let give_up = std::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(std::time::Instant::now() < give_up, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn what_is_published_is_heard_in_order_and_not_by_the_excepted<D: Driven>(server: &Server) {
    let (api, channel, other) = (api(server), named::<D>(server, "order"), named::<D>(server, "order-too"));
    let (one, two) = (D::connect(options(server)).unwrap(), D::connect(options(server)).unwrap());
    let (mut heard, mut heard_too) = (one.events(), two.events());
    for client in [&one, &two] {
        client.subscribe(&channel).unwrap();
        client.subscribe(&other).unwrap();
    }
    for number in 0..20 {
        trigger::<D>(&api, Trigger::new(&*channel, "e", number.to_string()));
    }
    trigger::<D>(
        &api,
        Trigger::json(&*channel, "e", &json!({"a": 1})).unwrap().except(two.socket_id().unwrap()),
    );
    let batch = vec![Trigger::new(&*channel, "e", "é\u{2028}\"\\"), Trigger::new(&*other, "f", "")];
    assert_eq!(D::call(&api, Call::Batch(batch, |infos| infos)).unwrap(), []);
    let mut wanted: Vec<String> = (0..20).map(|number: i32| number.to_string()).collect();
    wanted.extend([r#"{"a":1}"#.to_owned(), "é\u{2028}\"\\".to_owned()]);
    // Each channel has an order of its own.
    let all_of = |events: &mut D::Events, count: usize| -> (Vec<Message>, Vec<Message>) {
        (0..count).map(|_| message(events)).partition(|message| message.channel.as_deref() == Some(&*channel))
    };
    let texts = |messages: Vec<Message>| messages.into_iter().map(|message| message.data).collect::<Vec<_>>();
    let (on_channel, on_other) = all_of(&mut heard, wanted.len() + 1);
    assert_eq!(texts(on_channel), wanted);
    assert_eq!(
        (&*on_other[0].event, on_other[0].channel.as_deref(), &*on_other[0].data),
        ("f", Some(&*other), "")
    );
    wanted.remove(20);
    let (on_channel, on_other) = all_of(&mut heard_too, wanted.len() + 1);
    assert_eq!((texts(on_channel), on_other.len()), (wanted, 1));
}

pub(crate) fn members_come_and_go_and_send_events_to_each_other<D: Driven>(server: &Server) {
    let channel = named::<D>(server, "presence-room");
    let ann = D::connect(signing(server, "ann")).unwrap();
    let mut heard = ann.events();
    ann.subscribe(&channel).unwrap();
    assert_eq!((ann.members(&channel).me(), ann.members(&channel).count()), (Some("ann"), 1));
    let bob = D::connect(signing(server, "bob")).unwrap();
    let mut heard_by_bob = bob.events();
    bob.subscribe(&channel).unwrap();
    let is_bob = |member: &Member| *member == Member::with_info("bob", json!({"name": "bob"}));
    loop {
        match heard.hear() {
            Event::MemberAdded { channel: on, member } => {
                assert!(on == channel && is_bob(&member), "{member:?}");
                break;
            }
            other => assert!(!matches!(other, Event::Message(_)), "{other:?}"),
        }
    }
    let names: Vec<String> = bob.members(&channel).iter().map(|member| member.id).collect();
    assert_eq!((names, ann.members(&channel).count()), (vec!["ann".to_owned(), "bob".to_owned()], 2));
    assert_eq!(D::call(&api(server), Call::Users(channel.clone(), |users| users)).unwrap().len(), 2);
    assert_eq!(bob.trigger(&channel, "typing", ""), Err(TriggerError::BadName));
    assert_eq!(bob.trigger("news", "client-typing", ""), Err(TriggerError::BadChannel));
    bob.trigger(&channel, "client-typing", "…").unwrap();
    ann.trigger(&channel, "client-seen", "1").unwrap();
    let typing = message(&mut heard);
    assert_eq!(
        (&*typing.event, &*typing.data, typing.user_id.as_deref()),
        ("client-typing", "…", Some("bob"))
    );
    assert_eq!(message(&mut heard_by_bob).event, "client-seen");
    bob.disconnect();
    loop {
        if let Event::MemberRemoved { member, .. } = heard.hear() {
            assert!(is_bob(&member));
            break;
        }
    }
    assert_eq!(ann.members(&channel).count(), 1);
    assert_eq!(bob.trigger(&channel, "client-typing", ""), Err(TriggerError::NotSubscribed));
}

pub(crate) fn an_auth_endpoint_lets_in_or_says_why_not<D: Driven>(server: &Server) {
    let endpoint = Endpoint::start(api(server), "X-Token: let-me-in");
    let allowed = options(server).auth_header("X-Token", "let-me-in").auth_url(endpoint.url("/pusher/auth"));
    let client = D::connect(allowed).unwrap();
    client.subscribe(&named::<D>(server, "private-a")).unwrap();
    let presence = named::<D>(server, "presence-a");
    client.subscribe(&presence).unwrap();
    assert_eq!(client.members(&presence).me(), Some("of-the-endpoint"));
    let users =
        options(server).auth_header("X-Token", "let-me-in").user_auth_url(endpoint.url("/pusher/user-auth"));
    D::connect(users).unwrap().sign_in().unwrap();
    let client = D::connect(options(server).auth_url(endpoint.url("/pusher/auth"))).unwrap();
    let Err(SubscribeError::Refused(refusal)) = client.subscribe("private-a") else {
        panic!("it was let in")
    };
    assert_eq!((refusal.status, refusal.message.contains("no token")), (Some(403), true), "{refusal}");
    // One that signs with another secret is refused by the server itself.
    let wrong = Credentials::new("7", "client-key", "wrong");
    let client = D::connect(options(server).sign_with(wrong, Member::new("x"))).unwrap();
    let Err(SubscribeError::Refused(refusal)) = client.subscribe("private-a") else {
        panic!("it was let in")
    };
    assert!(refusal.message.contains("signature"), "{refusal}");
    assert!(!client.is_subscribed("private-a"));
}

pub(crate) fn a_user_signs_in_gets_events_and_is_ended_for_good<D: Driven>(server: &Server) {
    let user = if server.shards() == 1 { "solo" } else { "trio" };
    let client = D::connect(options(server).sign_in_with(app(), json!({"id": user}))).unwrap();
    let mut heard = client.events();
    client.sign_in().unwrap();
    // The subscription to the user's own events has no answer to wait for.
    wait_for("an event for the user", || {
        D::call(&api(server), Call::ToUser(user, "hello", |()| ())).unwrap();
        client.channels().is_empty()
    });
    let hello = message(&mut heard);
    assert_eq!((&*hello.event, &*hello.data), ("hello", r#"{"to":"you"}"#));
    D::call(&api(server), Call::Terminate(user, |()| ())).unwrap();
    loop {
        if let Event::Disconnected { code, retry, .. } = heard.hear() {
            assert_eq!((code, retry), (Some(4009), None));
            break;
        }
    }
    let wrong = Credentials::new("7", "client-key", "wrong");
    let client = D::connect(options(server).sign_in_with(wrong, json!({"id": user}))).unwrap();
    assert!(matches!(client.sign_in(), Err(SubscribeError::Refused(_))));
}

pub(crate) fn handlers_and_subscriptions_are_taken_back<D: Driven>(server: &Server) {
    let (api, a, b) = (api(server), named::<D>(server, "bound-a"), named::<D>(server, "bound-b"));
    let client = D::connect(options(server)).unwrap();
    let mut heard = client.events();
    client.subscribe(&a).unwrap();
    client.subscribe(&b).unwrap();
    let (count, unbind) = client.count(&a, "e");
    for (channel, event) in [(&a, "e"), (&b, "e"), (&a, "f"), (&a, "e")] {
        trigger::<D>(&api, Trigger::new(&**channel, event, ""));
        message(&mut heard);
    }
    wait_for("the handler", || count.load(Ordering::Acquire) == 2);
    unbind();
    trigger::<D>(&api, Trigger::new(&*a, "e", ""));
    message(&mut heard);
    assert_eq!(count.load(Ordering::Acquire), 2);
    assert_eq!(client.channels(), [a.clone(), b.clone()]);
    client.unsubscribe(&a);
    trigger::<D>(&api, Trigger::new(&*a, "e", "a"));
    trigger::<D>(&api, Trigger::new(&*b, "e", "b"));
    assert_eq!(data(&mut heard), "b");
    client.unsubscribe_all();
    assert_eq!(client.channels(), [""; 0]);
    let is_empty = || {
        let info = D::call(&api, Call::Channel(b.clone(), vec![], |info| info)).unwrap();
        info.occupied == Some(false)
    };
    wait_for("the server to hear of it", is_empty);
}

pub(crate) fn ten_thousand_events_pass_a_short_queue_and_a_slow_reader<D: Driven>(server: &Server) {
    const EVENTS: usize = 10_000;
    let channel = named::<D>(server, "many");
    let client = D::connect(options(server).queue(32)).unwrap();
    let mut heard = client.events();
    client.subscribe(&channel).unwrap();
    let publisher = {
        let (api, channel) = (api(server), channel.clone());
        std::thread::spawn(move || {
            for first in (0..EVENTS).step_by(10) {
                let batch =
                    (first..first + 10).map(|number| Trigger::new(&*channel, "e", number.to_string()));
                D::call(&api, Call::Batch(batch.collect(), drop)).unwrap();
            }
        })
    };
    for number in 0..EVENTS {
        if number % 1000 == 0 {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(data(&mut heard), number.to_string());
    }
    publisher.join().unwrap();
}

pub(crate) fn a_killed_and_restarted_server_is_found_again<D: Driven>(server: &Server) {
    let mut own = Server::start(server::free_port(), server.shards());
    let pauses = Duration::from_millis(50);
    let client = D::connect(signing(&own, "ann").retry_pauses(pauses, pauses)).unwrap();
    let mut heard = client.events();
    for channel in ["presence-a", "b"] {
        client.subscribe(channel).unwrap();
    }
    let first = client.socket_id().unwrap();
    own.restart();
    let mut again = Vec::new();
    let mut is_lost = false;
    while again.len() < 2 {
        match heard.hear() {
            Event::Disconnected { retry, .. } => is_lost = retry.is_some(),
            Event::Subscribed { channel } if is_lost => again.push(channel),
            _ => {}
        }
    }
    again.sort();
    assert_eq!(again, ["b", "presence-a"]);
    assert_ne!(client.socket_id().unwrap(), first);
    assert_eq!(client.members("presence-a").count(), 1);
    trigger::<D>(&api(&own), Trigger::new("b", "e", "after"));
    assert_eq!(data(&mut heard), "after");
}

pub(crate) fn a_server_that_refuses_or_is_not_there_is_told_at_once<D: Driven>(server: &Server) {
    let unknown = WsOptions::new(&server.url(), "nobody").unwrap();
    assert!(matches!(D::connect(unknown), Err(ConnectError::Refused { code: 4001, .. })));
    let nowhere = format!("ws://127.0.0.1:{}", server::free_port());
    assert!(matches!(D::connect(WsOptions::new(&nowhere, "k").unwrap()), Err(ConnectError::Unreachable(_))));
    let lost = ApiClient::from_url(&format!("{}/apps/7", nowhere.replace("ws://", "http://k:s@"))).unwrap();
    let event = || Trigger::new("c", "e", "");
    assert!(matches!(D::call(&lost, Call::Trigger(event(), drop)), Err(ApiError::Unreachable(_))));
    let wrong = ApiClient::from_url(&server.pusher_url_with("wrong")).unwrap();
    let Err(error) = D::call(&wrong, Call::Trigger(event(), drop)) else { panic!("it was taken") };
    assert_eq!(error.status(), Some(401));
    assert!(error.to_string().contains("Invalid signature"), "{error}");
    let bad = Trigger::new("no channel", "e", "");
    assert_eq!(D::call(&api(server), Call::Trigger(bad, drop)).unwrap_err().status(), Some(400));
}

pub(crate) fn queries_say_who_and_how_many_are_there<D: Driven>(server: &Server) {
    let (api, room, cache) =
        (api(server), named::<D>(server, "presence-asked"), named::<D>(server, "cache-asked"));
    let client = D::connect(signing(server, "ann")).unwrap();
    for channel in [&room, &cache] {
        client.subscribe(channel).unwrap();
    }
    let asking =
        Trigger::new(&*room, "e", "").also_to(&*cache).asking(&[Info::UserCount, Info::SubscriptionCount]);
    let info = D::call(&api, Call::Trigger(asking, |channels| channels)).unwrap();
    assert_eq!((info[&room].user_count, info[&cache].subscription_count), (Some(1), Some(1)));
    let channels =
        D::call(&api, Call::Channels(Some("presence-".to_owned()), vec![Info::UserCount], |found| found))
            .unwrap();
    assert_eq!((channels[&room].user_count, channels.contains_key(&cache)), (Some(1), false));
    let cached = D::call(&api, Call::Channel(cache.clone(), vec![Info::Cache], |info| info)).unwrap();
    assert_eq!((cached.occupied, cached.cache.map(|cache| cache.data)), (Some(true), Some(String::new())));
    assert_eq!(D::call(&api, Call::Users(room.clone(), |users| users)).unwrap(), ["ann"]);
}

/// All of the above, for one driver.
#[macro_export]
macro_rules! play {
    ($driver:ty) => {
        $crate::play! { $driver:
            what_is_published_is_heard_in_order_and_not_by_the_excepted
            members_come_and_go_and_send_events_to_each_other
            an_auth_endpoint_lets_in_or_says_why_not
            a_user_signs_in_gets_events_and_is_ended_for_good
            handlers_and_subscriptions_are_taken_back
            ten_thousand_events_pass_a_short_queue_and_a_slow_reader
            a_killed_and_restarted_server_is_found_again
            a_server_that_refuses_or_is_not_there_is_told_at_once
            queries_say_who_and_how_many_are_there
        }
    };
    ($driver:ty: $($name:ident)*) => {
        mod on_one_shard {
            $(#[test] fn $name() { $crate::scenes::$name::<$driver>($crate::scenes::server::shared(1)); })*
        }
        mod on_three_shards {
            $(#[test] fn $name() { $crate::scenes::$name::<$driver>($crate::scenes::server::shared(3)); })*
        }
    };
}
