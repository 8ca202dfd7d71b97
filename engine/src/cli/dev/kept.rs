//! The credentials of `corecast dev`, kept between runs, so that what was pasted into a page or a `.env` still works after a
//! restart.
//!
//! They are in a file in the user's state directory that only this user can read, and that `--app-file` accepts. Without such
//! a directory `dev` still runs, with credentials for one run. Two that start at the same time share their credentials: the
//! first to link its file into place wins.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::cli::app_file::read_written_apps;
use crate::cli::credentials::{NoRandomness, fresh_credentials};

/// The name of the file in the directory `corecast`.
const FILE: &str = "dev.app";

const TITLE: &str = "# The credentials of `corecast dev`; `corecast dev --fresh` makes new ones.\n";

/// Credentials, and where they are kept for the next run.
#[derive(Debug)]
pub(super) struct Kept {
    /// `ID:KEY:SECRET`.
    pub(super) credentials: String,
    /// The file that holds them, or why there is none.
    pub(super) place: Result<PathBuf, String>,
}

/// Why there are no credentials to run with.
#[derive(Debug)]
pub(super) enum KeptError {
    /// None could be generated.
    NoRandomness(NoRandomness),
    /// The file has no valid credentials, for the reason in this line.
    Spoiled(String),
}

impl fmt::Display for KeptError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRandomness(error) => error.fmt(out),
            Self::Spoiled(why) => write!(out, "{why}; `corecast dev --fresh` replaces it"),
        }
    }
}

/// The credentials of the last run, or new ones, which are kept for the next run. `fresh` replaces those of the last run.
pub(super) fn kept_credentials(fresh: bool) -> Result<Kept, KeptError> {
    let directory = state_directory(env::var_os("XDG_STATE_HOME"), env::home_dir());
    kept_in(directory.as_deref(), fresh)
}

/// By the XDG base directory specification, which ignores relative paths.
fn state_directory(state_home: Option<OsString>, home: Option<PathBuf>) -> Option<PathBuf> {
    let state_home = state_home.map(PathBuf::from).filter(|path| path.is_absolute());
    let home = home.filter(|path| path.is_absolute()).map(|path| path.join(".local/state"));
    state_home.or(home).map(|path| path.join("corecast"))
}

fn kept_in(directory: Option<&Path>, fresh: bool) -> Result<Kept, KeptError> {
    let made = fresh_credentials().map_err(KeptError::NoRandomness)?;
    let Some(directory) = directory else {
        let why = "there is no home directory; XDG_STATE_HOME can name another one".to_owned();
        return Ok(Kept { credentials: made, place: Err(why) });
    };
    let path = directory.join(FILE);
    match keep(directory, &path, &made, fresh) {
        Ok(Outcome::Written) => Ok(Kept { credentials: made, place: Ok(path) }),
        Ok(Outcome::Found) => {
            let apps = read_written_apps(&path).map_err(KeptError::Spoiled)?;
            let credentials = apps.into_iter().map(|(_, written)| written).next();
            Ok(Kept { credentials: credentials.unwrap_or(made), place: Ok(path) })
        }
        Err(error) => Ok(Kept { credentials: made, place: Err(format!("{}: {error}", path.display())) }),
    }
}

/// Whether the file has what was made, or what it had before.
enum Outcome {
    Written,
    Found,
}

fn keep(directory: &Path, path: &Path, made: &str, fresh: bool) -> io::Result<Outcome> {
    if !fresh && close_to_others(path)? {
        return Ok(Outcome::Found);
    }
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    // The random id of the app makes the name unique.
    let id = made.split(':').next().unwrap_or_default();
    let written = directory.join(format!("{FILE}.{id}"));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&written)?;
    let placed = file.write_all(format!("{TITLE}{made}\n").as_bytes()).and_then(|()| match fresh {
        true => fs::rename(&written, path),
        false => fs::hard_link(&written, path),
    });
    // Unless it has moved.
    drop(fs::remove_file(&written));
    match placed {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Outcome::Found),
        placed => placed.map(|()| Outcome::Written),
    }
}

/// Whether the file is there; if so, no other user can read it afterwards.
fn close_to_others(path: &Path) -> io::Result<bool> {
    let permissions = match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        metadata => metadata?.permissions(),
    };
    if permissions.mode() & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// A directory that ends with its test.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = env::temp_dir().join(format!("corecast-kept-{}-{name}", std::process::id()));
            drop(fs::remove_dir_all(&path));
            Self(path)
        }

        fn kept(&self, fresh: bool) -> Kept {
            kept_in(Some(&self.0.join("corecast")), fresh).unwrap()
        }

        fn file(&self) -> PathBuf {
            self.0.join("corecast").join(FILE)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn credentials_outlive_a_run_until_fresh_ones_are_asked_for() {
        let directory = Directory::new("outlive");
        let first = directory.kept(false);
        assert_eq!(first.place, Ok(directory.file()));
        assert_eq!(directory.kept(false).credentials, first.credentials);
        let fresh = directory.kept(true).credentials;
        assert_ne!(fresh, first.credentials);
        assert_eq!(directory.kept(false).credentials, fresh);
        assert_eq!(
            fs::read_dir(directory.0.join("corecast")).unwrap().count(),
            1,
            "something is left behind"
        );
    }

    #[test]
    fn nobody_else_can_read_them() {
        let directory = Directory::new("modes");
        directory.kept(false);
        assert_eq!((mode(&directory.0.join("corecast")), mode(&directory.file())), (0o700, 0o600));
        fs::set_permissions(directory.file(), Permissions::from_mode(0o644)).unwrap();
        directory.kept(false);
        assert_eq!(mode(&directory.file()), 0o600);
    }

    #[test]
    fn those_that_start_at_once_have_the_same() {
        let directory = Directory::new("race");
        let kept: Vec<String> = thread::scope(|scope| {
            let started: Vec<_> = (0..8).map(|_| scope.spawn(|| directory.kept(false).credentials)).collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(kept.iter().all(|credentials| *credentials == kept[0]), "{kept:?}");
        assert_eq!(directory.kept(false).credentials, kept[0]);
    }

    #[test]
    fn without_a_directory_they_are_for_one_run() {
        let kept = kept_in(None, false).unwrap();
        assert!(kept.place.is_err_and(|why| why.contains("XDG_STATE_HOME")) && !kept.credentials.is_empty());
        // A file stands where the directory should be, which stops even root.
        let directory = Directory::new("none");
        fs::write(&directory.0, "").unwrap();
        let kept = directory.kept(false);
        assert!(kept.place.is_err_and(|why| why.contains(FILE)) && !kept.credentials.is_empty());
        fs::remove_file(&directory.0).unwrap();
    }

    #[test]
    fn a_spoiled_file_stops_and_fresh_mends_it() {
        let directory = Directory::new("spoiled");
        directory.kept(false);
        fs::write(directory.file(), "hunter2").unwrap();
        let told = kept_in(directory.file().parent(), false).unwrap_err().to_string();
        assert!(
            told.contains("dev.app:1: ") && told.contains("dev --fresh") && !told.contains("hunter2"),
            "{told}"
        );
        let mended = directory.kept(true).credentials;
        assert_eq!(directory.kept(false).credentials, mended);
    }

    #[test]
    fn the_directory_is_that_of_the_specification() {
        let home = || Some(PathBuf::from("/home/ann"));
        let table = [
            (Some("/state"), home(), Some("/state/corecast")),
            (Some("state"), home(), Some("/home/ann/.local/state/corecast")),
            (Some(""), home(), Some("/home/ann/.local/state/corecast")),
            (None, home(), Some("/home/ann/.local/state/corecast")),
            (None, Some(PathBuf::new()), None),
            (None, None, None),
        ];
        for (state_home, home, directory) in table {
            let found = state_directory(state_home.map(OsString::from), home.clone());
            assert_eq!(found.as_deref(), directory.map(Path::new), "{state_home:?} {home:?}");
        }
    }
}
