//! soketi's file and variables as settings of ours. Where soketi's default lets clients do less, or more, than ours, it is
//! set as well, so that a server that moves does what it did before.

use std::net::{IpAddr, SocketAddr};

use super::given::{Given, Keys};
use super::sizes::{fit, limit};
use super::soketi_keys::{APPS, Fate, fate};
use super::translation::{Setting, TranslatedApp, Translation};
use super::webhooks::webhooks;
use crate::config::fault::Fault;
use crate::config::layer::{quoted, quoted_list};

const KIB: f64 = 1024.0;

/// How many client events a connection may send per second where soketi has no limit: as many as can be set.
const CLIENT_EVENTS_UNLIMITED: &str = "1000";

const USUAL_CACHE_TTL_S: &str = "3600";
const USUAL_METRICS_PREFIX: &str = "\"soketi_\"";

/// Limits: soketi's key for all apps, its key for one, our path, and how much of ours one of soketi's is.
const LIMITS: [(&str, &str, &str, f64); 7] = [
    ("channelLimits.maxNameLength", "maxChannelNameLength", "limits.channel_name_bytes_max", 1.0),
    ("eventLimits.maxChannelsAtOnce", "maxEventChannelsAtOnce", "limits.channels_per_event_max", 1.0),
    ("eventLimits.maxNameLength", "maxEventNameLength", "limits.event_name_characters_max", 1.0),
    ("eventLimits.maxPayloadInKb", "maxEventPayloadInKb", "limits.event_data_bytes_max", KIB),
    ("eventLimits.maxBatchSize", "maxEventBatchSize", "limits.batch_events_max", 1.0),
    ("presence.maxMembersPerChannel", "maxPresenceMembersPerChannel", "limits.presence_members_max", 1.0),
    ("presence.maxMemberSizeInKb", "maxPresenceMemberSizeInKb", "limits.presence_user_bytes_max", KIB),
];

/// What the keys come to.
pub(super) fn translate(mut keys: Keys) -> Result<Translation, Fault> {
    let mut translation = Translation::default();
    listen(&mut keys, &mut translation)?;
    metrics(&mut keys, &mut translation)?;
    process(&mut keys, &mut translation)?;
    limits(&mut keys, &mut translation)?;
    memory(&mut keys, &mut translation)?;
    if let Some(given) = keys.take("appManager.driver")
        && given.text()? != "array"
    {
        translation.ignore(&given, "apps are read from no database: use apps_url or [app_store]");
    }
    apps(&mut keys, &mut translation)?;
    for given in keys.into_rest() {
        match fate(&given.path) {
            Some(Fate::Ignored(why)) => translation.ignore(&given, why),
            Some(Fate::Taken) => {}
            None => translation.ignore(&given, "soketi has no such key either"),
        }
    }
    fit(&mut translation);
    Ok(translation)
}

/// What the process says, and how it ends.
fn process(keys: &mut Keys, translation: &mut Translation) -> Result<(), Fault> {
    if let Some(given) = keys.take("debug") {
        let level = if given.boolean()? { "debug" } else { "info" };
        translation.settings.push(Setting::of(&given, "log_level", quoted(level)));
    }
    if let Some(given) = keys.take("shutdownGracePeriod") {
        let seconds = (given.number()?.max(0.0) / 1000.0).ceil().min(3600.0);
        translation.settings.push(Setting::of(&given, "ready_grace", seconds.to_string()));
    }
    Ok(())
}

/// From which share of the memory on newcomers are turned away.
fn memory(keys: &mut Keys, translation: &mut Translation) -> Result<(), Fault> {
    let Some(given) = keys.take("httpApi.acceptTraffic.memoryThreshold") else { return Ok(()) };
    let percent = given.number()?.clamp(1.0, 100.0);
    let Some(memory_bytes) = keys.memory_bytes() else {
        translation.ignore(&given, "nothing says how much memory there is: set memory_high_bytes in [load]");
        return Ok(());
    };
    let high = (memory_bytes as f64 * percent / 100.0) as u64;
    let mut set = Setting::of(&given, "load.memory_high_bytes", high.to_string());
    set.from.push_str(", of the memory here");
    translation.settings.push(set);
    Ok(())
}

/// The limits of all apps, and that of a request.
fn limits(keys: &mut Keys, translation: &mut Translation) -> Result<(), Fault> {
    for (key, _, path, factor) in LIMITS {
        if let Some(given) = keys.take(key) {
            let set = limit(translation, &given, path, factor)?;
            translation.settings.extend(set);
        }
    }
    if let Some(given) = keys.take("httpApi.requestLimitInMb") {
        let set = limit(translation, &given, "limits.http_body_bytes_max", KIB * KIB)?;
        translation.settings.extend(set);
    }
    Ok(())
}

/// soketi has one port, with TLS or without.
fn listen(keys: &mut Keys, translation: &mut Translation) -> Result<(), Fault> {
    let (host, port) = (keys.take("host"), keys.take("port"));
    let (cert, key) = (keys.take("ssl.certPath"), keys.take("ssl.keyPath"));
    let address = address(host.as_ref(), port.as_ref(), 6001)?;
    let addresses = quoted_list([&*address.to_string()]);
    let first = port.as_ref().or(host.as_ref());
    match (cert, key) {
        (Some(cert), Some(key)) => translation.settings.extend([
            Setting::of(&cert, "listen", "[]".to_owned()),
            Setting::of(first.unwrap_or(&cert), "tls.listen", addresses),
            Setting::of(&cert, "tls.cert", quoted(cert.text()?)),
            Setting::of(&key, "tls.key", quoted(key.text()?)),
        ]),
        // A server that was reached over TLS must not become one without.
        (Some(given), None) => return Err(given.fault("needs ssl.keyPath beside it")),
        (None, Some(given)) => return Err(given.fault("needs ssl.certPath beside it")),
        (None, None) => translation.settings.extend(first.map(|it| Setting::of(it, "listen", addresses))),
    }
    if let Some(given) = keys.take("pathPrefix") {
        let text = given.text()?;
        let prefix = if text.starts_with('/') { text.to_owned() } else { format!("/{text}") };
        translation.settings.push(Setting::of(&given, "path_prefix", quoted(&prefix)));
    }
    Ok(())
}

/// The address of a host and a port.
pub(super) fn address(host: Option<&Given>, port: Option<&Given>, usual: u16) -> Result<SocketAddr, Fault> {
    let ip = match host {
        None => IpAddr::from([0, 0, 0, 0]),
        Some(host) => {
            let text = host.text()?.trim_matches(['[', ']']);
            let known = if text == "localhost" { Ok(IpAddr::from([127, 0, 0, 1])) } else { text.parse() };
            known
                .map_err(|_| host.fault("must be an IP address, such as 0.0.0.0 or 127.0.0.1, not a name"))?
        }
    };
    let Some(given) = port else { return Ok(SocketAddr::new(ip, usual)) };
    let port = given.text()?.trim().parse();
    Ok(SocketAddr::new(ip, port.map_err(|_| given.fault("must be a port, from 0 to 65535"))?))
}

fn metrics(keys: &mut Keys, translation: &mut Translation) -> Result<(), Fault> {
    let (host, port) = (keys.take("metrics.host"), keys.take("metrics.port"));
    let prefix = keys.take("metrics.prometheus.prefix");
    if let Some(given) = &prefix {
        translation.settings.push(Setting::of(given, "metrics_prefix", quoted(given.text()?)));
    }
    let Some(enabled) = keys.take("metrics.enabled") else {
        let why =
            "metrics are on without it, at 127.0.0.1:9601 if that is free; metrics.enabled makes it count";
        for given in [host, port].iter().flatten() {
            translation.ignore(given, why);
        }
        return Ok(());
    };
    if !enabled.boolean()? {
        translation.settings.push(Setting::of(&enabled, "admin", quoted("off")));
        return Ok(());
    }
    let address = address(host.as_ref(), port.as_ref(), 9601)?;
    translation.settings.push(Setting::of(&enabled, "admin", quoted(&address.to_string())));
    if prefix.is_none() {
        let usual = Setting::usual(&enabled, "soketi's default", "metrics_prefix", USUAL_METRICS_PREFIX);
        translation.settings.push(usual);
    }
    Ok(())
}

/// What all apps have in common in soketi, and each has for itself here.
struct Shared {
    cache_ttl: Option<Setting>,
    authentication_timeout: Option<Given>,
    batching: Option<Setting>,
}

fn apps(keys: &mut Keys, translation: &mut Translation) -> Result<(), Fault> {
    let shared = Shared {
        cache_ttl: cache_ttl(keys)?,
        authentication_timeout: keys.take("userAuthenticationTimeout"),
        batching: batching(keys)?,
    };
    for path in keys.items(APPS) {
        let app = app(keys, &path, &shared, translation)?;
        translation.apps.push(app);
    }
    Ok(())
}

fn cache_ttl(keys: &mut Keys) -> Result<Option<Setting>, Fault> {
    let Some(given) = keys.take("channelLimits.cacheTtl") else { return Ok(None) };
    let seconds = given.number()?.ceil().clamp(1.0, 86_400.0);
    Ok(Some(Setting::of(&given, "cache_ttl_s", seconds.to_string())))
}

/// How long a webhook waits for more events.
fn batching(keys: &mut Keys) -> Result<Option<Setting>, Fault> {
    let (enabled, duration) =
        (keys.take("webhooks.batching.enabled"), keys.take("webhooks.batching.duration"));
    let Some(enabled) = enabled else { return Ok(None) };
    let wait = match (enabled.boolean()?, &duration) {
        (false, _) => 0.0,
        (true, None) => 50.0,
        (true, Some(duration)) => duration.number()?.ceil().clamp(0.0, 600_000.0),
    };
    Ok(Some(Setting::of(duration.as_ref().unwrap_or(&enabled), "batch_ms", wait.to_string())))
}

fn app(
    keys: &mut Keys,
    path: &str,
    shared: &Shared,
    translation: &mut Translation,
) -> Result<TranslatedApp, Fault> {
    let mut take = |key: &str| keys.take(&format!("{path}{key}"));
    let [id, key, secret] = ["id", "key", "secret"].map(&mut take);
    let app_id = id.as_ref().and_then(|id| id.said.text()).unwrap_or("app-id").to_owned();
    let (first, settings) = credentials(path, [id, key, secret])?;
    let mut app = TranslatedApp { place: first.place.clone(), settings, ..TranslatedApp::default() };
    let client_events = client_events(&first, take("enableClientMessages").as_ref())?;
    let are_sent = client_events.value == "true";
    app.settings.push(client_events);
    if let Some(given) = take("enabled") {
        app.settings.push(Setting::of(&given, "enabled", given.boolean()?.to_string()));
    }
    app.settings.extend(limits_of_app(&mut take, &first, are_sent, translation)?);
    let usual_ttl = || Setting::usual(&first, "soketi's default", "cache_ttl_s", USUAL_CACHE_TTL_S);
    app.settings.push(shared.cache_ttl.clone().unwrap_or_else(usual_ttl));
    if let Some(given) = take("enableUserAuthentication") {
        app.settings.push(shared.authorization_timeout(&given)?);
    }
    if let Some(given) = take("webhooks") {
        app.endpoints = webhooks(&given, &app_id, shared.batching.as_ref(), translation)?;
    }
    Ok(app)
}

/// Id, key and secret of an app, and the first of them that is given. soketi has defaults for all three, and that of the
/// secret is known to everybody.
fn credentials(path: &str, given: [Option<Given>; 3]) -> Result<(Given, Vec<Setting>), Fault> {
    let [id, key, secret] = given;
    let Some(first) = id.as_ref().or(key.as_ref()).or(secret.as_ref()).cloned() else {
        let what = "the app needs an id, a key and a secret: there are no built-in ones";
        return Err(Fault::of(path.trim_end_matches('.'), what));
    };
    let Some(secret) = secret else {
        let what = "this app has no secret, and there is no built-in one: an app needs id, key and secret";
        return Err(first.fault(what));
    };
    let mut settings = Vec::new();
    for (ours, given, usual) in [("id", &id, "app-id"), ("key", &key, "app-key")] {
        settings.push(match given {
            Some(given) => Setting::of(given, ours, quoted(given.text()?)),
            None => Setting::usual(&first, "soketi's default", ours, &quoted(usual)),
        });
    }
    settings.push(Setting::of(&secret, "secret", quoted(secret.text()?)));
    Ok((first, settings))
}

fn client_events(first: &Given, given: Option<&Given>) -> Result<Setting, Fault> {
    Ok(match given {
        Some(given) => Setting::of(given, "client_events", given.boolean()?.to_string()),
        None => Setting::usual(first, "soketi's default", "client_events", "false"),
    })
}

fn limits_of_app(
    take: &mut impl FnMut(&str) -> Option<Given>,
    first: &Given,
    are_sent: bool,
    translation: &mut Translation,
) -> Result<Vec<Setting>, Fault> {
    let rates = [
        ("maxConnections", "limits.connections_max"),
        ("maxBackendEventsPerSecond", "limits.backend_events_per_second"),
        ("maxReadRequestsPerSecond", "limits.read_requests_per_second"),
        ("maxClientEventsPerSecond", "limits.client_events_per_second"),
    ];
    let of_all = LIMITS.map(|(_, key, ours, factor)| (key, ours, factor));
    let mut settings = Vec::new();
    for (key, ours, factor) in rates.map(|(key, ours)| (key, ours, 1.0)).into_iter().chain(of_all) {
        if let Some(given) = take(key) {
            settings.extend(limit(translation, &given, ours, factor)?);
        }
    }
    let has_rate = settings.iter().any(|setting| setting.path == "limits.client_events_per_second");
    if are_sent && !has_rate {
        let (path, usual) = ("limits.client_events_per_second", CLIENT_EVENTS_UNLIMITED);
        settings.push(Setting::usual(first, "soketi has no limit by default", path, usual));
    }
    Ok(settings)
}

impl Shared {
    /// How long clients have to sign in, where they must.
    fn authorization_timeout(&self, must: &Given) -> Result<Setting, Fault> {
        let milliseconds = self.authentication_timeout.as_ref().map_or(Ok(30_000.0), Given::number)?;
        let seconds = if must.boolean()? { (milliseconds / 1000.0).ceil().clamp(1.0, 3600.0) } else { 0.0 };
        Ok(Setting::of(must, "authorization_timeout_s", seconds.to_string()))
    }
}
