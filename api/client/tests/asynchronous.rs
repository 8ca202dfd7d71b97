//! The clients for tokio, against a real server.
#![forbid(unsafe_code)]

mod scenes;

use std::future::{Future, pending};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use corecast_client::tokio::{ApiClient as AsyncApiClient, Events, WsClient};
use corecast_client::{
    ApiClient, ApiError, ConnectError, Event, Members, SubscribeError, TriggerError, WsOptions,
};
use tokio::runtime::{Builder, Handle};

use scenes::server::PATIENCE;
use scenes::{Call, Driven, Hears};

play!(crate::WsClient);

/// Runs a future on the one runtime of this process, which a thread of its own drives.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    static RUNTIME: OnceLock<Handle> = OnceLock::new();
    let handle = RUNTIME.get_or_init(|| {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        std::thread::spawn(move || runtime.block_on(pending::<()>()));
        handle
    });
    handle.block_on(future)
}

impl Hears for Events {
    fn hear(&mut self) -> Event {
        block_on(self.next_within(PATIENCE)).expect("an event")
    }
}

impl Driven for WsClient {
    type Events = Events;

    fn connect(options: WsOptions) -> Result<Self, ConnectError> {
        block_on(Self::connect(options))
    }

    fn events(&self) -> Events {
        self.events()
    }

    fn subscribe(&self, channel: &str) -> Result<(), SubscribeError> {
        let channel = self.subscribe(channel)?;
        block_on(channel.wait_subscribed())
    }

    fn sign_in(&self) -> Result<(), SubscribeError> {
        self.signin();
        block_on(self.wait_signed_in())
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
        let api = AsyncApiClient::from(api.clone());
        assert_eq!(api.blocking().credentials().app_id(), "7");
        block_on(async {
            match call {
                Call::Trigger(event, then) => api.trigger(event).await.map(then),
                Call::Batch(events, then) => api.trigger_batch(events).await.map(then),
                Call::ToUser(user, name, then) => {
                    api.trigger_to_user(user, name, &serde_json::json!({"to": "you"})).await.map(then)
                }
                Call::Channels(prefix, info, then) => api.channels(prefix.as_deref(), &info).await.map(then),
                Call::Channel(channel, info, then) => api.channel(&channel, &info).await.map(then),
                Call::Users(channel, then) => api.users(&channel).await.map(then),
                Call::Terminate(user, then) => api.terminate_user_connections(user).await.map(then),
            }
        })
    }
}
