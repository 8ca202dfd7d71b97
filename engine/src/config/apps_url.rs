//! The back end that is asked for apps which are neither in the file nor in a store.
//!
//! What must never happen here: the URL in a message, because it may hold a password.

use std::time::Duration;

use hooks::http_get::HttpGet;
use hooks::settings::Secret;

use super::fault::Fault;
use super::section::Section;

const TTL_S: u64 = 60;

/// `apps_url` and how long what it says holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AppsUrl {
    /// What is asked.
    pub url: Secret,
    /// After this long it is asked again for an app that is known.
    pub ttl: Duration,
}

/// The settings of the source, if one is named.
pub(super) fn parse_apps_url(top: &mut Section<'_>) -> Result<Option<AppsUrl>, Fault> {
    let (url, ttl) = (top.take("apps_url"), top.take("apps_url_ttl_s"));
    let Some(url) = url else {
        return match ttl {
            Some(ttl) => Err(ttl.fault("has no effect without apps_url")),
            None => Ok(None),
        };
    };
    let text = url.filled_text()?;
    if text.contains('#') || HttpGet::new(text, 1).is_err() {
        return Err(url.fault("must be a URL: http://HOST/PATH or https://HOST/PATH"));
    }
    let ttl_s = ttl.map_or(Ok(TTL_S), |ttl| ttl.integer())?;
    Ok(Some(AppsUrl { url: Secret(text.to_owned()), ttl: Duration::from_secs(ttl_s) }))
}
