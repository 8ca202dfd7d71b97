//! What the design relies on in the kernel and in the runtime under the driver, held against a small machine.
//!
//! What must never happen here: a rule of the protocol, or a change to the process that other tests would feel.
#![allow(missing_docs)]

mod closing;
mod descriptors;
mod echo;
mod handover;
mod listening;
mod reading;
mod sending;
mod sleeping;
mod steering;
