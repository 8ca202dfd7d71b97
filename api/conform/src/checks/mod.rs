//! The checks, a file per area.

mod cache;
mod client_events;
mod connection;
mod frames;
mod presence;
mod private;
mod rest_auth;
mod rest_channels;
mod rest_events;
mod subscriptions;
mod users;

use crate::check::Check;

/// All checks, in the order in which a reader of the protocol meets them.
pub fn all() -> impl Iterator<Item = &'static Check> {
    let areas: [&[Check]; 11] = [
        connection::CHECKS,
        frames::CHECKS,
        subscriptions::CHECKS,
        private::CHECKS,
        presence::CHECKS,
        client_events::CHECKS,
        cache::CHECKS,
        users::CHECKS,
        rest_auth::CHECKS,
        rest_events::CHECKS,
        rest_channels::CHECKS,
    ];
    areas.into_iter().flatten()
}
