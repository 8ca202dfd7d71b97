//! One behaviour of the server a file, as its peers see it: a real process on a free port, real sockets.
//!
//! All of them are one program, since building one is much cheaper than two dozen. What must never happen here: a test
//! that another one can disturb. Who needs the server for himself starts his own; names of channels on the shared one are
//! the test's own.
#![forbid(unsafe_code)]

mod app_store;
mod apps;
mod apps_url;
mod assets;
mod authorization;
mod bad_input;
mod budget;
mod cache;
mod capacity;
mod caps;
mod certificates;
mod channels;
mod client_events;
mod config;
mod conform;
mod console;
mod console_watches;
mod data_directory;
mod departures;
mod descriptors;
mod dialects;
mod drain;
mod endpoints;
mod flush_interval;
mod frames;
mod handshake;
mod http;
mod http_cases;
mod idle;
mod limits;
mod load;
mod log;
mod log_events;
mod log_schema;
mod metrics;
mod naps;
mod presence;
mod process;
mod proxies;
mod rest;
mod rig;
mod samples;
mod slow_consumer;
mod steering;
mod subscribe;
mod subscription_count;
mod supervised;
mod takeover;
mod terminal;
mod terminate;
mod threads;
mod tls;
mod tls_only;
mod tls_peers;
mod tls_takeover;
mod unix_sockets;
mod users;
mod watch;
mod watchlists;
mod weaknesses;
