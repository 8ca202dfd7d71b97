//! Delivery: the dispatcher takes rows from a source and brings them to the endpoints.
//!
//! Its thread has a queue for each endpoint, which decides what is sent when, and worker threads for each, which wait for the
//! answers. It writes dead letters and tells the source what is done. What must never happen here: an endpoint that waits
//! for another one, or a row that is released before all endpoints are done with it.

mod backoff;
mod channel_queues;
mod dead_letter_queue;
mod dispatcher;
mod endpoint_queue;
mod endpoint_state;
mod filter;
mod flights;
mod health;
mod means;
mod schedule;
#[cfg(test)]
mod simulation;
mod source_reader;
mod start_error;
mod turn;
mod watermark;
mod workers;

pub use self::dispatcher::Dispatcher;
pub use self::means::Means;
pub use self::start_error::StartError;
