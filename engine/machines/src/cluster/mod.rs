//! Nodes joined by Redis, without a socket or a clock: what homes, the bus and the scripts say to each other, and the
//! session that a node has with each server.
//!
//! A *node* is one Corecast process. What a home shard is for the shards of its node, a Redis server is for the homes of
//! all nodes: the one place that orders a topic's events and keeps its roster. Each topic lives on one server. For each
//! server a node has a *bus*: a thread with two connections, which decides nothing, and a session, which does.
//!
//! Homes talk to a bus in [`bus::ToBus`] and hear from it in [`bus::FromBus`]. A session numbers what homes say and sends
//! it as [`command::Command`]s, in [`call::Call`]s of scripts. What a script has to say to nodes it appends to their
//! *inboxes*, streams of [`item::Item`]s, which each node reads from the last id that it took. So the answers, the roster's
//! changes and the events of a topic come in one order, and nothing is lost when a connection breaks.
//!
//! Bytes. Epochs are 16 hexadecimal digits, numbers are decimal. A topic is `APP/cCHANNEL` or `APP/uUSER`
//! ([`topic_name`]). A *part* of a value is its length in four bytes, the highest first, and so many bytes.

pub mod answer;
pub mod bus;
pub mod call;
pub mod command;
pub mod epoch;
pub mod event_data;
pub mod item;
pub mod levels;
pub mod lookup;
pub mod nodes;
pub mod order;
pub mod parts;
pub mod servers;
pub mod session;
pub mod topic_name;
