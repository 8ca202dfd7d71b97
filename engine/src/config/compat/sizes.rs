//! Limits that another server lets an operator choose more freely than we do: each is brought within our bounds, and what
//! must be larger with it is made larger.

use protocol::limits::{AppLimits, CHARACTER_BYTES_MAX};

use super::given::Given;
use super::translation::{Setting, Translation};
use crate::config::bounds::{APP, ROSTER_BYTES_MAX, SERVER};
use crate::config::fault::Fault;
use machines::limits::Limits;

/// A limit of ours, by its path from the top of the file or within an app, which this key sets in units of `factor`. None: the
/// other server has no limit, written as a negative number.
pub(super) fn limit(
    translation: &mut Translation,
    given: &Given,
    path: &'static str,
    factor: f64,
) -> Result<Option<Setting>, Fault> {
    let number = given.number()?;
    if number < 0.0 {
        return Ok(None);
    }
    let wanted = (number * factor).ceil() as u64;
    let (min, max) = bounds(path);
    let value = wanted.clamp(min, max);
    if value != wanted {
        translation.ignore(given, &format!("{path} may be from {min} to {max}, so it is {value}"));
    }
    Ok(Some(Setting::of(given, path, value.to_string())))
}

fn bounds(path: &str) -> (u64, u64) {
    let key = path.rsplit('.').next().unwrap_or(path);
    let server = SERVER.iter().map(|limit| (limit.key, limit.min, limit.max));
    let app = APP.iter().map(|limit| (limit.key, limit.min, limit.max));
    let found = server.chain(app).find(|limit| limit.0 == key);
    found.map_or((0, u64::MAX), |(_, min, max)| (min, max))
}

/// Sets what must grow, or shrink, for the limits that were translated.
pub(super) fn fit(translation: &mut Translation) {
    let (server, app) = (Limits::default(), AppLimits::default());
    fit_messages(translation, &app);
    let of_apps =
        translation.apps.iter().filter_map(|app| value(&app.settings, "limits.event_data_bytes_max"));
    let of_all = value(&translation.settings, "limits.event_data_bytes_max");
    let Some((event, from)) = of_apps.chain(of_all).max_by_key(|(bytes, _)| *bytes) else {
        fit_bodies(translation, &server);
        return fit_rosters(translation, &app);
    };
    // An event whose data must be escaped, and a reader that is behind.
    raise(translation, "limits.outbox_bytes_max", 8 * event, server.outbox_bytes_max as u64, &from);
    raise(translation, "limits.http_body_bytes_max", event, server.http_body_bytes_max as u64, &from);
    fit_bodies(translation, &server);
    fit_rosters(translation, &app);
}

/// A message holds a client event; a body holds an event.
fn fit_messages(translation: &mut Translation, app: &AppLimits) {
    let pairs = [
        ("limits.message_bytes_max", "limits.client_event_data_bytes_max", app.client_event_data_bytes_max),
        ("limits.http_body_bytes_max", "limits.event_data_bytes_max", app.event_data_bytes_max),
    ];
    for (whole, part, usual) in pairs {
        let Some((bytes, from)) = value(&translation.settings, whole) else { continue };
        let within = value(&translation.settings, part).map_or(usual as u64, |(bytes, _)| bytes);
        if bytes < within {
            replace(translation, part, bytes, &from);
        }
    }
    if let Some((bytes, from)) = value(&translation.settings, "limits.message_bytes_max") {
        let usual = Limits::default().outbox_bytes_max as u64;
        raise(translation, "limits.outbox_bytes_max", 4 * bytes, usual, &from);
    }
}

fn fit_bodies(translation: &mut Translation, server: &Limits) {
    if let Some((body, from)) = value(&translation.settings, "limits.http_body_bytes_max") {
        let usual = server.http_bodies_bytes_max as u64;
        raise(translation, "limits.http_bodies_bytes_max", 2 * body, usual, &from);
    }
}

/// As many members as a roster has room for.
fn fit_rosters(translation: &mut Translation, app: &AppLimits) {
    const MEMBERS: &str = "limits.presence_members_max";
    const USER: &str = "limits.presence_user_bytes_max";
    let of_all = [MEMBERS, USER].map(|path| value(&translation.settings, path).map(|(value, _)| value));
    let usual = [app.presence_members_max as u64, app.presence_user_bytes_max as u64];
    let [members_of_all, user_of_all] = [of_all[0].unwrap_or(usual[0]), of_all[1].unwrap_or(usual[1])];
    let most = |user: u64| {
        ROSTER_BYTES_MAX as u64 / (user + (CHARACTER_BYTES_MAX * app.user_id_characters_max) as u64)
    };
    let mut told = Vec::new();
    let lists = translation.apps.iter_mut().map(|app| &mut app.settings);
    for settings in std::iter::once(&mut translation.settings).chain(lists) {
        let user = value(settings, USER).map_or(user_of_all, |(bytes, _)| bytes);
        let members = value(settings, MEMBERS).map_or(members_of_all, |(members, _)| members);
        let most = most(user);
        let is_set = settings.iter().position(|setting| [MEMBERS, USER].contains(&setting.path));
        if let Some(index) = is_set.filter(|_| members > most) {
            let from = settings.remove(index);
            told.push((from.clone(), most));
            settings.retain(|setting| setting.path != MEMBERS);
            if from.path == USER {
                settings.push(from.clone());
            }
            settings.push(Setting { path: MEMBERS, value: most.to_string(), ..from });
        }
    }
    for (Setting { from, place, .. }, most) in told {
        let why = format!("a roster has room for {most} members of that size, so {MEMBERS} is {most}");
        translation.ignored.push(super::translation::IgnoredKey { key: from, place, why });
    }
}

/// The number that a list of settings has, and what it is from.
fn value(settings: &[Setting], path: &str) -> Option<(u64, Setting)> {
    let setting = settings.iter().find(|setting| setting.path == path)?;
    Some((setting.value.parse().ok()?, setting.clone()))
}

/// Makes a limit this large, if it is not.
fn raise(translation: &mut Translation, path: &'static str, least: u64, usual: u64, from: &Setting) {
    let now = value(&translation.settings, path).map_or(usual, |(value, _)| value);
    if now < least {
        replace(translation, path, least, from);
    }
}

fn replace(translation: &mut Translation, path: &'static str, value: u64, from: &Setting) {
    translation.settings.retain(|setting| setting.path != path);
    translation.settings.push(Setting { path, value: value.to_string(), ..from.clone() });
}
