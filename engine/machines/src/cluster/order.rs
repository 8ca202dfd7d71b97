//! Orders to all nodes, which do not concern a topic: what a command `A` carries.
//!
//! `T` and two parts, the app's id and the user's: the connections of a user must go.

use crate::cluster::parts::{Parts, push_part};

/// What all nodes must do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Order {
    /// Connections of a user must go.
    Terminate {
        /// The id of the app.
        app_id: Box<str>,
        /// The user.
        user_id: Box<str>,
    },
}

impl Order {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let Self::Terminate { app_id, user_id } = self;
        let mut out = vec![b'T'];
        push_part(&mut out, app_id.as_bytes());
        push_part(&mut out, user_id.as_bytes());
        out
    }

    /// Reads an order. None: those are not the bytes of one that this version knows.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut parts = Parts(bytes.strip_prefix(b"T")?);
        let (app_id, user_id) = (parts.next_text()?.into(), parts.next_text()?.into());
        parts.is_empty().then_some(Self::Terminate { app_id, user_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_comes_back_as_it_was_and_nothing_cut_off_is_one() {
        let order = Order::Terminate { app_id: "1".into(), user_id: "u/\0".into() };
        let bytes = order.encode();
        assert_eq!(Order::decode(&bytes), Some(order));
        for length in 0..bytes.len() {
            assert_eq!(Order::decode(bytes.get(..length).unwrap()), None);
        }
    }
}
