//! How a core sleeps. The only file besides the start of a core that knows glommio.
//!
//! Owns the file through which glommio waits for our ring. A turn that found nothing first lingers: it blocks in
//! io_uring_enter on our own ring, and glommio never hears of it. Only then it parks for good, in glommio's reactor.
//! What must never happen here: going to sleep without a last look at the completion queue after the wakeup is
//! enabled, or parking without a timer. Called by turn.rs.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{Ordering, fence};
use std::task::Poll;
use std::time::Duration;

use glommio::io::BufferedFile;
use glommio::timer::Timer;

use super::ring::{Ring, adopt};

/// How long an idle core blocks on its own ring before it parks. Parking and being woken through glommio costs several
/// times as much; with no lingering a core that has a message every millisecond uses 1.6 to 3 times the processor, with
/// 1 ms half of that is gained, and past 20 ms nothing more is.
pub const LINGER_MAX: Duration = Duration::from_millis(20);

/// The longest sleep. glommio 0.9 can park with a runnable task when its preempt timer or a forced notification comes at
/// the wrong moment; an armed timer turns that from a hang into a delay.
pub const PARK_MAX: Duration = Duration::from_millis(50);

type Reading = Pin<Box<dyn Future<Output = io::Result<()>>>>;

/// A core's bed.
pub struct Parking {
    file: Rc<BufferedFile>,
    /// The read that ends when our ring rings its eventfd. It outlives a park that the timer ended.
    reading: Option<Reading>,
    /// True when nothing has happened since the last park: lingering again would gain nothing.
    cold: bool,
    linger_max: Duration,
    park_max: Duration,
}

impl Parking {
    /// Registers an eventfd with `ring`. Must be called on the executor.
    pub fn new(ring: &mut Ring) -> io::Result<Self> {
        Self::with_limits(ring, LINGER_MAX, PARK_MAX)
    }

    /// The same with other limits, to see each kind of sleep by itself.
    pub fn with_limits(ring: &mut Ring, linger_max: Duration, park_max: Duration) -> io::Result<Self> {
        let file = Rc::new(adopt::<BufferedFile>(ring.register_wakeup()?));
        Ok(Self { file, reading: None, cold: false, linger_max, park_max })
    }

    /// The core has done something: its next sleep lingers first.
    pub fn warm(&mut self) {
        self.cold = false;
    }

    /// Sleeps until `ring` has a completion, at most `patience`, which is cut to [`PARK_MAX`]
    /// when it comes to parking.
    pub async fn sleep(&mut self, ring: &mut Ring, patience: Duration) -> io::Result<()> {
        if !self.cold {
            ring.wait(patience.min(self.linger_max))?;
            if ring.has_completions() || patience <= self.linger_max {
                return Ok(());
            }
        }
        self.cold = true;
        self.park(ring, patience.min(self.park_max)).await
    }

    async fn park(&mut self, ring: &mut Ring, patience: Duration) -> io::Result<()> {
        ring.submit()?;
        ring.enable_wakeup();
        // Orders the flag's store before the queue's load: either the kernel sees the flag and rings, or we see the
        // completion that it posted before.
        fence(Ordering::SeqCst);
        let result = if ring.has_completions() { Ok(()) } else { self.doze(patience).await };
        ring.disable_wakeup();
        result
    }

    async fn doze(&mut self, patience: Duration) -> io::Result<()> {
        let file = &self.file;
        let reading = self.reading.get_or_insert_with(|| read_once(Rc::clone(file)));
        let mut timer = Timer::new(patience);
        let woken = std::future::poll_fn(|context| {
            if let Poll::Ready(read) = reading.as_mut().poll(context) {
                return Poll::Ready(Some(read));
            }
            Pin::new(&mut timer).poll(context).map(|_| None)
        })
        .await;
        match woken {
            None => Ok(()),
            Some(read) => {
                self.reading = None;
                read
            }
        }
    }
}

impl std::fmt::Debug for Parking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parking").field("cold", &self.cold).finish_non_exhaustive()
    }
}

fn read_once(file: Rc<BufferedFile>) -> Reading {
    Box::pin(async move {
        match file.read_at(0, size_of::<u64>()).await {
            Ok(_) => Ok(()),
            Err(error) => Err(io::Error::other(error.to_string())),
        }
    })
}
