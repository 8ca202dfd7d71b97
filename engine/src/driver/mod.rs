//! The driver: sockets, rings and time around a pure [`Machine`]. One driver serves both kinds of core, the shard and
//! the API core.
//!
//! A core is a glommio executor (a thread on its processor) that runs one task, the turn; its sockets are on an io_uring
//! of our own, made on that thread. Each file says what it owns. What must never happen in the driver: a decision about
//! what bytes mean. Called by the server.

pub mod accept;
mod agents;
pub mod allowed;
pub mod app_line;
pub mod apps;
pub mod bus_lines;
mod busy;
pub mod control;
pub mod doorbell;
pub mod flush;
pub mod hooks_end;
pub mod inbox;
pub mod introduction;
mod introductions;
pub mod limits;
pub mod listen;
pub mod notices;
pub mod park;
pub mod probe;
pub mod problems;
pub mod ring;
pub mod socket_file;
pub mod sockets;
pub mod steering;
pub mod transport;
mod turn;
pub mod violations;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;
use glommio::{LocalExecutor, LocalExecutorBuilder, Placement};

use self::accept::Entrance;
use self::app_line::AppLine;
use self::apps::AppsControl;
use self::control::{Clock, Control, CoreError, Health, Leave, Report};
use self::hooks_end::HooksEnd;
use self::inbox::MeshEnd;
use self::ring::Sizes;
use self::turn::Core;
use machines::machine::Machine;

/// What a core starts with.
#[derive(Debug)]
pub struct CoreSetup {
    /// Its end of the mesh, which also says which core it is.
    pub mesh: MeshEnd,
    /// Where it accepts.
    pub entrances: Vec<Entrance>,
    /// The sizes of its ring.
    pub ring_sizes: Sizes,
    /// The processor it stays on.
    pub cpu: Option<usize>,
    /// How it ends.
    pub leave: Leave,
    /// The clocks of the server.
    pub clock: Clock,
    /// What the server says.
    pub control: Arc<Control>,
    /// Where it shows that it lives.
    pub health: Arc<Health>,
    /// Where it says what has become of it.
    pub reports: Sender<Report>,
    /// Where its hook events go.
    pub hooks: HooksEnd,
    /// Which apps there are.
    pub apps: Arc<AppsControl>,
    /// Where it asks for apps that it does not know; None: nowhere.
    pub app_line: Option<AppLine>,
}

/// Memory for glommio's own storage I/O, of which a core does none.
const IO_MEMORY_BYTES: usize = 64 << 10;

/// Entries of glommio's rings, which see nothing.
const RING_DEPTH: usize = 128;

/// The turn never asks whether it shall yield, so this timer has no work to do; but glommio 0.9 parks with a runnable
/// task when it fires between a wake and the task's run. At 2 ms a thread that loses its processor for so long lost a
/// wake in 2 of 9 runs of the sleeping test on a busy machine, at 10 s in none of 9.
const PREEMPT_TIMER: Duration = Duration::from_secs(10);

/// Runs a core on this thread until the server stops. The machine is made here, since it need not be able to travel.
pub fn run_core<M: Machine>(setup: CoreSetup, make: impl FnOnce() -> M) -> Result<(), CoreError> {
    let executor = executor(setup.cpu)?;
    executor.run(async move {
        let reports = setup.reports.clone();
        let core = Core::start(setup, make())?;
        // The channel holds all that cores ever report; without its far end the server is gone.
        let _ = reports.try_send(Report::Up);
        core.run()
    })
}

/// The executor of a core: on processor `cpu`, or wherever the system puts it. glommio would look that processor up in /sys, which
/// some containers and service managers do not show, and panic.
fn executor(cpu: Option<usize>) -> Result<LocalExecutor, CoreError> {
    cpu.map_or(Ok(()), allowed::stay_on).map_err(CoreError::during("keeping a core on its processor"))?;
    LocalExecutorBuilder::new(Placement::Unbound)
        .io_memory(IO_MEMORY_BYTES)
        .ring_depth(RING_DEPTH)
        .preempt_timer(PREEMPT_TIMER)
        .make()
        .map_err(|error| CoreError {
            what: "starting an executor",
            error: io::Error::other(error.to_string()),
        })
}
