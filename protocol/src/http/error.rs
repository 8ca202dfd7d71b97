//! The refusal of what is no request.

/// Why bytes are no request that we take: the answer to give before closing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpError {
    /// The status of the answer.
    pub status: u16,
    /// A sentence for its body.
    pub text: &'static str,
}

impl HttpError {
    pub(super) const fn bad(text: &'static str) -> Self {
        Self { status: 400, text }
    }
}
