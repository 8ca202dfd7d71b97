//! Apps in the file: credentials, rights and limits. What must never happen here: a secret in a message.

use protocol::app::{App, AppKey, AppParseError, Origins};
use protocol::close::Close;
use protocol::dialect::Dialect;

use super::endpoint::{EndpointConfig, parse_endpoints};
use super::fault::Fault;
use super::limits::ParsedLimits;
use super::section::{Section, Value};
use super::table::Table;

/// The apps of `[[apps]]`, no two of which have the same id or key, and where their events go.
pub(super) fn parse_apps(
    value: Option<Value<'_>>,
    limits: &ParsedLimits<'_>,
) -> Result<(Vec<App>, Vec<EndpointConfig>), Fault> {
    let sections = value.map_or_else(|| Ok(Vec::new()), |value| value.sections(Table::App))?;
    let mut placed: Vec<Placed<'_>> = Vec::with_capacity(sections.len());
    let mut endpoints = Vec::new();
    for mut section in sections {
        let hooks = section.take("hooks");
        let app = parse_app(section, limits)?;
        refuse_twin(&placed, &app)?;
        parse_endpoints(hooks, &app.app.id, &mut endpoints)?;
        placed.push(app);
    }
    let apps = placed.into_iter().map(|placed| placed.app).collect();
    Ok((apps, endpoints.into_iter().map(|(endpoint, _)| endpoint).collect()))
}

/// An app that is in no file. It has no endpoints: those are known from the start of a server.
pub(super) fn parse_lone_app(mut section: Section<'_>, limits: &ParsedLimits<'_>) -> Result<App, Fault> {
    if let Some(hooks) = section.take("hooks") {
        return Err(hooks.fault("is possible in the configuration file only: an app store has no endpoints"));
    }
    Ok(parse_app(section, limits)?.app)
}

/// An app, and the lines of its id and keys.
struct Placed<'a> {
    app: App,
    id: Value<'a>,
    /// In the order of the app's own.
    keys: Vec<Value<'a>>,
}

fn parse_app<'a>(mut section: Section<'a>, limits: &ParsedLimits<'_>) -> Result<Placed<'a>, Fault> {
    let id = section.need("id")?;
    let (mut app, keys) = parse_credentials(&mut section, &id)?;
    app.enabled = boolean(section.take("enabled"), app.enabled)?;
    if let Some(value) = section.take("dialect") {
        app.dialect = parse_dialect(&value)?;
    }
    app.client_events = boolean(section.take("client_events"), app.client_events)?;
    app.subscription_count = boolean(section.take("subscription_count"), app.subscription_count)?;
    let counted = section.take("subscription_count_events");
    app.subscription_count_events = boolean(counted, app.subscription_count_events)?;
    app.watchlist_events = boolean(section.take("watchlist_events"), app.watchlist_events)?;
    let by_presence = section.take("terminate_by_presence");
    app.terminate_by_presence = boolean(by_presence, app.terminate_by_presence)?;
    if let Some(value) = section.take("allowed_origins") {
        app.allowed_origins = parse_origins(value)?;
    }
    app.require_origin = boolean(section.take("require_origin"), app.require_origin)?;
    app.tls_only = boolean(section.take("tls_only"), app.tls_only)?;
    if let Some(value) = section.take("cache_ttl_s") {
        app.cache_ttl_s = value.integer()? as u32;
    }
    if let Some(value) = section.take("authorization_timeout_s") {
        app.authorization_timeout_s = value.integer()? as u32;
    }
    if let Some(value) = section.take("flush_interval_ms") {
        app.flush_interval_ms = value.integer()? as u32;
    }
    if let Some(value) = section.take("over_quota_close_code") {
        app.over_quota_close = over_quota_close(&value)?;
    }
    app.limits = limits.parse_app(section.take("limits"))?;
    Ok(Placed { app, id, keys })
}

/// The app with its keys, the oldest first: `key` and `secret`, then those of `keys`. One of the two ways is enough.
fn parse_credentials<'a>(section: &mut Section<'a>, id: &Value<'a>) -> Result<(App, Vec<Value<'a>>), Fault> {
    let later = section.take("keys").map_or_else(|| Ok(Vec::new()), |keys| keys.sections(Table::AppKey))?;
    let mut later = later.into_iter();
    let (key, secret) =
        (section.take_or_read("key", "key_file")?, section.take_or_read("secret", "secret_file")?);
    let (first, secret) = match key {
        Some(key) => {
            let secret = secret.ok_or_else(|| section.missing("secret"))?;
            (Credentials { key, secret, enabled: true }, None)
        }
        None => match later.next() {
            Some(first) => (Credentials::parse(first)?, secret),
            None => return Err(section.missing("key")),
        },
    };
    if let Some(secret) = secret {
        return Err(
            secret.fault("has no key beside it: write key and secret together, here or in [[apps.keys]]")
        );
    }
    let Credentials { key, secret, enabled } = first;
    let mut app = App::of_parts(id.text()?, key.text()?, secret.text()?)
        .map_err(|error| bad_credentials(error, id, &key, &secret))?;
    app.keys_mut().for_each(|first| first.enabled = enabled);
    let mut placed = vec![key];
    for section in later {
        let Credentials { key, secret, enabled } = Credentials::parse(section)?;
        let mut parsed = AppKey::parse(key.text()?, secret.text()?)
            .map_err(|error| bad_credentials(error, id, &key, &secret))?;
        parsed.enabled = enabled;
        app.add_key(parsed);
        placed.push(key);
    }
    Ok((app, placed))
}

struct Credentials<'a> {
    key: Value<'a>,
    secret: Value<'a>,
    enabled: bool,
}

impl<'a> Credentials<'a> {
    /// Those of `[[apps.keys]]`.
    fn parse(mut section: Section<'a>) -> Result<Self, Fault> {
        let key = section.take_or_read("key", "key_file")?.ok_or_else(|| section.missing("key"))?;
        let secret =
            section.take_or_read("secret", "secret_file")?.ok_or_else(|| section.missing("secret"))?;
        Ok(Self { key, secret, enabled: boolean(section.take("enabled"), true)? })
    }
}

fn parse_origins(value: Value<'_>) -> Result<Origins, Fault> {
    let values = value.texts()?;
    let mut texts = Vec::with_capacity(values.len());
    for value in &values {
        let text = value.text()?;
        if Origins::parse([text]).is_err() {
            let what = "not an origin; write https://example.com, example.com, *.example.com or *";
            return Err(value.wrong(&format!("{text:?}"), what));
        }
        texts.push(text);
    }
    // Each of them was taken above.
    Ok(Origins::parse(texts).unwrap_or_default())
}

fn bad_credentials(error: AppParseError, id: &Value<'_>, key: &Value<'_>, secret: &Value<'_>) -> Fault {
    let named = |what| match what {
        "id" => id,
        "key" => key,
        _ => secret,
    };
    match error {
        AppParseError::Empty(what) => named(what).fault("is empty"),
        AppParseError::Character { what, character } => {
            named(what).fault(&format!("contains {character:?}; only A-Z a-z 0-9 - _ . are allowed"))
        }
        AppParseError::SecretCharacter | AppParseError::Shape => {
            secret.fault("contains whitespace or a control character")
        }
    }
}

fn boolean(value: Option<Value<'_>>, default: bool) -> Result<bool, Fault> {
    value.map_or(Ok(default), |value| value.boolean())
}

fn parse_dialect(value: &Value<'_>) -> Result<Dialect, Fault> {
    let name = value.text()?;
    Dialect::parse(name).ok_or_else(|| {
        let what = "must be \"pusher\", \"webman2\", \"webman3\" or \"auto\"";
        value.wrong(&format!("{name:?}"), what)
    })
}

/// Clients reconnect after 4100 and stay away after 4004; no other code says that an app is full.
fn over_quota_close(value: &Value<'_>) -> Result<Close, Fault> {
    match value.integer()? {
        4100 => Ok(Close::APP_FULL),
        4004 => Ok(Close::OVER_QUOTA),
        code => {
            let what = "must be 4100 (clients reconnect) or 4004 (clients stay away)";
            Err(value.wrong(&code.to_string(), what))
        }
    }
}

fn refuse_twin(others: &[Placed<'_>], app: &Placed<'_>) -> Result<(), Fault> {
    let same_id = others.iter().find(|other| other.app.id == app.app.id);
    if let Some(other) = same_id {
        return Err(twin(&app.id, &app.app.id, &other.id));
    }
    let mut taken: Vec<(&str, &Value<'_>)> = others.iter().flat_map(Placed::named_keys).collect();
    for (name, key) in app.named_keys() {
        if let Some((_, other)) = taken.iter().find(|(taken, _)| *taken == name) {
            return Err(twin(key, name, other));
        }
        taken.push((name, key));
    }
    Ok(())
}

impl Placed<'_> {
    fn named_keys(&self) -> impl Iterator<Item = (&str, &Value<'_>)> {
        self.app.keys().map(|key| &*key.name).zip(&self.keys)
    }
}

fn twin(mine: &Value<'_>, name: &str, theirs: &Value<'_>) -> Fault {
    mine.wrong(&format!("{name:?}"), &format!("already used by the app {}", theirs.place()))
}
