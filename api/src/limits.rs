//! The bounds of this crate, each with its reason. Those of requests and events are settings, and stand in `protocol`.

/// The longest body of a sample endpoint, which nobody has signed: a few short fields, the longest of them with up to 100
/// user ids.
pub(crate) const SAMPLE_BODY_BYTES_MAX: usize = 64 * 1024;

/// What is told of a key that no app has, in characters.
pub(crate) const KEY_CHARACTERS_MAX: usize = 64;

/// The body of a sign-in at the console, in bytes: a token and what is around it.
pub(crate) const SIGN_IN_BYTES_MAX: usize = 2 << 10;

/// How much an escape at the end of a text may be cut, in bytes: that of a pair of surrogates.
pub(crate) const ESCAPE_BYTES_MAX: usize = 12;
