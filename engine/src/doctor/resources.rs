//! What this process may have: locked memory for rings, open files for clients, threads for cores.
//!
//! It is read as a start reads it: the limit of open files is raised as far as it goes, and the threads are begun for a
//! moment.

use protocol::app::App;

use super::finding::Finding;
use crate::driver::allowed::memlock_bytes_max;
use crate::driver::probe::{ProbeError, SIZES_MAX, choose_rings, may_lock_all, probe_threads};
use crate::driver::ring::Sizes;
use crate::limits::CLIENTS_PER_SHARD_MIN;
use crate::server::descriptors_max;
use crate::settings::ShardCount;
use crate::settings::capacity::Capacity;

/// A server for fewer clients than this is worth a word.
const FEW_CLIENTS: usize = 4_096;

const MORE_FILES: &str = "raise the hard limit: `ulimit -Hn 1048576` (systemd: LimitNOFILE=1048576; container: --ulimit \
    nofile=1048576:1048576; a login: /etc/security/limits.conf)";

/// The resources that a server of so many cores would get.
#[derive(Debug)]
pub(super) struct Resources {
    /// The limit of locked memory; none if there is none for this process.
    memlock_bytes: Option<u64>,
    rings: Result<Sizes, ProbeError>,
    threads: Result<(), ProbeError>,
    cores: usize,
    shards: usize,
    descriptors: u64,
}

impl Resources {
    /// Reads them.
    pub(super) fn read(shards: ShardCount, cores: usize) -> Self {
        Self {
            memlock_bytes: memlock_bytes_max().filter(|_| !may_lock_all()),
            rings: choose_rings(cores),
            threads: probe_threads(cores),
            cores,
            shards: shards.get(),
            descriptors: descriptors_max(),
        }
    }

    /// How many clients fit.
    pub(super) fn capacity(&self) -> Capacity {
        Capacity::new(self.descriptors, self.shards)
    }

    /// What there is to say of them, where these are the apps.
    pub(super) fn findings<'a>(&self, apps: impl IntoIterator<Item = &'a App>) -> Vec<Finding> {
        let mut findings = vec![self.judge_memlock(), self.judge_descriptors()];
        let promised = self.capacity().warnings(apps);
        findings.extend(promised.into_iter().map(|what| Finding::warn("nofile", what, MORE_FILES)));
        findings.push(self.judge_threads());
        findings
    }

    fn judge_memlock(&self) -> Finding {
        let limit =
            self.memlock_bytes.map_or_else(|| "no limit".to_owned(), |bytes| format!("{} KiB", bytes >> 10));
        match &self.rings {
            Ok(sizes) if *sizes == SIZES_MAX => {
                Finding::ok("memlock", format!("{limit}, which the rings of {} core(s) fit into", self.cores))
            }
            Ok(_) => Finding::warn(
                "memlock",
                format!("{limit}, so the rings of {} cores are smaller than they could be", self.cores),
                "raise it: `ulimit -l unlimited` (systemd: LimitMEMLOCK=infinity; container: --ulimit memlock=-1)",
            ),
            Err(error) => Finding::fail("memlock", error.cause(), error.cure().unwrap_or_default()),
        }
    }

    fn judge_descriptors(&self) -> Finding {
        let (clients, files) = (self.capacity().clients(), self.descriptors);
        if clients <= CLIENTS_PER_SHARD_MIN * self.shards {
            let what = format!(
                "{files} open files are too few: {clients} clients are let in, and even they may find none left"
            );
            return Finding::fail("nofile", what, MORE_FILES);
        }
        let what = format!("{clients} clients fit into {files} open files");
        if clients < FEW_CLIENTS {
            Finding::warn("nofile", what, MORE_FILES)
        } else {
            Finding::ok("nofile", what)
        }
    }

    fn judge_threads(&self) -> Finding {
        match &self.threads {
            Ok(()) => Finding::ok("threads", format!("there are enough for {} core(s)", self.cores)),
            Err(error) => Finding::fail("threads", error.cause(), error.cure().unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::doctor::finding::State;

    fn resources() -> Resources {
        Resources {
            memlock_bytes: Some(8 << 20),
            rings: Ok(SIZES_MAX),
            threads: Ok(()),
            cores: 3,
            shards: 2,
            descriptors: 1 << 20,
        }
    }

    fn states(resources: &Resources) -> Vec<(&'static str, State)> {
        resources.findings([]).iter().map(|it| (it.name, it.state)).collect()
    }

    #[test]
    fn plenty_is_well() {
        let all = [("memlock", State::Ok), ("nofile", State::Ok), ("threads", State::Ok)];
        assert_eq!(states(&resources()), all);
        assert_eq!(states(&Resources { memlock_bytes: None, ..resources() }), all);
    }

    #[test]
    fn open_files_are_judged_by_the_clients_that_fit() {
        for (descriptors, shards, state) in [
            (256, 1, State::Fail),
            (256, 8, State::Fail),
            (1_024, 1, State::Warn),
            (4_096, 1, State::Warn),
            (20_000, 2, State::Ok),
            (u64::MAX, 2, State::Ok),
        ] {
            let finding = Resources { descriptors, shards, ..resources() }.judge_descriptors();
            assert_eq!(finding.state, state, "{finding:?}");
            assert!(finding.what.contains(&descriptors.to_string()), "{finding:?}");
            let is_cured = finding.cure.is_some_and(|cure| cure.contains("LimitNOFILE"));
            assert_eq!(is_cured, state != State::Ok);
        }
    }

    #[test]
    fn an_app_that_is_promised_too_much_is_named() {
        let mut app = App::new("7", "k", "s");
        app.limits.connections_max = Some(5_000_000);
        let findings = resources().findings([&app]);
        let named = findings.iter().filter(|it| it.state == State::Warn && it.what.contains("app 7"));
        assert_eq!(named.count(), 1, "{findings:?}");
    }

    #[test]
    fn rings_and_threads_that_do_not_fit_are_told_with_their_cures() {
        let small = Sizes { submissions: 256, ..SIZES_MAX };
        assert_eq!(Resources { rings: Ok(small), ..resources() }.judge_memlock().state, State::Warn);
        let rings = Err(ProbeError::Memlock { needed: 3 << 20, limit: 1 << 16 });
        let finding = Resources { rings, ..resources() }.judge_memlock();
        assert!(finding.state == State::Fail && finding.what.contains("64 KiB"), "{finding:?}");
        assert!(finding.cure.is_some_and(|cure| cure.contains("LimitMEMLOCK")));
        let threads =
            Err(ProbeError::Threads { needed: 6, error: io::Error::from(io::ErrorKind::WouldBlock) });
        let finding = Resources { threads, ..resources() }.judge_threads();
        assert!(finding.state == State::Fail && finding.cure.is_some_and(|cure| cure.contains("ulimit -u")));
    }
}
