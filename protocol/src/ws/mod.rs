//! WebSocket (RFC 6455), server side, without a socket: the frames that go out, the decoder of what comes in, and the
//! handshake. Everything here works on buffers of the caller; the driver owns the connection.

mod decoder;
pub(crate) mod frame;
mod handshake;

pub use decoder::{Decoder, Message};
pub use frame::{Frame, encode_close_frame, encode_ping, encode_pong_frame, encode_text_frame};
pub use handshake::{
    Upgrade, UpgradeRefusal, encode_upgrade_response, parse_protocol_version, parse_upgrade, route_app,
};
