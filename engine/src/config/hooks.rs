//! The settings of `[hooks]`: where events are kept, the stream, how deliveries are retried. What the file does not set has
//! the default of `hooks::settings`.
//!
//! Endpoints belong to their apps and are read in `endpoint`. What must never happen here: a URL in a message, because it
//! may hold a password.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hooks::journal::{JournalSite, JournalSiteFault, preflight};
use hooks::settings::{Durability, Endpoint, Settings, StreamSettings};
use hooks::sinks::{self, SinkFault};
use protocol::app::{App, Apps};
use protocol::hook_kind::HookKinds;

use super::endpoint::{EndpointConfig, parse_disable_after, parse_retry};
use super::fault::Fault;
use super::section::{Section, Value};
use super::table::Table;

/// The default data directory.
const DATA_DIR: &str = "corecast-data";

/// The settings of hooks, before the apps are known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HooksConfig {
    /// All but the endpoints.
    settings: Settings,
    /// The setting `deliver`: whether a consumer group acknowledges entries of the stream, if the operator has said so.
    deliver: Option<bool>,
    /// The endpoints of all apps.
    pub endpoints: Vec<EndpointConfig>,
}

impl Default for HooksConfig {
    fn default() -> Self {
        let settings = Settings::new(PathBuf::from(DATA_DIR), Vec::new());
        Self { settings, deliver: None, endpoints: Vec::new() }
    }
}

impl HooksConfig {
    /// The settings of `[hooks]`, or the defaults without it.
    pub(super) fn parse(value: Option<Value<'_>>, endpoints: Vec<EndpointConfig>) -> Result<Self, Fault> {
        let mut hooks = Self { endpoints, ..Self::default() };
        let Some(value) = value else { return Ok(hooks) };
        let mut section = value.section(Table::Hooks)?;
        hooks.parse_journal(&mut section)?;
        hooks.parse_delivery(&mut section)?;
        hooks.parse_stream(&mut section)?;
        Ok(hooks)
    }

    /// The data directory.
    pub fn data_dir(&self) -> &Path {
        &self.settings.data_dir
    }

    /// Why events could not be stored now, if there are any to store. A server would still serve, and wait.
    pub fn preflight(&self) -> Option<JournalSiteFault> {
        if self.are_wanted() { self.journal_site().err() } else { None }
    }

    /// Whether there are events to store.
    pub fn are_wanted(&self) -> bool {
        self.settings.stream.is_some() || !self.endpoints.is_empty()
    }

    /// Where they would be stored now, or why they could not be.
    pub fn journal_site(&self) -> Result<JournalSite, JournalSiteFault> {
        preflight(&self.settings.data_dir)
    }

    /// What the file of stored events may grow to, in bytes.
    pub fn journal_bytes_max(&self) -> u64 {
        self.settings.journal_bytes_max
    }

    /// Whether the operator has named a data directory.
    pub fn names_data_dir(&self) -> bool {
        self.settings.data_dir != Path::new(DATA_DIR)
    }

    /// The stream that events pass through, if there is one.
    pub fn stream(&self) -> Option<&StreamSettings> {
        self.settings.stream.as_ref()
    }

    /// Gives each app the kinds of events that are made for it: those that one of its endpoints wants or, with a stream and no
    /// endpoint at all, the default kinds for the readers of the stream.
    pub fn give_kinds(&self, apps: &mut [App]) {
        let stream_alone = self.settings.stream.is_some() && self.endpoints.is_empty();
        for app in apps {
            let of_app = self.endpoints.iter().filter(|endpoint| endpoint.app_id == app.id);
            let wanted = of_app.fold(HookKinds::NONE, |kinds, endpoint| kinds.and(endpoint.kinds));
            app.hooks = if stream_alone { HookKinds::USUAL } else { wanted };
        }
    }

    /// The settings for these apps, which may have no endpoint at all, of a server whose hooks run.
    pub fn settings_for(&self, apps: &Apps) -> Settings {
        let known = |endpoint: &EndpointConfig| known_endpoint(endpoint.clone(), apps);
        Settings { endpoints: self.endpoints.iter().filter_map(known).collect(), ..self.settings.clone() }
    }

    /// The same without endpoints.
    pub fn without_endpoints(&self) -> Self {
        Self { endpoints: Vec::new(), ..self.clone() }
    }

    /// Why events cannot be delivered to one of the endpoints, in a line.
    pub fn check_endpoints(&self) -> Result<(), SinkFault> {
        for endpoint in &self.endpoints {
            let app = Arc::new(App::new(&endpoint.app_id, "key", "secret"));
            let endpoint = endpoint.clone().into_endpoint(&app);
            sinks::open(&endpoint, &self.settings.delivery, self.settings.durability)?;
        }
        Ok(())
    }

    /// The settings for these apps; `None` if there are no hooks.
    pub fn for_apps(self, apps: &Apps) -> Option<Settings> {
        let mut settings = self.settings;
        settings.endpoints =
            self.endpoints.into_iter().filter_map(|endpoint| known_endpoint(endpoint, apps)).collect();
        if let Some(stream) = &mut settings.stream {
            // A row that no consumer will acknowledge must not wait for it.
            stream.deliver = self.deliver.unwrap_or(!settings.endpoints.is_empty());
        }
        (settings.stream.is_some() || !settings.endpoints.is_empty()).then_some(settings)
    }

    fn parse_journal(&mut self, section: &mut Section<'_>) -> Result<(), Fault> {
        let settings = &mut self.settings;
        if let Some(value) = section.take("data_dir") {
            settings.data_dir = PathBuf::from(value.filled_text()?);
        }
        if let Some(value) = section.take("durability") {
            settings.durability = durability(&value)?;
        }
        if let Some(value) = section.take("journal_bytes_max") {
            settings.journal_bytes_max = value.integer()?;
            // What one endpoint holds up must leave room for the others.
            settings.delivery.span_bytes_max = settings.journal_bytes_max / 4;
        }
        if let Some(value) = section.take("grace_ms") {
            settings.grace = Duration::from_millis(value.integer()?);
        }
        Ok(())
    }

    fn parse_delivery(&mut self, section: &mut Section<'_>) -> Result<(), Fault> {
        let delivery = &mut self.settings.delivery;
        set_seconds(section.take("give_up_after_s"), &mut delivery.give_up_after)?;
        set_seconds(section.take("retry_pause_max_s"), &mut delivery.pause_max)?;
        if let Some(value) = section.take("retry") {
            delivery.retry = parse_retry(&value)?;
        }
        if let Some(value) = section.take("disable_after_s") {
            delivery.disable_after = Some(parse_disable_after(&value)?).filter(|after| !after.is_zero());
        }
        if let Some(value) = section.take("strict_endpoints") {
            delivery.strict_endpoints = value.boolean()?;
        }
        if let Some(value) = section.take("in_flight_max") {
            delivery.in_flight_max = value.integer()? as usize;
        }
        Ok(())
    }

    fn parse_stream(&mut self, section: &mut Section<'_>) -> Result<(), Fault> {
        let Some(url) = section.take("redis_url") else { return refuse_stream_keys(section) };
        check_redis_url(url.text()?).map_err(|why| url.fault(why))?;
        let mut stream = StreamSettings::new(url.text()?);
        if let Some(value) = section.take("redis_ca_file") {
            if !is_tls(&stream.redis.url.0) {
                return Err(value.fault("has no effect without TLS: redis_url must begin with rediss://"));
            }
            stream.redis.ca_file = Some(value.filled_text()?.into());
        }
        for (key, name) in [("stream", &mut stream.key), ("group", &mut stream.group)] {
            if let Some(value) = section.take(key) {
                *name = value.filled_text()?.to_owned();
            }
        }
        self.deliver = section.take("deliver").map(|value| value.boolean()).transpose()?;
        if let Some(value) = section.take("consumers") {
            stream.consumers = value.integer()? as usize;
        }
        if let Some(value) = section.take("queue_limit") {
            stream.queue_limit = value.integer()?;
        }
        if let Some(value) = section.take("prefetch") {
            stream.prefetch = value.integer()? as usize;
        }
        set_seconds(section.take("requeue_interval_s"), &mut stream.requeue_interval)?;
        set_seconds(section.take("claim_interval_s"), &mut stream.claim_interval)?;
        set_seconds(section.take("pending_timeout_s"), &mut stream.pending_timeout)?;
        self.settings.stream = Some(stream);
        Ok(())
    }
}

/// An endpoint whose app exists: `--app` may have replaced the apps of the file.
fn known_endpoint(endpoint: EndpointConfig, apps: &Apps) -> Option<Endpoint> {
    apps.by_id(&endpoint.app_id).map(|app| endpoint.into_endpoint(app))
}

fn durability(value: &Value<'_>) -> Result<Durability, Fault> {
    match value.text()? {
        "process" => Ok(Durability::Process),
        "power" => Ok(Durability::Power),
        other => {
            let what = "must be \"process\" (nothing is lost when the server is killed) or \"power\" (nor when the power fails)";
            Err(value.wrong(&format!("{other:?}"), what))
        }
    }
}

fn set_seconds(value: Option<Value<'_>>, time: &mut Duration) -> Result<(), Fault> {
    if let Some(value) = value {
        *time = Duration::from_secs(value.integer()?);
    }
    Ok(())
}

fn check_redis_url(url: &str) -> Result<(), &'static str> {
    let rest = ["redis://", "rediss://"].into_iter().find_map(|scheme| url.strip_prefix(scheme));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()?.rsplit('@').next());
    match host {
        Some(host) if !host.is_empty() && !host.starts_with(':') && !url.contains(char::is_whitespace) => {
            Ok(())
        }
        _ => Err(
            "is not the URL of a Redis server; write redis://USER:PASSWORD@HOST:PORT/DATABASE, or rediss:// for TLS",
        ),
    }
}

fn is_tls(redis_url: &str) -> bool {
    redis_url.starts_with("rediss://")
}

/// Refuses the settings of a stream where no stream is named.
fn refuse_stream_keys(section: &mut Section<'_>) -> Result<(), Fault> {
    const KEYS: [&str; 10] = [
        "redis_ca_file",
        "stream",
        "group",
        "deliver",
        "consumers",
        "queue_limit",
        "requeue_interval_s",
        "claim_interval_s",
        "pending_timeout_s",
        "prefetch",
    ];
    match KEYS.into_iter().find_map(|key| section.take(key)) {
        Some(value) => Err(value.fault("has no effect without redis_url")),
        None => Ok(()),
    }
}
