//! A takeover: two processes serve the same ports, and each event reaches the clients of both.
//!
//! Where to look: `address` is how processes find each other; `relay` is the thread between their cores, from the first link
//! on; `link` is one connection, `wire` its messages, `counters` what metrics read. Which message goes where is decided by
//! pure code: `machines::exchange`, and what homes keep. The newest process leads: it decides the order of all events. Only
//! published events and terminated users are shared; each process has its own rosters and counts. Called by the server.

pub mod address;
pub mod counters;
pub mod link;
mod relay;
pub mod wire;

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};
use protocol::app::Apps;
use rustix::process::geteuid;

use self::address::Name;
use self::counters::Counters;
use self::relay::{Command, Met, Relay, Setup};
use self::wire::{Hello, Refusal};
use crate::driver::apps::AppsView;
use crate::driver::control::Control;
use crate::driver::doorbell::Doorbells;
use crate::driver::inbox::MeshEnd;
use crate::driver::ring;
use crate::limits::{LOOKING_MAX, MEETING_MAX, RELAY_COMMANDS_MAX, SHARING_FINISH_MAX};
use crate::process::started_ticks;
use crate::settings::ListenAddress;
use machines::cores::CoreId;
use machines::exchange::Homes;

const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What sharing events needs.
#[derive(Clone, Debug)]
pub struct TakeoverPlan {
    /// The apps of this process as it starts.
    pub apps: Arc<Apps>,
    /// The hash that all its cores share.
    pub homes: Homes,
    /// What metrics read.
    pub counters: Arc<Counters>,
}

/// The means to share ports with other processes.
pub struct Takeover {
    relay: Mutex<State>,
    names: Vec<Name>,
    doorbells: Doorbells,
}

enum State {
    /// There has been no other process so far.
    Alone(Box<Setup>),
    Running(Sender<Command>),
    Failed,
}

impl Takeover {
    /// `names` are the sockets of this process; `mesh` is the relay's end.
    pub fn new(
        plan: TakeoverPlan,
        names: Vec<Name>,
        mesh: MeshEnd,
        control: Arc<Control>,
        apps_view: AppsView,
    ) -> Self {
        let random = RandomState::new().build_hasher().finish();
        let hello = Hello { started_ticks: started_ticks(), random };
        let doorbells = mesh.doorbells();
        let TakeoverPlan { apps, homes, counters } = plan;
        let setup = Setup { mesh, control, apps, apps_view, homes, hello, counters };
        Self { relay: Mutex::new(State::Alone(Box::new(setup))), names, doorbells }
    }

    /// Becomes the leader of the processes that listen on the same addresses, and logs the outcome. On `shared` addresses a
    /// process is known to listen.
    pub fn meet(&self, addresses: &[ListenAddress], shared: &[ListenAddress]) {
        let found = self.find(addresses, !shared.is_empty()).unwrap_or_else(|error| {
            logging::say!("takeover: cannot look for a predecessor in /proc/net/unix: {error}");
            Vec::new()
        });
        let linked = !found.is_empty() && self.meet_each(found);
        if let Some(address) = shared.first().filter(|_| !linked) {
            logging::say!(
                "takeover: another process listens on {address} and shares no events with this one (it is older, \
                 or not a corecast): while both serve, an event reaches the clients of the one that it is sent to"
            );
        }
    }

    /// A process that is known to be there gets a little more time to appear.
    fn find(&self, addresses: &[ListenAddress], is_there: bool) -> io::Result<Vec<Name>> {
        let give_up = Instant::now() + LOOKING_MAX;
        loop {
            let found = address::find(addresses, &self.names)?;
            if !found.is_empty() || !is_there || Instant::now() >= give_up {
                return Ok(found);
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Returns whether any of them follows.
    fn meet_each(&self, names: Vec<Name>) -> bool {
        let mut left = names.len();
        let (met, meetings) = bounded(left);
        if !self.command(Command::Meet(names, met)) {
            return false;
        }
        let give_up = Instant::now() + MEETING_MAX;
        let mut linked = false;
        while left > 0 {
            let Ok(met) = meetings.recv_deadline(give_up) else { break };
            left -= 1;
            match met {
                Met::Linked => linked = true,
                Met::Refused(_, Refusal::Led | Refusal::Younger) | Met::Gone => {}
                Met::Refused(process, Refusal::Version) => logging::say!(
                    "takeover: process {process} is of another version and shares no events with this one"
                ),
            }
        }
        linked
    }

    /// A process has connected to one of the sockets of this one.
    pub fn adopt(&self, socket: OwnedFd) {
        // Any program on this machine may connect; only processes of the same user can share a port.
        if let Ok((process, user)) = ring::peer_of(socket.as_fd())
            && user == geteuid().as_raw()
        {
            self.command(Command::Adopt(UnixStream::from(socket), process));
        }
    }

    /// Waits briefly until other processes have received what this one sent them.
    pub fn finish(&self) {
        if matches!(*self.state(), State::Running(_)) {
            let (done, finished) = bounded(1);
            if self.command(Command::Finish(done)) {
                // What is unsent by then is lost with this process.
                let _ = finished.recv_timeout(SHARING_FINISH_MAX);
            }
        }
    }

    fn command(&self, command: Command) -> bool {
        let mut state = self.state();
        if let State::Alone(_) = *state {
            *state = match std::mem::replace(&mut *state, State::Failed) {
                State::Alone(setup) => match start(*setup) {
                    Ok(commands) => State::Running(commands),
                    Err(error) => {
                        logging::say!("takeover: cannot share events: {error}");
                        State::Failed
                    }
                },
                other => other,
            };
        }
        let State::Running(commands) = &*state else { return false };
        let sent = commands.try_send(command).is_ok();
        self.doorbells.ring(CoreId::Relay);
        sent
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.relay.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn start(setup: Setup) -> io::Result<Sender<Command>> {
    let (sender, commands) = bounded(RELAY_COMMANDS_MAX);
    let relay = Relay::new(setup, commands)?;
    thread::Builder::new().name("takeover".to_owned()).spawn(move || relay.run())?;
    Ok(sender)
}

impl fmt::Debug for Takeover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Takeover").field("names", &self.names).finish_non_exhaustive()
    }
}
