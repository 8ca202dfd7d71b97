//! What each script does on a real redis-server, and that nothing it meets there makes it do less or more.

#[path = "../../../hooks/tests/stream/redis_server.rs"]
mod redis_server;

#[path = "scripts/faults.rs"]
mod faults;
#[path = "scripts/levels.rs"]
mod levels;
#[path = "scripts/node.rs"]
mod node;
#[path = "scripts/reading.rs"]
mod reading;
#[path = "scripts/sessions.rs"]
mod sessions;
#[path = "scripts/topics.rs"]
mod topics;
