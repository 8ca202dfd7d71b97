//! The contents of the files of /proc, as values.
//!
//! Pure: texts in, values out, None for what the kernel would not write. A process may call itself anything, so fields are
//! counted from behind its name.

use std::ops::{Add, AddAssign, Sub};

/// `stat` counts in hundredths of a second, whatever the kernel's own tick is.
pub(super) const TICK_NS: u64 = 10_000_000;

/// Nanoseconds that one thread ran, and that it was ready to run but did not get a core.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(super) struct Schedstat {
    pub(super) ran_ns: u64,
    pub(super) waited_ns: u64,
}

/// CPU time of a process, threads that ended included.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) own: Ticks,
    /// Of children that ended and were waited for, and of theirs.
    pub(super) children: Ticks,
    /// When it was started, in ticks since boot.
    pub(super) started: u64,
}

#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(super) struct Ticks {
    pub(super) user: u64,
    pub(super) system: u64,
}

#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(super) struct Switches {
    pub(super) voluntary: u64,
    pub(super) involuntary: u64,
}

impl Ticks {
    pub(super) fn total(self) -> u64 {
        self.user + self.system
    }

    pub(super) fn ns(self) -> u64 {
        self.total() * TICK_NS
    }
}

impl Add for Ticks {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { user: self.user + other.user, system: self.system + other.system }
    }
}

impl AddAssign for Ticks {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// Never below zero: the kernel moves time between user and system as its estimate gets better.
impl Sub for Ticks {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { user: self.user.saturating_sub(other.user), system: self.system.saturating_sub(other.system) }
    }
}

/// First column: nanoseconds on a core; second: nanoseconds waiting for one.
pub(super) fn parse_schedstat(text: &str) -> Option<Schedstat> {
    let mut columns = text.split_whitespace().map(|column| column.parse().ok());
    Some(Schedstat { ran_ns: columns.next()??, waited_ns: columns.next()?? })
}

pub(super) fn parse_stat(text: &str) -> Option<Stat> {
    // The name is in brackets and may hold some: behind the last one stands field 3.
    let (_, fields) = text.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse().ok();
    Some(Stat {
        own: Ticks { user: field(14)?, system: field(15)? },
        children: Ticks { user: field(16)?, system: field(17)? },
        started: field(22)?,
    })
}

/// Zero for what is not there: kernels may be built without.
pub(super) fn parse_switches(status: &str) -> Switches {
    let count = |field: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(field));
        value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    };
    Switches {
        voluntary: count("voluntary_ctxt_switches:"),
        involuntary: count("nonvoluntary_ctxt_switches:"),
    }
}

/// `1234 kB`
pub(super) fn parse_kib(value: &str) -> Option<u64> {
    value.split_whitespace().next()?.parse().ok()
}

/// `0-3,8` as the kernel writes it.
pub(super) fn parse_core_list(list: &str) -> Option<Vec<u32>> {
    let mut cores = Vec::new();
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        cores.extend(first.parse().ok()?..=last.parse::<u32>().ok()?);
    }
    Some(cores)
}

pub(super) fn parse_descriptors(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        soft => soft.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_texts_are_read() {
        assert_eq!(parse_schedstat("123456789 4 5\n"), Some(Schedstat { ran_ns: 123_456_789, waited_ns: 4 }));
        assert_eq!(parse_schedstat("1"), None);
        assert_eq!(parse_core_list("0-3,8\n"), Some(vec![0, 1, 2, 3, 8]));
        assert_eq!(parse_core_list("1"), Some(vec![1]));
        assert_eq!(parse_core_list("x"), None);
        assert_eq!(parse_kib("  1234 kB"), Some(1234));
        let limits =
            "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024     20000     files\n";
        assert_eq!(parse_descriptors(limits), Some(1024));
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t3\n";
        assert_eq!(parse_switches(status), Switches { voluntary: 12, involuntary: 3 });
        assert_eq!(parse_switches(""), Switches::default());
    }

    #[test]
    fn name_with_brackets_and_blanks_moves_no_field() {
        let text = "7 (a) b) (c) S 1 7 7 0 -1 4194304 102 0 0 0 11 12 13 14 20 0 1 0 1302005 3133440 356\n";
        let expected = Stat {
            own: Ticks { user: 11, system: 12 },
            children: Ticks { user: 13, system: 14 },
            started: 1_302_005,
        };
        assert_eq!(parse_stat(text), Some(expected));
        assert_eq!(parse_stat("7 (a) S 1 2"), None);
        assert_eq!(parse_stat(""), None);
    }
}
