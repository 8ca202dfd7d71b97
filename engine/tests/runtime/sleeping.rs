//! That no wake is lost, whether the core is awake, asleep or between.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use corecast::driver::doorbell::Doorbell;
use corecast::driver::ring::{Ring, Sizes};

const WAKES: u64 = 150_000;
const TIME_MAX: Duration = Duration::from_secs(20);
/// A lost wake costs this long: no timer comes to the rescue before.
const SLEEP: Duration = Duration::from_secs(8);
const LOST_AFTER: Duration = Duration::from_secs(5);
const FINISHED: u64 = u64::MAX;

/// What the two threads share.
struct Game {
    bell: Doorbell,
    posted: AtomicU64,
    seen: AtomicU64,
    sleeps: AtomicU64,
}

/// A core that does nothing but see what was posted.
fn core(game: &Game) {
    let mut ring = Ring::new(Sizes { submissions: 8, completions: 16, sends: 0 }).unwrap();
    let mut completions = Vec::new();
    ring.read_doorbell(game.bell.as_fd());
    loop {
        game.bell.clear();
        ring.reap(&mut completions);
        let completed = !completions.is_empty();
        completions.drain(..).for_each(|_| ring.read_doorbell(game.bell.as_fd()));
        ring.submit().unwrap();
        let posted = game.posted.load(Ordering::SeqCst);
        if posted == FINISHED {
            return;
        }
        if completed || game.seen.swap(posted, Ordering::SeqCst) != posted {
            continue;
        }
        game.sleeps.fetch_add(1, Ordering::Relaxed);
        ring.wait(SLEEP).unwrap();
    }
}

/// Posts and rings at random distances, each time waiting until it was seen. Returns how often.
fn post(game: &Game, wakes: u64, distance_max: Duration) -> u64 {
    let (begun, mut random) = (Instant::now(), 0x9e37_79b9_7f4a_7c15_u64);
    for wake in 1..=wakes {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let pause = Duration::from_nanos(random % distance_max.as_nanos() as u64);
        let at = Instant::now();
        while at.elapsed() < pause {
            std::hint::spin_loop();
        }
        game.posted.store(wake, Ordering::SeqCst);
        game.bell.ring();
        let rung = Instant::now();
        while game.seen.load(Ordering::SeqCst) != wake {
            assert!(rung.elapsed() < LOST_AFTER, "wake {wake} of {wakes} is lost");
            thread::yield_now();
        }
        if begun.elapsed() > TIME_MAX {
            return wake;
        }
    }
    wakes
}

fn play(wakes: u64, distance_max: Duration) -> (u64, u64) {
    let zero = || AtomicU64::new(0);
    let game =
        Arc::new(Game { bell: Doorbell::new().unwrap(), posted: zero(), seen: zero(), sleeps: zero() });
    let theirs = Arc::clone(&game);
    let sleeper = thread::spawn(move || core(&theirs));
    let done = post(&game, wakes, distance_max);
    game.posted.store(FINISHED, Ordering::SeqCst);
    game.bell.ring();
    sleeper.join().unwrap();
    (done, game.sleeps.load(Ordering::Relaxed))
}

#[test]
fn no_wake_is_lost_while_the_core_falls_asleep_at_random() {
    // Wakes fall before the sleep, into it and after it.
    let (wakes, sleeps) = play(WAKES, Duration::from_micros(120));
    assert!(wakes >= 5_000, "only {wakes} wakes in 20 s");
    assert!(sleeps >= wakes / 10, "{sleeps} sleeps at {wakes} wakes");
}
