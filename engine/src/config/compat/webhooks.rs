//! The webhooks of one of soketi's apps as endpoints of ours.

use super::given::Given;
use super::said::{Entry, Said};
use super::translation::{Setting, Translation};
use crate::config::fault::Fault;
use crate::config::layer::{quoted, quoted_list};

/// Kinds of events that both servers have. We report those of a cache under soketi's name, too.
const KINDS: [&str; 6] =
    ["client_event", "channel_occupied", "channel_vacated", "member_added", "member_removed", "cache_miss"];

/// The endpoints of an app; `batching` is a setting of each.
pub(super) fn webhooks(
    given: &Given,
    app_id: &str,
    batching: Option<&Setting>,
    translation: &mut Translation,
) -> Result<Vec<Vec<Setting>>, Fault> {
    let read;
    let list = match &given.said {
        Said::List(list) => list,
        // In a database, and in a variable within quotes, the list is a text.
        Said::Text(text) => match Said::of_variable(text) {
            Said::List(list) => {
                read = list;
                &read
            }
            _ => return Err(given.fault("must be a list of webhooks in JSON")),
        },
        _ => return Err(given.fault("must be a list of webhooks")),
    };
    let mut endpoints: Vec<Vec<Setting>> = Vec::new();
    for Entry { said, .. } in list {
        let Said::Object(entries) = said else {
            return Err(given.fault("each webhook must be an object with url and event_types"));
        };
        let Some(mut endpoint) = webhook(given, entries, translation)? else { continue };
        if let Some(twin) =
            endpoint.first().filter(|url| endpoints.iter().any(|other| other.first() == Some(url)))
        {
            let name = format!("{app_id}-webhook-{}", endpoints.len() + 1);
            endpoint.push(Setting { path: "name", value: quoted(&name), ..twin.clone() });
        }
        endpoint.extend(batching.cloned());
        endpoints.push(endpoint);
    }
    Ok(endpoints)
}

/// The endpoint of a webhook; none if it is no request.
fn webhook(
    given: &Given,
    entries: &[(String, Entry)],
    translation: &mut Translation,
) -> Result<Option<Vec<Setting>>, Fault> {
    let url = entries.iter().find(|(key, entry)| key == "url" && !entry.said.is_nothing());
    let Some((_, url)) = url else {
        let why = "functions of AWS are not called: give the webhook a url";
        translation.ignore(&part(given, "lambda_function"), why);
        return Ok(None);
    };
    let url = url.said.text().ok_or_else(|| part(given, "url").fault("must be a text"))?;
    let mut endpoint = vec![Setting::of(given, "url", quoted(url))];
    for (key, Entry { said, .. }) in entries.iter().filter(|(_, entry)| !entry.said.is_nothing()) {
        match (&**key, said) {
            ("url", _) => {}
            ("event_types", Said::List(list)) => endpoint.push(kinds(given, list, translation)?),
            ("headers", Said::Object(entries)) => endpoint.push(headers(given, entries)),
            ("filter" | "filters", Said::Object(entries)) => {
                endpoint.extend(filters(given, entries, translation)?);
            }
            ("lambda_function" | "lambda", _) => {
                translation.ignore(&part(given, key), "functions of AWS are not called");
            }
            ("event_types" | "headers" | "filter" | "filters", _) => {
                return Err(part(given, key).fault("must be what soketi's documentation shows"));
            }
            _ => translation.ignore(&part(given, key), "soketi's webhooks have no such key either"),
        }
    }
    Ok(Some(endpoint))
}

/// A key of one of the webhooks that are given.
fn part(given: &Given, key: &str) -> Given {
    Given { key: format!("{}: {key}", given.key), place: format!("{}: {key}", given.place), ..given.clone() }
}

fn kinds(given: &Given, list: &[Entry], translation: &mut Translation) -> Result<Setting, Fault> {
    let mut kinds = Vec::new();
    for kind in list.iter().filter_map(|entry| entry.said.text()) {
        if KINDS.contains(&kind) {
            kinds.push(kind);
        } else {
            translation.ignore(&part(given, "event_types"), &format!("there are no events {kind:?}"));
        }
    }
    if kinds.is_empty() {
        let what = format!("names no kind of event; there are {}", KINDS.join(", "));
        return Err(part(given, "event_types").fault(&what));
    }
    Ok(Setting::of(given, "events", quoted_list(kinds)))
}

fn headers(given: &Given, entries: &[(String, Entry)]) -> Setting {
    let header =
        |(name, entry): &(String, Entry)| Some(format!("{} = {}", quoted(name), quoted(entry.said.text()?)));
    let headers: Vec<String> = entries.iter().filter_map(header).collect();
    Setting::of(given, "headers", format!("{{ {} }}", headers.join(", ")))
}

/// Which channels the webhook hears of.
fn filters(
    given: &Given,
    entries: &[(String, Entry)],
    translation: &mut Translation,
) -> Result<Vec<Setting>, Fault> {
    let mut settings = Vec::new();
    for (name, entry) in entries.iter().filter(|(_, entry)| !entry.said.is_nothing()) {
        let ours = match &**name {
            "channel_name_starts_with" => "channel_prefix",
            "channel_name_ends_with" => "channel_suffix",
            _ => {
                translation.ignore(&part(given, name), "soketi has no such filter either");
                continue;
            }
        };
        let text = entry.said.text().ok_or_else(|| part(given, name).fault("must be a text"))?;
        settings.push(Setting::of(given, ours, quoted(text)));
    }
    Ok(settings)
}
