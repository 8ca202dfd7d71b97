//! The turn of a core: the one order in which a machine is given its input and asked for its output.
//!
//! Driver, simulation, tests and benchmarks all go through [`turn`], so what the simulation proves is what the server
//! does. The order is a rule of its own: the doorbell is cleared before the inboxes are looked at, Runs are sealed before
//! anything leaves, and batches go to other cores before sockets are written, because the reader of an answer may rely on
//! what was sent before it. A core sleeps only after a turn that did nothing at all: what a gate holds back goes on in
//! the next one.

use crate::machine::{Inputs, Machine, Mesh, Now};

/// A machine with everything around it. Each method is one step of the turn; those that return a `bool` say whether they
/// did anything.
pub trait Core {
    /// The pure state behind the core.
    type Machine: Machine;
    /// What the machine draws from.
    type Inputs<'a>: Inputs
    where
        Self: 'a;
    /// Its way out to the other cores.
    type Mesh<'a>: Mesh
    where
        Self: 'a;
    /// What ends the core.
    type Error;

    /// The machine, and what it draws from.
    fn inputs(&mut self) -> (&mut Self::Machine, Self::Inputs<'_>);
    /// The machine, and its way out to the other cores.
    fn mesh(&mut self) -> (&mut Self::Machine, Self::Mesh<'_>);
    /// From now on a ring wakes this core again.
    fn clear_doorbell(&mut self);
    /// Takes in what the kernel, the clock and the server have for this core.
    fn gather(&mut self, now: Now) -> Result<bool, Self::Error>;
    /// The phase is decided and not sealed yet: a place to look, for the simulation.
    fn decided(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
    /// The phase is sealed and nothing of it has left yet: a place to look, for the simulation.
    fn sealed(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
    /// Tells the hooks what has happened on the channels that live here.
    fn tell_hooks(&mut self, now: Now) -> Result<(), Self::Error>;
    /// Does what the machine asks for by its effects.
    fn perform(&mut self, now: Now) -> Result<bool, Self::Error>;
    /// Writes a slice of the dirty outboxes.
    fn flush(&mut self, now: Now) -> Result<bool, Self::Error>;
    /// Hands on what has left, and tells the server how this core stands.
    fn finish(&mut self, now: Now) -> Result<bool, Self::Error>;
}

/// One turn. Returns whether there was anything to do; if not, the core may sleep.
pub fn turn<C: Core>(core: &mut C, now: Now) -> Result<bool, C::Error> {
    core.clear_doorbell();
    let gathered = core.gather(now)?;
    let (machine, mut inputs) = core.inputs();
    let decided = machine.decide(&mut inputs, now);
    drop(inputs);
    core.decided()?;
    core.mesh().0.seal();
    core.sealed()?;
    let (machine, mut mesh) = core.mesh();
    let sent = machine.send_batches(&mut mesh);
    drop(mesh);
    core.tell_hooks(now)?;
    // Only now: last bytes of a close may be an answer, and its reader may rely on what was sent.
    let performed = core.perform(now)?;
    let flushed = core.flush(now)?;
    let performed = core.perform(now)? | performed;
    let finished = core.finish(now)?;
    Ok(gathered | decided | sent | performed | flushed | finished)
}
