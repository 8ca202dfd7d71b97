//! The settings that differ from their defaults, on one line for the log. Secrets are masked already.

use crate::config::Setting;
use crate::limits::{TOLD_SETTINGS_BYTES_MAX, TOLD_VALUE_BYTES_MAX};

/// All settings but those of apps, of which there may be thousands, as far as there is room.
pub(super) fn overridden(settings: &[Setting]) -> String {
    let differing: Vec<&Setting> =
        settings.iter().filter(|setting| setting.differs && !setting.path.starts_with("apps.")).collect();
    let mut line = String::new();
    for (told, setting) in differing.iter().enumerate() {
        let value = setting.value.as_deref().unwrap_or("none");
        let value = if value.len() > TOLD_VALUE_BYTES_MAX { "…" } else { value };
        let separator = if line.is_empty() { "" } else { ", " };
        let next = format!("{separator}{} = {value}", setting.path);
        if bytes_in_json(&line) + bytes_in_json(&next) > TOLD_SETTINGS_BYTES_MAX {
            let left = differing.len() - told;
            line.push_str(&format!("{separator}and {left} more, which `corecast config show` has"));
            break;
        }
        line.push_str(&next);
    }
    line
}

fn bytes_in_json(text: &str) -> usize {
    text.len() + text.matches(['"', '\\']).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    fn setting(path: &str, value: &str, differs: bool) -> Setting {
        let (path, value) = (path.to_owned(), Some(value.to_owned()));
        let (origin, place) = (Origin::File, None);
        Setting { path, value, default: None, origin, place, differs, is_read_again: false, fingerprint: 0 }
    }

    #[test]
    fn what_differs_is_told_with_its_value_and_apps_are_not() {
        let settings = [
            setting("listen", "[\"127.0.0.1:1\"]", true),
            setting("shards", "2", false),
            setting("hooks.redis_url", "\"***\"", true),
            setting("trusted_proxies", &"x".repeat(200), true),
            setting("apps.0.key", "\"k\"", true),
        ];
        let line = "listen = [\"127.0.0.1:1\"], hooks.redis_url = \"***\", trusted_proxies = …";
        assert_eq!(overridden(&settings), line);
        assert_eq!(overridden(&settings[1..2]), "");
    }

    #[test]
    fn what_has_no_room_is_counted() {
        let settings: Vec<Setting> =
            (0..40).map(|n| setting(&format!("limits.x{n}"), "\"1\"", true)).collect();
        let line = overridden(&settings);
        assert!(line.starts_with("limits.x0 = \"1\", limits.x1") && bytes_in_json(&line) <= 512, "{line}");
        let told = line.matches("limits.").count();
        assert!(
            line.ends_with(&format!(", and {} more, which `corecast config show` has", 40 - told)),
            "{line}"
        );
    }
}
