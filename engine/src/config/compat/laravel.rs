//! The variables of a Laravel application that runs Reverb, or uses Pusher, as settings of ours; and of other back ends that
//! use Pusher. `docs/migrating.md` has a row for each.

use super::given::{Given, Keys};
use super::sizes::{fit, limit};
use super::soketi::address;
use super::translation::{Setting, TranslatedApp, Translation};
use crate::config::fault::Fault;
use crate::config::layer::{quoted, quoted_list};

/// Where Reverb listens unless told otherwise.
const REVERB_PORT: u16 = 8080;

const TOLD: &str = "it says where clients and back ends connect; listen says where the server does";
const ALONE: &str = "servers share no channels: one server holds all of them";
const OF_LARAVEL: &str = "Pulse and Telescope are parts of Laravel";
const RATES: &str = "client_events_per_second bounds what a client may send";

/// Variables without effect, and why.
pub(super) const IGNORED: [(&str, &str); 21] = [
    ("REVERB_SERVER", "there is one server"),
    ("REVERB_HOST", TOLD),
    ("REVERB_PORT", TOLD),
    ("REVERB_SCHEME", TOLD),
    ("REVERB_SCALING_ENABLED", ALONE),
    ("REVERB_SCALING_CHANNEL", ALONE),
    ("REVERB_PULSE_INGEST_INTERVAL", OF_LARAVEL),
    ("REVERB_TELESCOPE_INGEST_INTERVAL", OF_LARAVEL),
    (
        "REVERB_APP_PING_INTERVAL",
        "a client that was silent for activity_timeout_s and ping_grace_s is pinged",
    ),
    ("REVERB_APP_RATE_LIMITING_ENABLED", RATES),
    ("REVERB_APP_RATE_LIMIT_MAX_ATTEMPTS", RATES),
    ("REVERB_APP_RATE_LIMIT_DECAY_SECONDS", RATES),
    ("REVERB_APP_RATE_LIMIT_TERMINATE", RATES),
    ("PUSHER_APP_CLUSTER", "any cluster is accepted"),
    ("PUSHER_CLUSTER", "any cluster is accepted"),
    ("PUSHER_HOST", TOLD),
    ("PUSHER_PORT", TOLD),
    ("PUSHER_SCHEME", TOLD),
    ("PUSHER_APP_HOST", TOLD),
    ("PUSHER_APP_PORT", TOLD),
    ("PUSHER_ENCRYPTION_MASTER_KEY", "the server passes on what is encrypted end to end, without a key"),
];

/// Variables that a translation takes.
pub(super) const TAKEN: [&str; 17] = [
    "REVERB_SERVER_HOST",
    "REVERB_SERVER_PORT",
    "REVERB_SERVER_PATH",
    "REVERB_MAX_REQUEST_SIZE",
    "REVERB_APP_ID",
    "REVERB_APP_KEY",
    "REVERB_APP_SECRET",
    "REVERB_APP_ACTIVITY_TIMEOUT",
    "REVERB_APP_MAX_CONNECTIONS",
    "REVERB_APP_MAX_MESSAGE_SIZE",
    "REVERB_APP_ACCEPT_CLIENT_EVENTS_FROM",
    "PUSHER_APP_ID",
    "PUSHER_APP_KEY",
    "PUSHER_APP_SECRET",
    "PUSHER_KEY",
    "PUSHER_SECRET",
    "PUSHER_URL",
];

/// What the variables of Reverb come to.
pub(super) fn translate_reverb(mut keys: Keys) -> Result<Translation, Fault> {
    let mut translation = Translation::default();
    let app = keys_of_app(&mut keys, ["REVERB_APP_ID", "REVERB_APP_KEY", "REVERB_APP_SECRET"])?;
    let (host, port) = (keys.take("REVERB_SERVER_HOST"), keys.take("REVERB_SERVER_PORT"));
    let address = address(host.as_ref(), port.as_ref(), REVERB_PORT)?;
    let value = quoted_list([&*address.to_string()]);
    if let Some(given) = port.as_ref().or(host.as_ref()) {
        translation.settings.push(Setting::of(given, "listen", value));
    } else if let Some(id) = app.as_ref().and_then(|app| app.settings.first()) {
        let from = "Reverb's default".to_owned();
        translation.settings.push(Setting { path: "listen", value, from, ..id.clone() });
    }
    if let Some(given) = keys.take("REVERB_SERVER_PATH") {
        let path = given.text()?.trim_matches('/');
        if !path.is_empty() {
            translation.settings.push(Setting::of(&given, "path_prefix", quoted(&format!("/{path}"))));
        }
    }
    let limits = [
        ("REVERB_MAX_REQUEST_SIZE", "limits.http_body_bytes_max"),
        ("REVERB_APP_MAX_MESSAGE_SIZE", "limits.message_bytes_max"),
        ("REVERB_APP_ACTIVITY_TIMEOUT", "limits.activity_timeout_s"),
    ];
    for (name, path) in limits {
        if let Some(given) = keys.take(name) {
            let set = limit(&mut translation, &given, path, 1.0)?;
            translation.settings.extend(set);
        }
    }
    if let Some(mut app) = app {
        if let Some(given) = keys.take("REVERB_APP_MAX_CONNECTIONS") {
            app.settings.extend(limit(&mut translation, &given, "limits.connections_max", 1.0)?);
        }
        if let Some(given) = keys.take("REVERB_APP_ACCEPT_CLIENT_EVENTS_FROM") {
            app.settings.push(client_events(&given, &mut translation)?);
        }
        translation.apps.push(app);
    }
    leave(keys, &mut translation, "Reverb");
    fit(&mut translation);
    Ok(translation)
}

fn client_events(given: &Given, translation: &mut Translation) -> Result<Setting, Fault> {
    let value = match given.text()? {
        "none" => "false",
        "members" => "true",
        "all" => {
            translation.ignore(
                given,
                "a client event is taken from subscribers of its channel, so this is \"members\"",
            );
            "true"
        }
        _ => return Err(given.fault("must be all, members or none")),
    };
    Ok(Setting::of(given, "client_events", value.to_owned()))
}

/// What the variables of a back end that uses Pusher come to.
pub(super) fn translate_pusher(mut keys: Keys) -> Result<Translation, Fault> {
    let mut translation = Translation::default();
    for (short, long) in [("PUSHER_KEY", "PUSHER_APP_KEY"), ("PUSHER_SECRET", "PUSHER_APP_SECRET")] {
        let (shorter, longer) = (keys.take(short), keys.take(long));
        if let Some(given) = longer.or(shorter) {
            keys.set(Given { path: long.to_owned(), ..given });
        }
    }
    let url = keys.take("PUSHER_URL");
    let app = match keys_of_app(&mut keys, ["PUSHER_APP_ID", "PUSHER_APP_KEY", "PUSHER_APP_SECRET"])? {
        Some(app) => Some(app),
        None => url.as_ref().map(app_of_url).transpose()?,
    };
    translation.apps.extend(app);
    leave(keys, &mut translation, "Pusher");
    Ok(translation)
}

/// The app of `http://KEY:SECRET@HOST/apps/ID`.
fn app_of_url(given: &Given) -> Result<TranslatedApp, Fault> {
    let parts = || {
        let rest = given.said.text()?.split_once("://")?.1;
        let (credentials, rest) = rest.split_once('@')?;
        let (key, secret) = credentials.split_once(':')?;
        let (_, id) = rest.split_once("/apps/")?;
        Some([("id", id.trim_end_matches('/')), ("key", key), ("secret", secret)])
    };
    let parts = parts().ok_or_else(|| given.fault("must be https://KEY:SECRET@HOST/apps/ID"))?;
    let settings = parts.map(|(path, text)| Setting::of(given, path, quoted(text)));
    Ok(TranslatedApp { place: given.place.clone(), settings: settings.into(), endpoints: Vec::new() })
}

/// The app of three variables, if one of them is set.
fn keys_of_app(keys: &mut Keys, names: [&str; 3]) -> Result<Option<TranslatedApp>, Fault> {
    let given = names.map(|name| keys.take(name));
    let Some(first) = given.iter().flatten().next() else { return Ok(None) };
    let mut app = TranslatedApp { place: first.place.clone(), ..TranslatedApp::default() };
    for ((path, name), given) in ["id", "key", "secret"].into_iter().zip(names).zip(&given) {
        let Some(given) = given else {
            return Err(first.fault(&format!("{name} is missing: an app needs an id, a key and a secret")));
        };
        app.settings.push(Setting::of(given, path, quoted(given.text()?)));
    }
    Ok(Some(app))
}

/// What is left has no effect.
fn leave(keys: Keys, translation: &mut Translation, server: &str) {
    for given in keys.into_rest() {
        let known = IGNORED.iter().find(|(name, _)| *name == given.path);
        match known {
            Some((_, why)) => translation.ignore(&given, why),
            None if TAKEN.contains(&&*given.path) => {
                translation.ignore(&given, "it belongs to an app, whose id, key and secret are not set");
            }
            None => translation.ignore(&given, &format!("{server} has no such variable either")),
        }
    }
}
