//! SIGHUP: the apps of files, environment and flags are read anew, and replace those that the server has from there;
//! so do the marks of `[load]`.
//!
//! A file that is faulty changes nothing, and the log says why. Other settings hold until the server is started again; one
//! line names those that have changed.

use std::path::PathBuf;
use std::sync::Arc;

use logging::{event, warn};

use super::failure::Failure;
use super::sources::Sources;
use crate::config::{AppReader, AppsUrl, Config, EndpointConfig, HooksConfig};
use crate::driver::apps::{AppSource, AppsControl};
use crate::hooks_link::Endpoints;
use crate::server::LoadMarks;
use crate::settings::{Admin, Ending, Listen, Pages, Proxies, Shards, Tls};
use crate::tls::CertificateWatch;
use machines::limits::Limits;
use protocol::app::{AppChanges, DuplicateApp};

/// What is read again, and what the server was started with.
pub(super) struct Reload {
    sources: Sources,
    /// The first of the files, for messages.
    named: String,
    fixed: Fixed,
    /// What apps are read with that are not in the file.
    reader: AppReader,
    /// The endpoints that there are.
    endpoints: Vec<EndpointConfig>,
}

impl Reload {
    /// For a server that is started with this. None: nothing of it was read from files.
    pub(super) fn of(
        sources: Sources,
        files: Vec<String>,
        config: &Config,
        reader: AppReader,
    ) -> Option<Self> {
        let named = files.into_iter().next()?;
        Some(Self {
            sources,
            named,
            fixed: Fixed::of(config),
            reader,
            endpoints: config.hooks.endpoints.clone(),
        })
    }

    /// Replaces the apps that the server has from here.
    pub(super) fn reload(
        &mut self,
        apps: &Arc<AppsControl>,
        load: &LoadMarks,
        hooks: Option<&Endpoints>,
        certificates: Option<&CertificateWatch>,
    ) {
        if let Err(failure) = self.try_reload(apps, load, hooks, certificates) {
            event!(WARN, "reload_failed", {}, "SIGHUP changes nothing: {}", failure.text);
        }
    }

    fn try_reload(
        &mut self,
        apps: &Arc<AppsControl>,
        load: &LoadMarks,
        hooks: Option<&Endpoints>,
        certificates: Option<&CertificateWatch>,
    ) -> Result<(), Failure> {
        let mut config = self.sources.read()?.config;
        let files = std::mem::take(&mut config.tls.certificates);
        let (fixed, reader, log) = (Fixed::of(&config), config.app_reader(), config.log);
        if config.has_no_apps() {
            return Err(Failure::config(format!("{} has no app", self.named)));
        }
        let (changes, endpoints_stay) = self.replace(apps, hooks, &mut config)?;
        let changes = changes.map_err(|error| Failure::config(format!("{}: {error}", self.named)))?;
        self.reader.follow(&reader);
        if let Some(certificates) = certificates.filter(|_| !files.is_empty()) {
            certificates.follow(&files);
        }
        log.apply();
        load.change(config.load);
        event!(INFO, "reloaded", {}, "SIGHUP: {}: {changes}", self.named);
        let mut differing = self.fixed.differing(&fixed);
        if endpoints_stay && !differing.contains(&"hooks") {
            differing.push("endpoints");
        }
        if !differing.is_empty() {
            warn!(
                "SIGHUP: {}: changes of {} take effect when the server is started again",
                self.named,
                differing.join(", ")
            );
        }
        Ok(())
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
        let Some(hooks) = hooks.filter(|_| !self.fixed.differing(&Fixed::of(config)).contains(&"hooks"))
        else {
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

/// Settings that a running server keeps.
struct Fixed {
    listen: Listen,
    proxies: Proxies,
    /// Its certificates are read anew.
    tls: Tls,
    admin: Admin,
    pages: Pages,
    shards: Shards,
    ending: Ending,
    limits: Limits,
    app_store: Option<PathBuf>,
    apps_url: Option<AppsUrl>,
    hooks: HooksConfig,
}

impl Fixed {
    fn of(config: &Config) -> Self {
        let Config {
            listen,
            proxies,
            tls,
            admin,
            pages,
            log: _,
            shards,
            ending,
            limits,
            load: _,
            app_limits: _,
            apps: _,
            app_store,
            stored_apps: _,
            apps_url,
            hooks,
        } = config;
        Self {
            listen: listen.clone(),
            proxies: proxies.clone(),
            tls: tls.clone(),
            admin: admin.clone(),
            pages: *pages,
            shards: *shards,
            ending: *ending,
            limits: limits.clone(),
            app_store: app_store.clone(),
            apps_url: apps_url.clone(),
            hooks: hooks.without_endpoints(),
        }
    }

    /// What differs, in words.
    fn differing(&self, other: &Self) -> Vec<&'static str> {
        let all = [
            ("addresses and path_prefix", self.listen != other.listen),
            ("trusted_proxies", self.proxies != other.proxies),
            ("addresses with TLS", self.tls.listen != other.tls.listen),
            ("the admin listener", self.admin != other.admin),
            ("assets and sample_endpoints", self.pages != other.pages),
            ("shards", self.shards != other.shards),
            ("takeover and drain", self.ending != other.ending),
            ("limits of the server", self.limits != other.limits),
            ("app_store", self.app_store != other.app_store),
            ("apps_url", self.apps_url != other.apps_url),
            ("hooks", self.hooks != other.hooks),
        ];
        all.into_iter().filter(|(_, differs)| *differs).map(|(what, _)| what).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::overrides::Overrides;

    fn fixed(text: &str) -> Fixed {
        let app = "[[apps]]\nid = \"1\"\nkey = \"a\"\nsecret = \"s\"\n";
        Fixed::of(&Config::parse("x", &format!("{text}\n{app}")).unwrap())
    }

    #[test]
    fn each_setting_that_a_running_server_keeps_is_named_when_it_changes() {
        let before = fixed("");
        let table = [
            ("", ""),
            ("[limits]\nevent_data_bytes_max = 5", ""),
            ("listen = \"127.0.0.1:1\"", "addresses and path_prefix"),
            ("path_prefix = \"/a\"", "addresses and path_prefix"),
            ("trusted_proxies = \"10.0.0.0/8\"", "trusted_proxies"),
            ("[tls]\nlisten = \"127.0.0.1:1\"\ncert = \"c\"\nkey = \"k\"", "addresses with TLS"),
            ("admin = \"off\"\nshards = 3", "the admin listener, shards"),
            ("sample_endpoints = true", "assets and sample_endpoints"),
            ("assets = true", "assets and sample_endpoints"),
            ("drain_rate = 3", "takeover and drain"),
            ("[limits]\nhead_ms_max = 500", "limits of the server"),
            ("apps_url = \"http://h/\"", "apps_url"),
            ("[hooks]\nredis_url = \"redis://:hunter2@h\"", "hooks"),
        ];
        for (text, names) in table {
            assert_eq!(before.differing(&fixed(text)).join(", "), names, "{text}");
        }
        let password = |word: &str| fixed(&format!("[hooks]\nredis_url = \"redis://:{word}@h\""));
        assert_eq!(password("a").differing(&password("b")), ["hooks"]);
        let endpoint = fixed("").hooks;
        let text = "[[apps]]\nid = \"1\"\nkey = \"a\"\nsecret = \"s\"\n[[apps.hooks]]\nurl = \"http://h/\"\n";
        assert!(endpoint != Config::parse("x", text).unwrap().hooks);
    }

    #[test]
    fn without_a_file_there_is_nothing_to_reload() {
        let flags = Overrides { app: vec!["1:a:s".to_owned()], ..Overrides::default() };
        let config = flags.over_defaults().unwrap();
        let reload =
            |files| Reload::of(Sources::of_file(None, flags.clone()), files, &config, config.app_reader());
        assert!(reload(Vec::new()).is_none());
        assert!(reload(vec!["x".to_owned()]).is_some());
    }
}
