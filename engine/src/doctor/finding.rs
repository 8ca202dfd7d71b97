//! What the doctor says of one thing: how it is, and what to do about it.

/// How something is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum State {
    /// As it should be.
    Ok,
    /// A server works, and could do better or will have a problem.
    Warn,
    /// A server does not start, or does not do what it is there for.
    Fail,
}

impl State {
    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What it is called; several findings may be about one thing.
    pub name: &'static str,
    /// How it is.
    pub state: State,
    /// What was found.
    pub what: String,
    /// What to do, unless it is as it should be.
    pub cure: Option<String>,
}

impl Finding {
    /// It is as it should be.
    pub fn ok(name: &'static str, what: impl Into<String>) -> Self {
        Self { name, state: State::Ok, what: what.into(), cure: None }
    }

    /// It could be better.
    pub fn warn(name: &'static str, what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { name, state: State::Warn, what: what.into(), cure: Some(cure.into()) }
    }

    /// It must be changed.
    pub fn fail(name: &'static str, what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { name, state: State::Fail, what: what.into(), cure: Some(cure.into()) }
    }
}
