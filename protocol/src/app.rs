//! An app: an id, its keys and what it may do. All traffic belongs to exactly one app.
//!
//! A secret is kept only as the HMAC key made from it, so nothing can print it. An `App` never changes; an app whose
//! settings change gets another `App`, in another `Apps`. The numbers of connections and of subscriptions are all that
//! cores share and change here, and they are an app's, whichever `App` they were counted by: an `Admission` is taken
//! before a connection is attached and gives its place back when it is dropped.

use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::close::Close;
use crate::dialect::Dialect;
use crate::hook_kind::HookKinds;
use crate::limits::AppLimits;

mod changes;
mod keys;
mod newcomers;
mod origins;
mod question;
mod traffic;

use self::keys::AppKeys;
use self::newcomers::Newcomers;
use self::traffic::Totals;

pub use self::changes::AppChanges;
pub use self::keys::AppKey;
pub use self::origins::{OriginError, Origins};
pub use self::question::{AppQuestion, AppVerdict};
pub use self::traffic::Traffic;

/// As long as Pusher remembers.
const CACHE_TTL_S: u32 = 30 * 60;

/// One app and its rights.
pub struct App {
    /// Names the app in the paths of the REST API.
    pub id: Box<str>,
    /// A disabled app refuses connections (4003) and REST calls (403).
    pub enabled: bool,
    /// What its clients expect.
    pub dialect: Dialect,
    /// Whether clients may send `client-` events.
    pub client_events: bool,
    /// Whether `info` may ask how many subscriptions a channel has.
    pub subscription_count: bool,
    /// Whether subscribers are told how many they are, on channels without members, and hooks with them.
    pub subscription_count_events: bool,
    /// Whether signed-in users are told which users of their watchlists are online.
    pub watchlist_events: bool,
    /// How long a cache channel remembers its last event, in seconds.
    pub cache_ttl_s: u32,
    /// How long a connection may stay that has neither signed in nor joined a channel that must be authorised, in seconds;
    /// 0: for ever.
    pub authorization_timeout_s: u32,
    /// The origins of the web pages that may connect.
    pub allowed_origins: Origins,
    /// Whether a client that names no origin, as programs other than browsers do, is refused.
    pub require_origin: bool,
    /// Whether only clients and callers are served that come by TLS: others are closed with 4000, and refused with 403.
    pub tls_only: bool,
    /// Whether terminating a user's connections closes those, too, that are in a presence channel under its id. Pusher
    /// closes connections that are signed in as the user, and no others.
    pub terminate_by_presence: bool,
    /// The kinds of hook events that some endpoint of this app wants. No others are made.
    pub hooks: HookKinds,
    /// How often what a channel's subscribers all get is written, in milliseconds; 0: as soon as can be. With more each
    /// connection gets at most one write per interval, and its frames wait for the next multiple of it. What is for one
    /// connection alone never waits, nor does what stands before it.
    pub flush_interval_ms: u32,
    /// The bounds of this app.
    pub limits: AppLimits,
    /// What a connection beyond `limits.connections_max` is told.
    pub over_quota_close: Close,
    keys: AppKeys,
    shared: Arc<Shared>,
}

/// What all cores change, and each `App` of an app in one line of registries has in common. In cache lines of its own: what
/// is read with every event stands beside it.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shared {
    connections: AtomicU32,
    /// Those on other nodes of a cluster, as far as this one has heard.
    elsewhere: AtomicU32,
    admitted: AtomicU64,
    subscriptions: AtomicU64,
    channels: AtomicU64,
    newcomers: Newcomers,
    traffic: Totals,
    /// What signs for the newest `App`.
    signer: Mutex<Option<Arc<AppKey>>>,
}

impl App {
    /// An enabled app with one key, every feature and default limits.
    pub fn new(id: &str, key: &str, secret: &str) -> Self {
        Self {
            id: id.into(),
            enabled: true,
            dialect: Dialect::default(),
            client_events: true,
            subscription_count: true,
            subscription_count_events: true,
            watchlist_events: true,
            cache_ttl_s: CACHE_TTL_S,
            authorization_timeout_s: 0,
            allowed_origins: Origins::default(),
            require_origin: false,
            tls_only: false,
            terminate_by_presence: false,
            hooks: HookKinds::NONE,
            flush_interval_ms: 0,
            limits: AppLimits::default(),
            over_quota_close: Close::APP_FULL,
            keys: AppKeys::new(AppKey::new(key, secret)),
            shared: Arc::default(),
        }
    }

    /// An app from `ID:KEY:SECRET`. Only the secret may hold further colons.
    pub fn parse(id_key_secret: &str) -> Result<Self, AppParseError> {
        let mut parts = id_key_secret.splitn(3, ':');
        let (Some(id), Some(key), Some(secret)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(AppParseError::Shape);
        };
        Self::of_parts(id, key, secret)
    }

    /// An app from credentials that somebody wrote, if they can be such.
    pub fn of_parts(id: &str, key: &str, secret: &str) -> Result<Self, AppParseError> {
        check_name("id", id)?;
        AppKey::parse(key, secret)?;
        Ok(Self::new(id, key, secret))
    }

    /// Adds a key, which is newer than those that the app has.
    pub fn add_key(&mut self, key: AppKey) {
        self.keys.push(key);
    }

    /// Every key, the oldest first.
    pub fn keys(&self) -> impl Iterator<Item = &AppKey> {
        self.keys.iter()
    }

    /// Every key, to be changed.
    pub fn keys_mut(&mut self) -> impl Iterator<Item = &mut AppKey> {
        self.keys.iter_mut()
    }

    /// The enabled key of this name: what clients and REST callers may use.
    pub fn enabled_key(&self, name: &str) -> Option<&AppKey> {
        self.keys.enabled(name)
    }

    /// The oldest enabled key. Of an app without one it is the oldest.
    pub fn oldest_key(&self) -> &AppKey {
        self.keys.oldest()
    }

    /// What the server names itself by and signs with now: the oldest enabled key that the app has in the newest registry.
    pub fn signer(&self) -> Arc<AppKey> {
        let signer = self.shared.signer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        signer.unwrap_or_else(|| Arc::new(self.oldest_key().clone()))
    }

    /// Whether a client with this `Origin` may connect.
    pub fn check_origin(&self, origin: Option<&str>) -> Result<(), Close> {
        match origin {
            Some(origin) if self.allowed_origins.allow(origin) => Ok(()),
            Some(_) => Err(Close::ORIGIN),
            None if self.require_origin => Err(Close::ORIGIN_MISSING),
            None => Ok(()),
        }
    }

    /// Connections admitted and not yet gone.
    pub fn connections(&self) -> u32 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// So many connections of it are on other nodes of the cluster. They count for `limits.connections_max`.
    pub fn note_elsewhere(&self, connections: u32) {
        self.shared.elsewhere.store(connections, Ordering::Relaxed);
    }

    /// Connections on other nodes of the cluster, as far as this one has heard.
    pub fn elsewhere(&self) -> u32 {
        self.shared.elsewhere.load(Ordering::Relaxed)
    }

    /// Connections admitted since the start.
    pub fn admitted(&self) -> u64 {
        self.shared.admitted.load(Ordering::Relaxed)
    }

    /// Subscriptions of all its connections.
    pub fn subscriptions(&self) -> u64 {
        self.shared.subscriptions.load(Ordering::Relaxed)
    }

    /// A subscription more. It is for the caller to know whether there may be: cores that ask and add at the same time
    /// can go past a bound by one each.
    pub fn add_subscription(&self) {
        self.shared.subscriptions.fetch_add(1, Ordering::Relaxed);
    }

    /// A subscription less.
    pub fn remove_subscription(&self) {
        self.shared.subscriptions.fetch_sub(1, Ordering::Relaxed);
    }

    /// Its channels that somebody subscribes to.
    pub fn channels(&self) -> u64 {
        self.shared.channels.load(Ordering::Relaxed)
    }

    /// A channel has its first subscriber.
    pub fn add_channel(&self) {
        self.shared.channels.fetch_add(1, Ordering::Relaxed);
    }

    /// A channel has lost its last subscriber.
    pub fn remove_channel(&self) {
        self.shared.channels.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether `limits.connections_max` are there.
    pub fn is_full(&self) -> bool {
        self.limits.connections_max.is_some_and(|max| self.connections() >= max)
    }

    /// Takes one of the clients that may connect in this second. Returns whether there was one left.
    pub fn take_newcomer(&self, mono_ms: u64) -> bool {
        let per_second = self.limits.new_connections_per_second_max;
        per_second.is_none_or(|per_second| self.shared.newcomers.take(per_second, mono_ms))
    }

    /// A place for one more connection; `None` when `limits.connections_max` are there.
    pub fn admit(self: &Arc<Self>) -> Option<Admission> {
        let elsewhere = self.elsewhere();
        let max = self.limits.connections_max.map_or(u32::MAX, |max| max.saturating_sub(elsewhere));
        let one_more = |now: u32| (now < max).then_some(now.saturating_add(1));
        self.shared.connections.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        self.shared.admitted.fetch_add(1, Ordering::Relaxed);
        Some(Admission { app: Arc::clone(self) })
    }
}

/// An app is the same with the same settings, however many connections it has.
impl PartialEq for App {
    fn eq(&self, other: &Self) -> bool {
        // Each field by name: a new one must not be forgotten here.
        let Self {
            id,
            enabled,
            dialect,
            client_events,
            subscription_count,
            subscription_count_events,
            watchlist_events,
            cache_ttl_s,
            authorization_timeout_s,
            allowed_origins,
            require_origin,
            tls_only,
            terminate_by_presence,
            hooks,
            flush_interval_ms,
            limits,
            over_quota_close,
            keys,
            shared: _,
        } = self;
        *id == other.id
            && *enabled == other.enabled
            && *dialect == other.dialect
            && *client_events == other.client_events
            && *subscription_count == other.subscription_count
            && *subscription_count_events == other.subscription_count_events
            && *watchlist_events == other.watchlist_events
            && *cache_ttl_s == other.cache_ttl_s
            && *authorization_timeout_s == other.authorization_timeout_s
            && *allowed_origins == other.allowed_origins
            && *require_origin == other.require_origin
            && *tls_only == other.tls_only
            && *terminate_by_presence == other.terminate_by_presence
            && *hooks == other.hooks
            && *flush_interval_ms == other.flush_interval_ms
            && *limits == other.limits
            && *over_quota_close == other.over_quota_close
            && keys.iter().eq(other.keys.iter())
    }
}

impl Eq for App {}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("id", &self.id)
            .field("keys", &self.keys)
            .field("enabled", &self.enabled)
            .field("client_events", &self.client_events)
            .finish_non_exhaustive()
    }
}

// An id or a key stands in a URL, and a key before the colon of a signature.
fn check_name(what: &'static str, name: &str) -> Result<(), AppParseError> {
    if name.is_empty() {
        return Err(AppParseError::Empty(what));
    }
    match name.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.')) {
        Some(character) => Err(AppParseError::Character { what, character }),
        None => Ok(()),
    }
}

/// Why `ID:KEY:SECRET` is no app. Never shows the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppParseError {
    /// Not three parts.
    Shape,
    /// The named part is empty.
    Empty(&'static str),
    /// The named part holds what cannot stand in a URL.
    Character {
        /// `id` or `key`.
        what: &'static str,
        /// The first character that is wrong.
        character: char,
    },
    /// The secret contains whitespace or a control character.
    SecretCharacter,
}

impl fmt::Display for AppParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape => write!(f, "an app is written ID:KEY:SECRET"),
            Self::Empty(what) => {
                write!(f, "the {what} of the app is empty (an app is written ID:KEY:SECRET)")
            }
            Self::Character { what, character } => {
                write!(f, "the {what} of the app contains {character:?}; only A-Z a-z 0-9 - _ . are allowed")
            }
            Self::SecretCharacter => {
                write!(f, "the secret of the app contains whitespace or a control character")
            }
        }
    }
}

impl std::error::Error for AppParseError {}

/// One admitted connection of an app. Dropping it gives the place back.
#[derive(Debug)]
pub struct Admission {
    app: Arc<App>,
}

impl Admission {
    /// The app, for parts that must keep it longer than the connection.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// From now on what a newer registry says of the app holds for the connection. It keeps its place.
    pub fn renew(&mut self, app: &Arc<App>) {
        debug_assert!(Arc::ptr_eq(&self.app.shared, &app.shared), "its place was counted by this app");
        self.app = Arc::clone(app);
    }
}

impl Deref for Admission {
    type Target = App;

    fn deref(&self) -> &App {
        &self.app
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.app.shared.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All apps of the server, found by key or by id. A registry never changes; one that differs follows it.
#[derive(Debug, Default)]
pub struct Apps {
    by_key: HashMap<Box<str>, Arc<App>>,
    by_id: HashMap<Box<str>, Arc<App>>,
    all: Vec<Arc<App>>,
    /// How many registries before this one had an app that the next did not have, or had another way.
    revision: u64,
    /// What those have in common that were here before and may still have connections.
    gone: HashMap<Box<str>, Weak<Shared>>,
}

impl Apps {
    /// The apps in the given order. Ids and keys must each be unique, disabled keys among them.
    pub fn new(apps: Vec<App>) -> Result<Self, DuplicateApp> {
        Self::of(apps.into_iter().map(Arc::new))
    }

    /// The app for a registry that follows this one: it goes on with the counts of the app of its id, even one that is gone
    /// and still has connections. Where nothing has changed it is the very one that is here.
    pub fn adopt(&self, mut app: App) -> Arc<App> {
        match self.by_id(&app.id) {
            Some(same) if **same == app => return Arc::clone(same),
            Some(before) => app.shared = Arc::clone(&before.shared),
            None => app.shared = self.gone.get(&app.id).and_then(Weak::upgrade).unwrap_or_default(),
        }
        Arc::new(app)
    }

    /// The registry that follows this one with these apps, each of which it has adopted. From now on the server signs with
    /// the keys that they have here.
    pub fn followed_by(&self, apps: Vec<Arc<App>>) -> Result<Self, DuplicateApp> {
        let mut next = Self::of(apps.into_iter())?;
        let before = self.all.iter().map(|app| (app.id.clone(), Arc::downgrade(&app.shared)));
        let gone = self.gone.iter().map(|(id, shared)| (id.clone(), Weak::clone(shared)));
        let gone: Vec<_> = gone.chain(before).collect();
        let is_counted =
            |(id, shared): &(Box<str>, Weak<Shared>)| next.by_id(id).is_none() && shared.strong_count() > 0;
        next.gone = gone.into_iter().filter(is_counted).collect();
        let stays = |app: &Arc<App>| next.by_id(&app.id).is_some_and(|now| Arc::ptr_eq(now, app));
        next.revision = self.revision + u64::from(!self.all.iter().all(stays));
        for app in &next.all {
            let signer = Some(Arc::new(app.oldest_key().clone()));
            *app.shared.signer.lock().unwrap_or_else(PoisonError::into_inner) = signer;
        }
        Ok(next)
    }

    fn of(apps: impl Iterator<Item = Arc<App>>) -> Result<Self, DuplicateApp> {
        let mut this = Self::default();
        for app in apps {
            if this.by_id.insert(app.id.clone(), Arc::clone(&app)).is_some() {
                return Err(DuplicateApp::Id(app.id.clone()));
            }
            for key in app.keys() {
                if this.by_key.insert(key.name.clone(), Arc::clone(&app)).is_some() {
                    return Err(DuplicateApp::Key(key.name.clone()));
                }
            }
            this.all.push(app);
        }
        Ok(this)
    }

    /// The app that a client names, if the key is enabled.
    pub fn by_key(&self, key: &str) -> Option<&Arc<App>> {
        self.by_key.get(key).filter(|app| app.enabled_key(key).is_some())
    }

    /// The app that a REST path names.
    pub fn by_id(&self, id: &str) -> Option<&Arc<App>> {
        self.by_id.get(id)
    }

    /// The same for registries that differ by apps which were added alone: what is known of the others holds.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Every app, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<App>> {
        self.all.iter()
    }

    /// Whether there is no app at all.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

/// Two apps have the same id or key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DuplicateApp {
    /// This id is there twice.
    Id(Box<str>),
    /// This key is there twice.
    Key(Box<str>),
}

impl fmt::Display for DuplicateApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "two apps have the id {id:?}"),
            Self::Key(key) => write!(f, "two apps have the key {key:?}"),
        }
    }
}

impl std::error::Error for DuplicateApp {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_with_more_apps_has_the_same_revision_and_any_other_the_next() {
        let first = Apps::new(vec![App::new("1", "a", "s")]).unwrap();
        let next = |apps: &Apps, list: Vec<App>| {
            apps.followed_by(list.into_iter().map(|app| apps.adopt(app)).collect()).unwrap()
        };
        let more = next(&first, vec![App::new("1", "a", "s"), App::new("2", "b", "s")]);
        let changed = next(&more, vec![App::new("1", "c", "s"), App::new("2", "b", "s")]);
        let fewer = next(&changed, vec![App::new("1", "c", "s")]);
        let back = next(&fewer, vec![App::new("1", "c", "s"), App::new("2", "b", "s")]);
        assert_eq!([&first, &more, &changed, &fewer, &back].map(Apps::revision), [0, 0, 1, 2, 2]);
    }

    #[test]
    fn an_app_is_three_parts_and_errors_say_what_is_wrong() {
        let app = App::parse("1:key-a:se:cr=et/+").unwrap();
        assert_eq!(
            (&*app.id, &*app.oldest_key().name, app.enabled, app.client_events),
            ("1", "key-a", true, true)
        );
        let table = [
            ("", AppParseError::Shape),
            ("1:k", AppParseError::Shape),
            (":k:s", AppParseError::Empty("id")),
            ("1::s", AppParseError::Empty("key")),
            ("1:k:", AppParseError::Empty("secret")),
            ("a/b:k:s", AppParseError::Character { what: "id", character: '/' }),
            ("1:k y:s", AppParseError::Character { what: "key", character: ' ' }),
            ("1:k:s t", AppParseError::SecretCharacter),
        ];
        for (text, error) in table {
            assert_eq!(App::parse(text).unwrap_err(), error, "{text}");
        }
        let colon = AppParseError::Character { what: "id", character: ':' };
        assert_eq!(App::of_parts("1:2", "k", "s").unwrap_err(), colon);
    }

    #[test]
    fn debug_does_not_show_a_secret() {
        let mut app = App::new("1", "k", "hunter2");
        app.add_key(AppKey::parse("k2", "hunter3").unwrap());
        let text = format!("{app:?}");
        assert!(text.contains("redacted") && !text.contains("hunter"), "{text}");
    }

    // An app with these keys, whether each is enabled.
    fn app_with<const N: usize>(keys: [(&str, bool); N]) -> App {
        let mut app = App::new("1", keys[0].0, "s0");
        for (name, _) in &keys[1..] {
            app.add_key(AppKey::parse(name, "s").unwrap());
        }
        for (key, (_, enabled)) in app.keys_mut().zip(keys) {
            key.enabled = enabled;
        }
        app
    }

    #[test]
    fn enabled_keys_open_an_app_and_the_oldest_of_them_is_its_own() {
        let table = [
            ([("a", true), ("b", true), ("c", true)], "a"),
            ([("a", false), ("b", true), ("c", true)], "b"),
            ([("a", false), ("b", false), ("c", true)], "c"),
            ([("a", true), ("b", false), ("c", true)], "a"),
            ([("a", false), ("b", false), ("c", false)], "a"),
        ];
        for (keys, oldest) in table {
            let apps = Apps::new(vec![app_with(keys)]).unwrap();
            assert_eq!(&*apps.by_id("1").unwrap().oldest_key().name, oldest, "{keys:?}");
            for (name, enabled) in keys {
                assert_eq!(apps.by_key(name).is_some(), enabled, "{keys:?} {name}");
            }
        }
    }

    #[test]
    fn a_key_is_held_to_what_stands_in_a_url_and_a_secret_to_one_word() {
        let error = |name, secret| AppKey::parse(name, secret).unwrap_err();
        assert_eq!(error("", "s"), AppParseError::Empty("key"));
        assert_eq!(error("k:", "s"), AppParseError::Character { what: "key", character: ':' });
        assert_eq!(error("k", ""), AppParseError::Empty("secret"));
        assert_eq!(error("k", "s\n"), AppParseError::SecretCharacter);
    }

    #[test]
    fn a_client_without_an_origin_passes_unless_the_app_requires_one() {
        let mut app = App::new("1", "k", "s");
        let check = |app: &App| {
            ["https://a.com", "https://b.com", ""]
                .map(|origin| app.check_origin(Some(origin).filter(|origin| !origin.is_empty())))
        };
        assert_eq!(check(&app), [Ok(()); 3]);
        app.allowed_origins = Origins::parse(["a.com"]).unwrap();
        assert_eq!(check(&app), [Ok(()), Err(Close::ORIGIN), Ok(())]);
        app.require_origin = true;
        assert_eq!(check(&app), [Ok(()), Err(Close::ORIGIN), Err(Close::ORIGIN_MISSING)]);
    }

    #[test]
    fn admissions_are_counted_bounded_and_given_back() {
        let mut app = App::new("1", "k", "s");
        app.limits.connections_max = Some(2);
        let app = Arc::new(app);
        let first = app.admit().unwrap();
        let second = app.admit().unwrap();
        assert!(app.admit().is_none());
        assert_eq!((app.connections(), &*second.id), (2, "1"));
        drop(first);
        assert_eq!(app.connections(), 1);
        assert!(app.admit().is_some());
        assert_eq!(app.admitted(), 3, "those that were refused were not admitted");
        assert!(Arc::ptr_eq(second.app(), &app));
        drop(second);
        app.note_elsewhere(2);
        assert!(app.admit().is_none(), "those on other nodes count too");
        app.note_elsewhere(1);
        assert!(app.admit().is_some());
        app.note_elsewhere(u32::MAX);
        assert!(Arc::new(App::new("1", "k", "s")).admit().is_some());
    }

    #[test]
    fn an_app_keeps_its_counts_from_registry_to_registry_and_while_it_is_gone() {
        let first = Apps::new(vec![App::new("1", "a", "s"), App::new("2", "b", "s")]).unwrap();
        let mut one = Arc::clone(first.by_id("1").unwrap()).admit().unwrap();
        one.add_subscription();
        one.add_channel();
        let with = |ttl_s| App { cache_ttl_s: ttl_s, ..App::new("1", "a", "s") };
        let second = first.followed_by(vec![first.adopt(with(7))]).unwrap();
        let renewed = second.by_id("1").unwrap();
        assert!(second.by_id("2").is_none() && renewed.cache_ttl_s == 7);
        assert_eq!((renewed.connections(), renewed.subscriptions(), renewed.admitted()), (1, 1, 1));
        assert_eq!(renewed.channels(), 1);
        one.renew(renewed);
        assert!(Arc::ptr_eq(one.app(), renewed));
        let third = second.followed_by(Vec::new()).unwrap();
        assert!(third.by_id("1").is_none() && third.by_key("a").is_none());
        let fourth = third.followed_by(Vec::new()).unwrap();
        let fifth = fourth.followed_by(vec![fourth.adopt(with(8))]).unwrap();
        assert_eq!(fifth.by_id("1").unwrap().connections(), 1);
        drop(one);
        assert_eq!(fifth.by_id("1").unwrap().connections(), 0);
        let mut limited = App::new("2", "b", "s");
        limited.limits.connections_max = Some(0);
        let sixth = fifth.followed_by(vec![fifth.adopt(limited)]).unwrap();
        assert!(sixth.by_id("2").unwrap().admit().is_none(), "new rules hold for new connections");
    }

    #[test]
    fn an_app_that_has_not_changed_is_the_very_same_one() {
        let first = Apps::new(vec![app_with([("a", true), ("b", true)])]).unwrap();
        let same = |app: App| Arc::ptr_eq(&first.adopt(app), first.by_id("1").unwrap());
        assert!(same(app_with([("a", true), ("b", true)])));
        let changed: [App; 6] = [
            app_with([("b", true), ("a", true)]),
            app_with([("a", true), ("b", false)]),
            app_with([("a", true)]),
            App { enabled: false, ..app_with([("a", true), ("b", true)]) },
            App {
                allowed_origins: Origins::parse(["a.com"]).unwrap(),
                ..app_with([("a", true), ("b", true)])
            },
            {
                let mut app = App::new("1", "a", "another secret");
                app.add_key(AppKey::parse("b", "s").unwrap());
                app
            },
        ];
        changed.into_iter().for_each(|app| assert!(!same(app)));
        let second = first.followed_by(first.iter().cloned().collect()).unwrap();
        assert!(Arc::ptr_eq(first.by_id("1").unwrap(), second.by_id("1").unwrap()));
        let twice = first.by_id("1").map(Arc::clone).into_iter().cycle().take(2).collect();
        assert_eq!(first.followed_by(twice).unwrap_err(), DuplicateApp::Id("1".into()));
    }

    #[test]
    fn whoever_holds_an_app_signs_with_the_oldest_key_that_it_has_now() {
        let first = Apps::new(vec![app_with([("a", true), ("b", true)])]).unwrap();
        let held = Arc::clone(first.by_id("1").unwrap());
        assert_eq!(&*held.signer().name, "a");
        let adopted = first.adopt(app_with([("a", false), ("b", true)]));
        assert_eq!(&*held.signer().name, "a", "it is in no registry yet");
        let second = first.followed_by(vec![adopted]).unwrap();
        assert_eq!(&*held.signer().name, "b");
        assert_eq!(&*second.by_id("1").unwrap().signer().name, "b");
        second.followed_by(Vec::new()).unwrap();
        assert_eq!(&*held.signer().name, "b", "what is left to sign when it has gone");
    }

    #[test]
    fn apps_are_found_by_key_and_id_and_must_be_unique() {
        let apps = Apps::new(vec![App::new("1", "a", "s"), App::new("2", "b", "s")]).unwrap();
        assert_eq!(&*apps.by_key("b").unwrap().id, "2");
        assert_eq!(&*apps.by_id("1").unwrap().oldest_key().name, "a");
        assert!(apps.by_key("1").is_none() && apps.by_id("b").is_none());
        assert_eq!(apps.iter().count(), 2);
        let same_id = vec![App::new("1", "a", "s"), App::new("1", "b", "s")];
        assert_eq!(Apps::new(same_id).unwrap_err(), DuplicateApp::Id("1".into()));
        let same_key = vec![App::new("1", "a", "s"), App::new("2", "a", "s")];
        assert_eq!(Apps::new(same_key).unwrap_err(), DuplicateApp::Key("a".into()));
        for twin in [("a", false), ("b", false)] {
            let same_key = vec![App::new("2", "b", "s"), app_with([("a", true), ("c", true), twin])];
            assert_eq!(Apps::new(same_key).unwrap_err(), DuplicateApp::Key(twin.0.into()));
        }
        assert!(Apps::default().is_empty());
    }
}
