//! The data directory of hooks: whether it can be written, whether there is room, and on what it lies.

use std::path::Path;

use ::hooks::journal::{JournalSite, JournalSiteFault, SiteFaultKind};

use super::finding::Finding;
use crate::config::HooksConfig;

const NAME: &str = "data_directory";

/// What a data directory may lie on that does not keep what is written, or not as SQLite needs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum FileSystem {
    Memory,
    Overlay,
    Network(&'static str),
    Other,
}

/// A data directory, looked at and not touched.
#[derive(Debug)]
pub(super) struct DataDirectory {
    path: String,
    /// Whether there are hooks, or the operator has named it.
    is_used: bool,
    site: Result<JournalSite, JournalSiteFault>,
    file_system: FileSystem,
    journal_bytes_max: u64,
}

impl DataDirectory {
    /// Looks at the one of these settings.
    pub(super) fn read(hooks: &HooksConfig) -> Self {
        let site = hooks.journal_site();
        Self {
            path: hooks.data_dir().display().to_string(),
            is_used: hooks.are_wanted() || hooks.names_data_dir(),
            file_system: site.as_ref().map_or(FileSystem::Other, |site| FileSystem::of(&site.place)),
            site,
            journal_bytes_max: hooks.journal_bytes_max(),
        }
    }

    /// What there is to say of it, where these processes are servers with these settings.
    pub(super) fn findings(&self, servers: &[u32]) -> Vec<Finding> {
        if !self.is_used {
            return vec![Finding::ok(NAME, "there are no hooks, so nothing is kept")];
        }
        let site = match &self.site {
            Ok(site) => site,
            Err(fault) => return vec![Finding::fail(NAME, fault.to_string(), cure_of(&fault.kind))],
        };
        let path = &self.path;
        let mut findings = vec![match site.room_bytes {
            Some(room) if room < self.journal_bytes_max => Finding::warn(
                NAME,
                format!(
                    "{path} can be written; it has room for {} MiB, and the journal may grow to {} MiB while endpoints fail",
                    room >> 20,
                    self.journal_bytes_max >> 20
                ),
                "make room, choose another disk with --data-dir, or set journal_bytes_max in [hooks] to what there is",
            ),
            Some(room) => {
                Finding::ok(NAME, format!("{path} can be written, and has room for {} MiB", room >> 20))
            }
            None => Finding::ok(NAME, format!("{path} can be written")),
        }];
        findings.extend(self.judge_file_system());
        findings.extend(site.holder.filter(|holder| !servers.contains(holder)).map(|holder| {
            Finding::fail(
                NAME,
                format!("{path} is in use by process {holder}, and a data directory has one server"),
                "stop that process, or name another directory with --data-dir",
            )
        }));
        findings
    }

    fn judge_file_system(&self) -> Option<Finding> {
        let path = &self.path;
        match self.file_system {
            FileSystem::Other => None,
            FileSystem::Memory => Some(Finding::warn(
                NAME,
                format!(
                    "{path} is in memory (tmpfs): events that wait are lost when the machine is restarted"
                ),
                "choose a directory on a disk with --data-dir",
            )),
            FileSystem::Overlay => Some(Finding::warn(
                NAME,
                format!("{path} belongs to the container (overlay): events that wait are lost with it"),
                "mount a volume there (docker: -v corecast-data:/var/lib/corecast), and name it with --data-dir",
            )),
            FileSystem::Network(kind) => Some(Finding::fail(
                NAME,
                format!(
                    "{path} is on a network file system ({kind}), where SQLite's log of changes does not work"
                ),
                "choose a directory on a disk of this machine with --data-dir",
            )),
        }
    }
}

impl FileSystem {
    fn of(place: &Path) -> Self {
        rustix::fs::statfs(place).map_or(Self::Other, |read| Self::of_kind(read.f_type as u64 & 0xffff_ffff))
    }

    /// By the number that linux/magic.h gives it.
    fn of_kind(kind: u64) -> Self {
        match kind {
            0x0102_1994 | 0x8584_58f6 => Self::Memory,
            0x794c_7630 => Self::Overlay,
            0x6969 => Self::Network("NFS"),
            0x517b | 0xff53_4d42 | 0xfe53_4d42 => Self::Network("SMB"),
            0x00c3_6400 => Self::Network("Ceph"),
            _ => Self::Other,
        }
    }
}

fn cure_of(kind: &SiteFaultKind) -> String {
    match kind {
        SiteFaultKind::NoDirectory(_) => {
            "name another directory with --data-dir, or move that file away".to_owned()
        }
        SiteFaultKind::Unwritable(_) => {
            "give it to the user of the server (chown, chmod 700), mount it writable (container: a \
            volume; systemd: StateDirectory=corecast or ReadWritePaths=), or name another with --data-dir"
                .to_owned()
        }
        SiteFaultKind::Exposed(_) => {
            "only the user of the server may own it and write in it: chown and chmod 700 it, without files \
            of others, or name another with --data-dir"
                .to_owned()
        }
        SiteFaultKind::Full(_) => {
            "the disk is full: make room, or name a directory on another disk with --data-dir. Until then a \
            server counts and drops events of clients and back ends, and waits with the others"
                .to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::doctor::finding::State;

    fn directory(room_bytes: Option<u64>) -> DataDirectory {
        DataDirectory {
            path: "/data".to_owned(),
            is_used: true,
            site: Ok(JournalSite { place: PathBuf::from("/data"), room_bytes, holder: None }),
            file_system: FileSystem::Other,
            journal_bytes_max: 1 << 30,
        }
    }

    fn states(directory: &DataDirectory) -> Vec<State> {
        directory.findings(&[]).iter().map(|it| it.state).collect()
    }

    #[test]
    fn room_is_judged_by_what_the_journal_may_grow_to() {
        for (room, state) in [(Some(2 << 30), State::Ok), (None, State::Ok), (Some(100 << 20), State::Warn)] {
            assert_eq!(states(&directory(room)), [state], "{room:?}");
        }
    }

    #[test]
    fn a_directory_of_another_server_fails() {
        let site = JournalSite { place: "/data".into(), room_bytes: None, holder: Some(7) };
        let directory = DataDirectory { site: Ok(site), ..directory(None) };
        assert_eq!(states(&directory), [State::Ok, State::Fail]);
        assert_eq!(directory.findings(&[7]).len(), 1, "it is that of the server which runs");
    }

    #[test]
    fn what_does_not_keep_events_is_named() {
        for (kind, state) in [
            (0xef53, None),
            (0x0102_1994, Some(State::Warn)),
            (0x794c_7630, Some(State::Warn)),
            (0x6969, Some(State::Fail)),
        ] {
            let directory =
                DataDirectory { file_system: FileSystem::of_kind(kind), ..directory(Some(2 << 30)) };
            let wanted: Vec<State> = [State::Ok].into_iter().chain(state).collect();
            assert_eq!(states(&directory), wanted, "{kind:x}");
        }
    }

    #[test]
    fn what_cannot_be_written_fails_with_its_cure() {
        let fault = |path: &str| {
            let hooks = crate::config::Config::parse("x", &format!("[hooks]\ndata_dir = \"{path}\"\n"))
                .unwrap()
                .hooks;
            DataDirectory::read(&hooks)
        };
        let [finding] = &fault("/proc/self/status/data").findings(&[])[..] else { panic!() };
        assert!(finding.state == State::Fail && finding.what.contains("is no directory"), "{finding:?}");
        assert!(finding.cure.as_ref().is_some_and(|cure| cure.contains("--data-dir")));
        let unused = crate::config::Config::default().hooks;
        assert_eq!(states(&DataDirectory::read(&unused)), [State::Ok]);
        assert!(cure_of(&SiteFaultKind::Full(0)).contains("the disk is full"));
    }
}
