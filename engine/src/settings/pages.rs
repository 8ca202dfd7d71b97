//! What web pages get from the server besides the protocol.

/// Paths for web pages. Each is there only if it is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pages {
    /// Whether push.js, the client for browsers, is served, and what it is for uni-app and WeChat.
    pub assets: bool,
    /// Whether the sample endpoints are there, which sign whatever is asked.
    pub sample_endpoints: bool,
}
