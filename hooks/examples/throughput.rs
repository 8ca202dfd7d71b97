//! How many events the hooks core takes in and gives out: client events through the journal to an endpoint that accepts
//! everything.
//!
//!     cargo run --release -p corecast-hooks --example throughput -- [--seconds N] [--rate N] [--dir DIR] [--insert-only] [--redis URL]
//!
//! Prints a line a second and a table at the end; the delay is that from an event to its commit, sampled each
//! millisecond. `--rate` offers so many events a second instead of as many as are taken; `--insert-only` lets nobody
//! read, so that the file grows; `--redis` has events pass through a stream on their way. The directory must not exist; it is removed.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hooks::counters::{Counters, JournalCounters};
use hooks::journal::Journal;
use hooks::pipeline::Hooks;
use hooks::queue::{Queue, queue};
use hooks::settings::{Endpoint, Settings, SinkSettings, StreamSettings};
use protocol::app::{App, Apps};
use protocol::hook_event::{Happened, HookEvent};
use protocol::hook_kind::HookKinds;
use protocol::socket_id::SocketId;

// As in the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CHANNELS: usize = 1_000;
const BURST: u64 = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse()?;
    let mut app = App::new("1", "key", "secret");
    app.hooks = HookKinds::USUAL;
    let apps = Arc::new(Apps::new(vec![app])?);
    let app = Arc::clone(apps.by_id("1").ok_or("no app")?);
    let endpoint = Endpoint::new("nobody", Arc::clone(&app), SinkSettings::None);
    let mut settings = Settings::new(options.dir.clone(), vec![endpoint]);
    settings.journal_bytes_max = 1 << 40;
    settings.stream = options.redis.as_deref().map(StreamSettings::new);
    fs::create_dir(&options.dir).map_err(|error| format!("{}: {error}", options.dir.display()))?;
    let outcome = if options.insert_only {
        insert_only(&options, &settings, apps, &app)
    } else {
        in_and_out(&options, &settings, apps, &app)
    };
    fs::remove_dir_all(&options.dir)?;
    outcome
}

struct Options {
    seconds: u64,
    rate: u64,
    dir: PathBuf,
    insert_only: bool,
    redis: Option<String>,
}

impl Options {
    fn parse() -> Result<Self, Box<dyn Error>> {
        let dir = std::env::temp_dir().join(format!("corecast-throughput-{}", std::process::id()));
        let mut options = Self { seconds: 10, rate: 0, dir, insert_only: false, redis: None };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--seconds" => options.seconds = value()?.parse()?,
                "--rate" => options.rate = value()?.parse()?,
                "--dir" => options.dir = value()?.into(),
                "--redis" => options.redis = Some(value()?),
                "--insert-only" => options.insert_only = true,
                _ => return Err(format!("{argument} is not known").into()),
            }
        }
        Ok(options)
    }
}

fn in_and_out(
    options: &Options,
    settings: &Settings,
    apps: Arc<Apps>,
    app: &Arc<App>,
) -> Result<(), Box<dyn Error>> {
    let (hooks, queue, _) = Hooks::start(settings, apps)?;
    let counters: Counters = hooks.counters().clone();
    let out = || counters.delivery.endpoints.first().map_or(0, |endpoint| endpoint.accepted.now());
    measure(options, queue, app, &counters.journal, &out);
    hooks.stop(Duration::from_secs(30));
    let (in_, out) = (counters.journal.written.now(), out());
    println!("at the end {in_} in, {out} out");
    if in_ == out { Ok(()) } else { Err("not every event came out".into()) }
}

fn insert_only(
    options: &Options,
    settings: &Settings,
    apps: Arc<Apps>,
    app: &Arc<App>,
) -> Result<(), Box<dyn Error>> {
    let counters = Arc::new(JournalCounters::default());
    let (queue, drain) = queue(settings.queue_events_max);
    let (journal, _) = Journal::start(settings, apps, drain, Arc::clone(&counters))?;
    measure(options, queue, app, &counters, &|| 0);
    journal.wait_until_drained(Duration::from_secs(30));
    journal.stop(Duration::from_secs(30));
    Ok(())
}

fn measure(
    options: &Options,
    queue: Queue,
    app: &Arc<App>,
    journal: &JournalCounters,
    out: &dyn Fn() -> u64,
) {
    let stop = AtomicBool::new(false);
    let begin = Instant::now();
    let (mut bytes_max, mut rss_max, mut lines) = (0, 0, 0);
    let mut delays = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| offer(queue, app, options.rate, &stop));
        while begin.elapsed() < Duration::from_secs(options.seconds) {
            for _ in 0..50 {
                thread::sleep(Duration::from_millis(1));
                delays.push(journal.delay_ms.now());
            }
            bytes_max = bytes_max.max(journal.bytes.now());
            rss_max = rss_max.max(resident_bytes());
            if begin.elapsed().as_secs() > lines {
                lines += 1;
                let (in_, out, rows) = (journal.written.now(), out(), journal.rows.now());
                println!(
                    "{lines:>3} s: in {in_}, out {out}, kept {rows} rows, {} MB",
                    journal.bytes.now() >> 20
                );
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    let seconds = begin.elapsed().as_secs_f64();
    let per_second = |count: u64| count as f64 / seconds;
    println!("in    {:>10.0} events/s", per_second(journal.written.now()));
    println!("out   {:>10.0} events/s", per_second(out()));
    println!("commits {:>8.0} /s", per_second(journal.commits.now()));
    delays.sort_unstable();
    let at = |part: usize| delays.get(delays.len() * part / 1_000).copied().unwrap_or(0);
    println!("delay {:>10} ms half the time, {} ms p99, {} ms p99.9", at(500), at(990), at(999));
    println!("file  {:>10} MB at most", bytes_max >> 20);
    println!("RSS   {:>10} MB at most", rss_max >> 20);
    for (name, seconds_of_cpu) in cpu_by_thread() {
        println!("CPU   {:>10.2} of a core: {name}", seconds_of_cpu / seconds);
    }
}

fn offer(queue: Queue, app: &Arc<App>, rate: u64, stop: &AtomicBool) {
    let channels: Vec<Arc<str>> = (0..CHANNELS).map(|n| format!("private-room-{n}").into()).collect();
    let begin = Instant::now();
    let mut offered = 0;
    while !stop.load(Ordering::Relaxed) {
        if rate > 0 && offered as f64 > begin.elapsed().as_secs_f64() * rate as f64 {
            thread::sleep(Duration::from_micros(500));
            continue;
        }
        for channel in channels.iter().cycle().skip(offered as usize % CHANNELS).take(BURST as usize) {
            let mut happened = client_event(app, channel);
            while let Err(back) = queue.offer(happened) {
                thread::sleep(Duration::from_millis(1));
                happened = back;
            }
        }
        offered += BURST;
    }
}

fn client_event(app: &Arc<App>, channel: &Arc<str>) -> Happened {
    let event = HookEvent::ClientEvent {
        app: Arc::clone(app),
        channel: Arc::clone(channel),
        event: "client-move".into(),
        data_literal: r##""{\"x\":1024,\"y\":768,\"colour\":\"#ff8800\"}""##.into(),
        socket_id: SocketId { first: 1, second: 7_205_759_403_792 },
        user_id: None,
    };
    Happened { event, time_ms: now_ms() }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

fn resident_bytes() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4_096
}

// Name of each thread and its seconds of CPU.
fn cpu_by_thread() -> Vec<(String, f64)> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    tasks.filter_map(|task| cpu_of(&task.path())).filter(|(_, seconds)| *seconds > 0.1).collect()
}

fn cpu_of(task: &Path) -> Option<(String, f64)> {
    let name = fs::read_to_string(task.join("comm")).ok()?.trim().to_owned();
    let nanoseconds: u64 =
        fs::read_to_string(task.join("schedstat")).ok()?.split(' ').next()?.parse().ok()?;
    Some((name, nanoseconds as f64 / 1e9))
}
