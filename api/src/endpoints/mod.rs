//! The endpoints, a file each: what a request asks for, and how it is answered.

pub mod channels;
pub mod events;
pub mod health;
pub mod terminate;
pub mod users;
