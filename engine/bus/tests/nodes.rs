//! Nodes with real sessions on real redis-servers, and everything that can come between them.

#[path = "../../../hooks/tests/stream/redis_server.rs"]
mod redis_server;

#[path = "nodes/faults.rs"]
mod faults;
#[path = "nodes/node.rs"]
mod node;
#[path = "nodes/proxy.rs"]
mod proxy;
#[path = "nodes/together.rs"]
mod together;
#[path = "nodes/unfit.rs"]
mod unfit;
