//! Checks of a server that claims to speak the Pusher Channels protocol, whoever wrote it.
//!
//! Each [`Check`] has a name, plays one short scene against the running server, and says what it expected and what came
//! instead, and which SDK that breaks. Checks know nothing of Corecast's own crates but its client's signatures, so that
//! server and judge cannot share a misunderstanding.
//!
//! ```no_run
//! let target = corecast_conform::Target::of_url("http://key:secret@127.0.0.1:6001/apps/1")?;
//! let report = corecast_conform::run(&target, corecast_conform::all());
//! print!("{report}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod check;
mod checks;
mod client;
mod ground;
mod limits;
mod report;
mod rest;
mod socket;
mod target;
mod verdict;

pub use check::Check;
pub use checks::all;
pub use report::{Outcome, Report, run};
pub use target::Target;
