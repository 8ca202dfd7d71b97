//! The limits of a file: those of the server and of all apps in `[limits]`, those of one app in `[apps.limits]`.

use protocol::limits::AppLimits;

use super::bounds::{APP, IDLE_CHECK, Limit, SERVER};
use super::contradictions::{PAIRS, Pair};
use super::fault::Fault;
use super::section::{Section, Value};
use super::table::Table;
use machines::limits::Limits;

/// The limits of `[limits]`, or the defaults without it.
pub(super) struct ParsedLimits<'a> {
    pub(super) server: Limits,
    pub(super) app: AppLimits,
    set: Vec<Value<'a>>,
}

impl<'a> ParsedLimits<'a> {
    /// Limits that do not contradict each other.
    pub(super) fn parse(value: Option<Value<'a>>) -> Result<Self, Fault> {
        let mut this = Self { server: Limits::default(), app: AppLimits::default(), set: Vec::new() };
        let Some(value) = value else { return Ok(this) };
        let mut section = value.section(Table::Limits)?;
        read(&SERVER, &mut section, &mut this.server, &mut this.set)?;
        read(&APP, &mut section, &mut this.app, &mut this.set)?;
        if let Some(value) = section.take(IDLE_CHECK) {
            this.server.idle_check = value.boolean()?;
        }
        this.server.unflushed_bytes_max =
            this.server.unflushed_bytes_max.min(this.server.outbox_bytes_max / 4);
        this.check(&this.app, &[])?;
        Ok(this)
    }

    /// Limits that a file had, which do not contradict each other.
    pub(super) fn known(server: Limits, app: AppLimits) -> Self {
        Self { server, app, set: Vec::new() }
    }

    /// The limits of an app: its own where it sets them, else those of all apps.
    pub(super) fn parse_app(&self, value: Option<Value<'_>>) -> Result<AppLimits, Fault> {
        let mut limits = self.app.clone();
        let Some(value) = value else { return Ok(limits) };
        let mut set = Vec::new();
        read(&APP, &mut value.section(Table::AppLimits)?, &mut limits, &mut set)?;
        self.check(&limits, &set)?;
        Ok(limits)
    }

    /// Refuses limits of an app, of which `set` are its own, that contradict those of this server.
    fn check(&self, app: &AppLimits, set: &[Value<'_>]) -> Result<(), Fault> {
        for Pair { keys, broken } in PAIRS {
            let Some(why) = broken(&self.server, app) else { continue };
            let place = set.iter().chain(&self.set).find(|value| keys.contains(&value.key()));
            return match place {
                Some(value) => Err(value.fault(&format!("does not fit the other limits: {why}"))),
                None => unreachable!("the defaults of {keys:?} go together"),
            };
        }
        Ok(())
    }
}

fn read<'a, T>(
    table: &[Limit<T>],
    section: &mut Section<'a>,
    limits: &mut T,
    set: &mut Vec<Value<'a>>,
) -> Result<(), Fault> {
    for limit in table {
        if let Some(value) = section.take(limit.key) {
            (limit.set)(limits, value.integer()?);
            set.push(value);
        }
    }
    Ok(())
}
