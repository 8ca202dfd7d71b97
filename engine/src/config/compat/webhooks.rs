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

fn webhook(
    given: &Given,
    entries: &[(String, Entry)],
    translation: &mut Translation,
) -> Result<Option<Vec<Setting>>, Fault> {
    let mut endpoint = Vec::new();
    let part = |key: &str| Given {
        key: format!("{}: {key}", given.key),
        place: format!("{}: {key}", given.place),
        ..given.clone()
    };
    let url = entries.iter().find(|(key, entry)| key == "url" && !entry.said.is_nothing());
    let Some((_, url)) = url else {
        translation
            .ignore(&part("lambda_function"), "functions of AWS are not called: give the webhook a url");
        return Ok(None);
    };
    let url = url.said.text().ok_or_else(|| part("url").fault("must be a text"))?;
    endpoint.push(Setting::of(given, "url", quoted(url)));
    for (key, Entry { said, .. }) in entries.iter().filter(|(_, entry)| !entry.said.is_nothing()) {
        match (&**key, said) {
            ("url", _) => {}
            ("event_types", Said::List(list)) => {
                let mut kinds = Vec::new();
                for kind in list.iter().filter_map(|entry| entry.said.text()) {
                    if KINDS.contains(&kind) {
                        kinds.push(kind);
                    } else {
                        translation.ignore(&part("event_types"), &format!("there are no events {kind:?}"));
                    }
                }
                if kinds.is_empty() {
                    let what = format!("names no kind of event; there are {}", KINDS.join(", "));
                    return Err(part("event_types").fault(&what));
                }
                endpoint.push(Setting::of(given, "events", quoted_list(kinds)));
            }
            ("headers", Said::Object(headers)) => {
                let headers: Vec<String> = headers
                    .iter()
                    .filter_map(|(name, entry)| {
                        Some(format!("{} = {}", quoted(name), quoted(entry.said.text()?)))
                    })
                    .collect();
                endpoint.push(Setting::of(given, "headers", format!("{{ {} }}", headers.join(", "))));
            }
            ("filter" | "filters", Said::Object(filters)) => {
                for (name, entry) in filters.iter().filter(|(_, entry)| !entry.said.is_nothing()) {
                    let ours = match &**name {
                        "channel_name_starts_with" => "channel_prefix",
                        "channel_name_ends_with" => "channel_suffix",
                        _ => {
                            translation.ignore(&part(name), "soketi has no such filter either");
                            continue;
                        }
                    };
                    let text = entry.said.text().ok_or_else(|| part(name).fault("must be a text"))?;
                    endpoint.push(Setting::of(given, ours, quoted(text)));
                }
            }
            ("lambda_function" | "lambda", _) => {
                translation.ignore(&part(key), "functions of AWS are not called");
            }
            ("event_types" | "headers" | "filter" | "filters", _) => {
                return Err(part(key).fault("must be what soketi's documentation shows"));
            }
            _ => translation.ignore(&part(key), "soketi's webhooks have no such key either"),
        }
    }
    Ok(Some(endpoint))
}
