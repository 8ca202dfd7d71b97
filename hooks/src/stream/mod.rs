//! Redis Streams: they carry rows from the journal of one server to consumers anywhere.
//!
//! The [`mover`] adds the journal's rows to a stream, in order; a [`source::StreamSource`] gives them to a dispatcher.
//! All other keys begin with the stream's name, so those of a stream with a hash tag (`{corecast}:hooks`) share its slot, and
//! partitions can be named in the same way.
//! What must never happen here: a row that leaves the journal before the consumer group has done with it.

pub mod mover;
pub mod source;
pub mod view;

mod checkpoints;
mod entry;
mod fault;
mod lease;
mod loss;
mod mark;
mod once;
mod recent;
mod runs;
mod tail;
mod taker;

pub use mark::{GroupStanding, Standing};
