//! Why a server could not start, in one line that names the cause and a way out.

use std::fmt;
use std::io;

use crate::driver::control::CoreError;
use crate::driver::listen::ListenError;
use crate::driver::probe::ProbeError;
use crate::driver::steering::SteeringError;
use crate::tls::{CertificateError, SelfCheckError};

/// Why a server could not start.
#[derive(Debug)]
pub enum StartError {
    /// io_uring does not work here as it must.
    Probe(ProbeError),
    /// A port could not be taken.
    Listen(ListenError),
    /// A listener that the supervisor has passed on is of no use.
    Inherited(io::Error),
    /// Newcomers cannot be spread as was asked.
    Steering(SteeringError),
    /// A core failed while it started.
    Core(CoreError),
    /// A certificate cannot be used.
    Certificate(CertificateError),
    /// TLS does not work.
    SelfCheck(SelfCheckError),
    /// Hook events cannot be kept.
    Hooks(hooks::pipeline::StartError),
    /// The system has refused something else.
    System(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Probe(error) => error.fmt(f),
            Self::Listen(error) => error.fmt(f),
            Self::Inherited(error) => error.fmt(f),
            Self::Steering(error) => error.fmt(f),
            Self::Core(error) => error.fmt(f),
            Self::Certificate(error) => error.fmt(f),
            Self::SelfCheck(error) => error.fmt(f),
            Self::Hooks(error) => error.fmt(f),
            Self::System(error) => write!(f, "the system refuses a resource that the server needs: {error}"),
        }
    }
}

impl std::error::Error for StartError {}
