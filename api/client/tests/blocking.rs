//! The clients that block, against a real server.
#![forbid(unsafe_code)]

#[path = "../examples/backend.rs"]
mod backend;
#[path = "../examples/chat.rs"]
mod chat;
mod scenes;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use corecast_client::{
    ApiClient, ApiError, ConnectError, Event, Events, Members, SubscribeError, TriggerError, WsClient,
    WsOptions,
};

use scenes::server::PATIENCE;
use scenes::{Call, Driven, Hears};

play!(crate::WsClient);

#[test]
fn the_examples_do_what_they_say() {
    let server = scenes::server::shared(3);
    let heard = chat::run(&server.url(), &server.pusher_url()).unwrap();
    assert_eq!(heard, "hello from bob");
    assert_eq!(backend::run(&server.pusher_url()).unwrap(), 0);
}

impl Hears for Events {
    fn hear(&mut self) -> Event {
        self.next_within(PATIENCE).expect("an event")
    }
}

impl Driven for WsClient {
    type Events = Events;

    fn connect(options: WsOptions) -> Result<Self, ConnectError> {
        Self::connect(options)
    }

    fn events(&self) -> Events {
        self.events()
    }

    fn subscribe(&self, channel: &str) -> Result<(), SubscribeError> {
        self.subscribe(channel)?.wait_subscribed()
    }

    fn sign_in(&self) -> Result<(), SubscribeError> {
        self.signin();
        self.wait_signed_in()
    }

    fn members(&self, channel: &str) -> Members {
        self.channel(channel).members()
    }

    fn is_subscribed(&self, channel: &str) -> bool {
        self.channel(channel).is_subscribed()
    }

    fn trigger(&self, channel: &str, event: &str, data: &str) -> Result<(), TriggerError> {
        self.channel(channel).trigger(event, data)
    }

    fn unsubscribe(&self, channel: &str) {
        self.channel(channel).unsubscribe();
    }

    fn unsubscribe_all(&self) {
        self.unsubscribe_all();
    }

    fn channels(&self) -> Vec<String> {
        self.channels()
    }

    fn socket_id(&self) -> Option<String> {
        self.socket_id()
    }

    fn count(&self, channel: &str, event: &str) -> (Arc<AtomicUsize>, Box<dyn FnOnce()>) {
        let count = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&count);
        let id = self.channel(channel).bind(event, move |_| {
            counter.fetch_add(1, Ordering::AcqRel);
        });
        let client = self.clone();
        (count, Box::new(move || client.unbind(id)))
    }

    fn disconnect(&self) {
        self.disconnect();
    }

    fn call<T: Send + 'static>(api: &ApiClient, call: Call<T>) -> Result<T, ApiError> {
        match call {
            Call::Trigger(event, then) => api.trigger(&event).map(then),
            Call::Batch(events, then) => api.trigger_batch(&events).map(then),
            Call::ToUser(user, name, then) => {
                api.trigger_to_user(user, name, &serde_json::json!({"to": "you"})).map(then)
            }
            Call::Channels(prefix, info, then) => api.channels(prefix.as_deref(), &info).map(then),
            Call::Channel(channel, info, then) => api.channel(&channel, &info).map(then),
            Call::Users(channel, then) => api.users(&channel).map(then),
            Call::Terminate(user, then) => api.terminate_user_connections(user).map(then),
        }
    }
}
