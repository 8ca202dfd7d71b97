//! Connections that act: what they do, and what came of it. A scenario has one kind of them; `soak` has all at once.
//!
//! `talk` is groups that send to each other, `waves` members of presence channels who come and go. Each drives a `SocketPool` of
//! its own.

pub(crate) mod talk;
pub(crate) mod waves;
