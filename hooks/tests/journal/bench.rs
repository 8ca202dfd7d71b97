//! What the tests work with: a directory, apps, a journal with both its ends in hand, and the same binary as another
//! process. What must never happen here: a wait without an end.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hooks::counters::JournalCounters;
use hooks::journal::{Journal, JournalSource, JournalView, StartError, Status};
use hooks::queue::{Queue, queue};
use hooks::row::{Position, Row};
use hooks::settings::{Endpoint, Settings, SinkSettings};
use hooks::source::Source;
use protocol::app::{App, Apps};
use protocol::hook_event::{Happened, HookEvent, OpenEdges};
use protocol::hook_kind::{HookKind, HookKinds};
use protocol::socket_id::SocketId;

const PATIENCE: Duration = Duration::from_secs(60);

/// A directory that is gone with its owner.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("corecast-journal-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn status(&self) -> Status {
        status(self.path())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn status(directory: &Path) -> Status {
    JournalView::open(directory).unwrap().unwrap().status().unwrap()
}

/// Apps with these ids that want the usual kinds.
pub(crate) fn apps(ids: &[&str]) -> Arc<Apps> {
    apps_that_want(ids, HookKinds::USUAL.with(HookKind::ServerEvent))
}

pub(crate) fn apps_that_want(ids: &[&str], kinds: HookKinds) -> Arc<Apps> {
    let apps = ids.iter().map(|id| {
        let mut app = App::new(id, &format!("key-{id}"), "secret");
        app.hooks = kinds;
        app
    });
    Arc::new(Apps::new(apps.collect()).unwrap())
}

/// Settings with endpoints of these names, all of the first app.
pub(crate) fn settings(directory: &Path, apps: &Apps, endpoints: &[&str]) -> Settings {
    let app = apps.iter().next().unwrap();
    let endpoint = |name: &&str| Endpoint::new(*name, Arc::clone(app), SinkSettings::None);
    Settings::new(directory.to_owned(), endpoints.iter().map(endpoint).collect())
}

/// A journal with both its ends in hand.
pub(crate) struct Bench {
    pub(crate) journal: Journal,
    pub(crate) queue: Queue,
    pub(crate) source: JournalSource,
    pub(crate) counters: Arc<JournalCounters>,
    pub(crate) open_edges: Vec<OpenEdges>,
    pub(crate) app: Arc<App>,
    offered: u64,
}

impl Bench {
    pub(crate) fn start(directory: &Path) -> Self {
        let apps = apps(&["1"]);
        Self::start_with(&settings(directory, &apps, &["a"]), &apps).unwrap()
    }

    pub(crate) fn start_with(settings: &Settings, apps: &Arc<Apps>) -> Result<Self, StartError> {
        let counters = Arc::new(JournalCounters::default());
        let (queue, drain) = queue(settings.queue_events_max);
        let (journal, open_edges) = Journal::start(settings, Arc::clone(apps), drain, Arc::clone(&counters))?;
        let (source, app) = (journal.source(), Arc::clone(apps.iter().next().unwrap()));
        Ok(Self { journal, queue, source, counters, open_edges, app, offered: 0 })
    }

    /// Offers an event, and again until it is taken.
    pub(crate) fn offer(&mut self, event: HookEvent) {
        self.offered += 1;
        let mut happened = Happened { event, time_ms: self.offered };
        wait("the queue takes the event", || match self.queue.offer(happened.clone()) {
            Ok(()) => true,
            Err(back) => {
                happened = back;
                false
            }
        });
    }

    /// Offers client events whose data are so many bytes.
    pub(crate) fn offer_client_events(&mut self, count: usize, data_bytes: usize) {
        for _ in 0..count {
            self.offer(client_event(&self.app.clone(), data_bytes));
        }
    }

    /// Reads all rows up to an id, from behind another one, by so many at once. Each must come once and in order.
    pub(crate) fn read(&mut self, after: u64, up_to: u64, rows_max: usize) -> Vec<Arc<Row>> {
        let (mut place, mut all) = (Position(after, 0), Vec::new());
        wait("all rows are there", || {
            let mut rows = Vec::new();
            self.source.read(place, rows_max, &mut rows).unwrap();
            assert!(rows.len() <= rows_max);
            for (position, row) in rows {
                assert_eq!((position, row.id), (Position(place.0 + 1, 0), place.0 + 1));
                place = position;
                all.push(row);
            }
            place.0 >= up_to
        });
        all
    }

    pub(crate) fn release(&mut self, up_to: u64) {
        self.source.release(Position(up_to, 0), &[]).unwrap();
    }

    /// Ends as a server does.
    pub(crate) fn stop(self) {
        drop(self.queue);
        self.journal.wait_until_drained(PATIENCE);
        assert!(self.journal.stop(PATIENCE), "the writer has not ended");
    }
}

pub(crate) fn client_event(app: &Arc<App>, data_bytes: usize) -> HookEvent {
    HookEvent::ClientEvent {
        app: Arc::clone(app),
        channel: "private-a".into(),
        event: "client-x".into(),
        data_literal: format!("\"{}\"", "x".repeat(data_bytes)).into(),
        socket_id: SocketId { first: 1, second: 2 },
        user_id: None,
    }
}

pub(crate) fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "not in time: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// This binary again, as another process that only runs the test of this name, with a directory to work in.
pub(crate) fn in_another_process(test: &str, directory: &Path, shell: Option<&str>) -> Child {
    let this = std::env::current_exe().unwrap();
    let mut command = match shell {
        None => Command::new(&this),
        Some(before) => {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(format!("{before}; exec \"$0\" \"$@\"")).arg(&this);
            shell
        }
    };
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    command.env(ROLE, directory).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// The directory of this process' role, if it has one.
pub(crate) fn role() -> Option<PathBuf> {
    std::env::var_os(ROLE).map(Into::into)
}

const ROLE: &str = "CORECAST_JOURNAL_ROLE";
