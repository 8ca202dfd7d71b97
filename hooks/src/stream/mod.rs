//! Redis Streams: the road between the journal of one server and consumers anywhere.
//!
//! The [`mover`] adds the journal's rows to a stream, in order; a [`source::StreamSource`] gives them to a dispatcher.
//! Everything beside the stream lies under its name with something behind it, so that a key with a hash tag
//! (`{corecast}:hooks`) takes its companions along to its slot, and partitions can be named in the same way.
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
mod recent;
mod runs;
mod tail;
mod taker;

pub use mark::{GroupStanding, Standing};
