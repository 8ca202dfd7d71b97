//! SIGHUP: files, environment and flags are read anew. The server follows changes of its apps, their limits and endpoints,
//! certificates, the log, the token of the console, `[load]`, and what an address may have.
//!
//! A file that is faulty changes nothing, and the log says why. Other settings hold until the server is started again; the
//! line about the reload names those that have changed.

use std::sync::Arc;

use logging::event;

use super::failure::Failure;
use super::sources::{Found, Sources};
use crate::config::{AppReader, Config, EndpointConfig, HooksConfig, Setting};
use crate::console::NextToken;
use crate::driver::apps::{AppSource, AppsControl};
use crate::hooks_link::Endpoints;
use crate::server::{LoadMarks, Running};
use crate::settings::{AdminToken, ShownSettings};
use crate::tls::CertificateWatch;
use machines::address_caps::AddressCaps;
use protocol::app::{AppChanges, DuplicateApp};

/// What is read again, and what the server was started with.
pub(super) struct Reload {
    sources: Sources,
    /// The first of the files, for messages.
    named: String,
    /// What the server was started with.
    settings: Vec<Setting>,
    /// The same of hooks, without endpoints.
    hooks: HooksConfig,
    /// What apps are read with that are not in the file.
    reader: AppReader,
    /// The token of the console that there is.
    token: Option<AdminToken>,
    /// The endpoints that there are.
    endpoints: Vec<EndpointConfig>,
}

/// What follows settings while the server runs.
pub(super) struct Followers {
    apps: Arc<AppsControl>,
    load: LoadMarks,
    address_caps: AddressCaps,
    endpoints: Option<Endpoints>,
    certificates: Option<Arc<CertificateWatch>>,
    next_token: NextToken,
    shown: ShownSettings,
}

impl Followers {
    /// Those of this server, which shows its settings so.
    pub(super) fn of(running: &Running, shown: ShownSettings) -> Self {
        Self {
            apps: Arc::clone(running.apps()),
            load: running.load_marks().clone(),
            address_caps: running.address_caps().clone(),
            endpoints: running.endpoints(),
            certificates: running.tls().map(|tls| Arc::clone(tls.watch())),
            next_token: running.next_token().clone(),
            shown,
        }
    }

    /// Whether there are certificates, which may change though no setting does.
    pub(super) fn certificates(&self) -> Option<&CertificateWatch> {
        self.certificates.as_deref()
    }
}

impl Reload {
    /// For a server that is started with this. None: nothing of it was read from files.
    pub(super) fn of(
        sources: Sources,
        files: Vec<String>,
        settings: Vec<Setting>,
        config: &Config,
        reader: AppReader,
    ) -> Option<Self> {
        let named = files.into_iter().next()?;
        Some(Self {
            sources,
            named,
            settings,
            hooks: config.hooks.without_endpoints(),
            reader,
            token: config.admin.token.clone(),
            endpoints: config.hooks.endpoints.clone(),
        })
    }

    /// Reads everything again, and has the server follow it.
    pub(super) fn reload(&mut self, followers: &Followers) {
        if let Err(failure) = self.try_reload(followers) {
            event!(WARN, "reload_failed", {}, "SIGHUP changes nothing: {}", failure.text);
        }
    }

    fn try_reload(&mut self, followers: &Followers) -> Result<(), Failure> {
        let Found { mut config, settings, .. } = self.sources.read()?;
        let files = std::mem::take(&mut config.tls.certificates);
        let (reader, log) = (config.app_reader(), config.log);
        if config.has_no_apps() {
            return Err(Failure::config(format!("{} has no app", self.named)));
        }
        let (changes, endpoints_stay) =
            self.replace(&followers.apps, followers.endpoints.as_ref(), &mut config)?;
        let changes = changes.map_err(|error| Failure::config(format!("{}: {error}", self.named)))?;
        self.reader.follow(&reader);
        if let Some(certificates) = followers.certificates().filter(|_| !files.is_empty()) {
            certificates.follow(&files);
        }
        log.apply();
        followers.load.change(config.load);
        followers.address_caps.change(&config.limits);
        followers.shown.follow(settings.iter().map(Setting::shown));
        let console_stays = self.follow_token(&followers.next_token, config.admin.token);
        let mut kept = Setting::kept(&self.settings, &settings);
        if !console_stays {
            kept.push("admin_token");
        }
        if endpoints_stay {
            kept.push("apps.hooks");
        }
        self.tell(&changes, &kept.join(", "));
        Ok(())
    }

    /// The console gets another token. Returns whether nothing else is to be done: it does not come or go.
    fn follow_token(&mut self, next: &NextToken, token: Option<AdminToken>) -> bool {
        if let (Some(_), Some(token)) = (&self.token, &token)
            && self.token.as_ref() != Some(token)
        {
            next.set(token.clone());
            self.token = Some(token.clone());
        }
        self.token.is_some() == token.is_some()
    }

    fn tell(&self, changes: &AppChanges, kept: &str) {
        let needs_restart = Some(kept).filter(|kept| !kept.is_empty());
        let rest = needs_restart.map_or_else(String::new, |kept| {
            format!("; these take effect when the server is started again: {kept}")
        });
        event!(INFO, "reloaded", { needs_restart, }, "SIGHUP: {}: {changes}{rest}", self.named);
    }

    /// Replaces the apps and, where they differ, the endpoints. Returns whether these must stay as they were.
    fn replace(
        &mut self,
        apps: &AppsControl,
        hooks: Option<&Endpoints>,
        config: &mut Config,
    ) -> Result<(Result<AppChanges, DuplicateApp>, bool), Failure> {
        let own = std::mem::take(&mut config.apps);
        if config.hooks.endpoints == self.endpoints {
            return Ok((apps.replace(AppSource::File, own), false));
        }
        let Some(hooks) = hooks.filter(|_| self.hooks == config.hooks.without_endpoints()) else {
            return Ok((apps.replace(AppSource::File, own), true));
        };
        config.hooks.check_endpoints().map_err(|fault| Failure::config(fault.to_string()))?;
        let mut changes = Ok(AppChanges::default());
        let mut own = own;
        config.hooks.give_kinds(&mut own);
        let kinds = own.iter().map(|app| (app.id.clone(), app.hooks)).collect();
        let mut own = Some((own, kinds));
        let next = config.hooks.endpoints.clone();
        let mut change = || {
            if let Some((own, kinds)) = own.take() {
                let before = apps.note_hooks(kinds);
                changes = apps.replace(AppSource::File, own);
                if changes.is_err() {
                    apps.note_hooks(before);
                    config.hooks.endpoints.clone_from(&self.endpoints);
                }
            }
            let current = apps.current();
            (config.hooks.settings_for(&current), current)
        };
        if hooks.change(&mut change).is_ok() {
            if changes.is_ok() {
                self.endpoints = next;
            }
            return Ok((changes, false));
        }
        let stays = own.take().map(|(own, _)| apps.replace(AppSource::File, own));
        Ok((stays.unwrap_or(changes), true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::overrides::Overrides;

    #[test]
    fn without_a_file_there_is_nothing_to_reload() {
        let flags = Overrides { app: vec!["1:a:s".to_owned()], ..Overrides::default() };
        let config = flags.over_defaults().unwrap();
        let sources = || Sources::of_file(None, flags.clone());
        let reload = |files| Reload::of(sources(), files, Vec::new(), &config, config.app_reader());
        assert!(reload(Vec::new()).is_none());
        assert!(reload(vec!["x".to_owned()]).is_some());
    }
}
