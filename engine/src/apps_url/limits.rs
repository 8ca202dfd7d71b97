//! The bounds of the source of apps.

use std::time::Duration;

/// The longest answer of the source, in bytes: an app with every setting takes a few thousand.
pub(super) const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// How long a question may take, from when a core asks it.
pub(super) const QUESTION_MAX: Duration = Duration::from_secs(5);

/// Questions for different apps that are asked at the same time.
pub(super) const ANSWERING_THREADS: usize = 8;

/// Apps that are asked for again at the same time, by threads of their own: no flood of unknown keys delays them.
pub(super) const REFRESHING_THREADS: usize = 2;

/// For how long the source is not asked again for what it has no app for.
pub(super) const UNKNOWN_FOR: Duration = Duration::from_secs(5);

/// Keys and ids of which that is remembered; past it the oldest is forgotten.
pub(super) const UNKNOWN_MAX: usize = 4096;

/// Apps of the source; past it one without connections gives way, and without such a one a newcomer is told to come back.
pub(super) const APPS_MAX: usize = 10_000;

/// After this long without a connection an app is forgotten, and asked for when somebody comes.
pub(super) const IDLE_MAX: Duration = Duration::from_secs(3600);

/// How soon a source that has failed is asked again for an app that is known.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(5);

/// How often the log says that the source fails.
pub(super) const SAY_AGAIN: Duration = Duration::from_secs(60);

/// How often a thread looks whether the source is to be asked again for an app, and how long it pauses after a failure.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);
