//! What is the same for every call that is not answered yet, whatever it asks for.

use api::answer::Manner;
use api::refused::Refused;

use crate::machine::Token;

/// Names a call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct CallId(u64);

/// A question is named by its call and by which of the call's questions it is, in the low bits.
const QUESTION_BITS: u32 = 24;

impl CallId {
    /// The call of this number.
    pub(super) fn new(number: u64) -> Self {
        Self(number & (u64::MAX >> QUESTION_BITS))
    }

    /// The id of a query.
    pub(super) fn question(self, index: u32) -> u64 {
        self.0 << QUESTION_BITS | u64::from(index) & ((1 << QUESTION_BITS) - 1)
    }

    /// The call of a query, and which of its questions that is.
    pub(super) fn of_question(id: u64) -> (Self, usize) {
        (Self(id >> QUESTION_BITS), (id & ((1 << QUESTION_BITS) - 1)) as usize)
    }
}

/// A call that is not answered yet.
#[derive(Debug)]
pub(super) struct OpenCall {
    /// Whose it is; None when that connection is gone.
    pub(super) connection: Option<Token>,
    /// How it will be answered.
    pub(super) manner: Manner,
    /// Parts that wait at a gate.
    pub(super) parts_waiting: usize,
    /// Answers of home shards that have not come.
    pub(super) answers_missing: usize,
    /// What its waiting events keep in memory, in bytes.
    pub(super) parked_bytes: usize,
    /// Why it cannot be answered as it was asked.
    pub(super) refused: Option<Refused>,
}

impl OpenCall {
    /// A call that nothing is waited for so far.
    pub(super) fn new(connection: Token, manner: Manner) -> Self {
        Self {
            connection: Some(connection),
            manner,
            parts_waiting: 0,
            answers_missing: 0,
            parked_bytes: 0,
            refused: None,
        }
    }

    /// One that nobody waits for.
    pub(super) fn of_nobody() -> Self {
        let manner = Manner { keep_alive: true, head_only: false };
        Self {
            connection: None,
            manner,
            parts_waiting: 0,
            answers_missing: 0,
            parked_bytes: 0,
            refused: None,
        }
    }

    /// True when it can be answered.
    pub(super) fn is_complete(&self) -> bool {
        self.refused.is_some() || (self.parts_waiting == 0 && self.answers_missing == 0)
    }
}
