//! HTTP/1.1, server side, without a socket: requests out of a buffer, and responses into one. The driver and the API
//! core own the connection; the api gives the requests their meaning.

mod body;
mod chunks;
mod error;
mod head;
mod host;
mod request;
mod response;
mod trusted_proxies;

pub use error::HttpError;
pub use head::Head;
pub use request::{
    HeadParse, Request, RequestParse, RequestProgress, parse_head, parse_head_within, parse_request,
    parse_request_on, parse_request_within,
};
pub use response::{encode_busy, encode_refusal, encode_response};
pub use trusted_proxies::TrustedProxies;
