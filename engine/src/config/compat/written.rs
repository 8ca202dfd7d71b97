//! A translation as a file of ours, with comments: what each setting is from, and which keys have no effect.

use super::translation::{IgnoredKey, Setting, Translation};

/// The file; `name` is that of the one it is made of.
pub(super) fn written(translation: &Translation, name: &str) -> String {
    let Translation { settings, apps, ignored } = translation;
    let mut out =
        format!("# Settings of Corecast, made of {} by `corecast config migrate`.\n\n", plain(name));
    let of_limits = |setting: &Setting| setting.path.starts_with(LIMITS);
    for setting in settings.iter().filter(|setting| !of_limits(setting)) {
        out.push_str(&line(setting, setting.path));
    }
    if settings.iter().any(of_limits) {
        out.push_str("\n[limits]\n");
    }
    for setting in settings.iter().filter(|setting| of_limits(setting)) {
        out.push_str(&line(setting, setting.path.trim_start_matches(LIMITS)));
    }
    for app in apps {
        out.push_str("\n[[apps]]\n");
        for setting in &app.settings {
            out.push_str(&line(setting, setting.path));
        }
        for endpoint in &app.endpoints {
            out.push_str("\n[[apps.hooks]]\n");
            for setting in endpoint {
                out.push_str(&line(setting, setting.path));
            }
        }
    }
    if !ignored.is_empty() {
        out.push_str("\n# Without an effect, or without all of it:\n");
    }
    for IgnoredKey { key, why, .. } in ignored {
        out.push_str(&format!("# {}: {}\n", plain(key), plain(why)));
    }
    out
}

const LIMITS: &str = "limits.";

fn line(setting: &Setting, key: &str) -> String {
    format!("{key} = {} # {}\n", setting.value, plain(&setting.from))
}

/// A text that can stand in a comment.
fn plain(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}
