//! Only the server's own user may look into a data directory: it holds what clients have said.
//!
//! The directory has mode 0700 and its files 0600; wider modes of earlier versions are tightened. What must never happen
//! here: a change to what is not ours, such as a directory with other users' files.

use std::fmt;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::notice::say;

const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// All rights of group and others.
const OTHERS: u32 = 0o077;
/// Their rights to write.
const OTHERS_WRITE: u32 = 0o022;

/// The name of the journal in a data directory.
pub const JOURNAL_FILE: &str = "journal.db";
/// The name of the dead letters there.
pub const DEAD_LETTERS_FILE: &str = "dead_letters.db";
/// The name of the file whose lock makes a process its only writer.
pub(crate) const LOCK_FILE: &str = "lock";
const ROOT: u32 = 0;

/// A directory or file that another user could turn against the server: one line that says what to do.
#[derive(Debug)]
pub struct Exposed {
    path: PathBuf,
    why: Why,
}

#[derive(Debug)]
enum Why {
    Owner(u32),
    Writable(u32),
}

impl fmt::Display for Exposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.why {
            Why::Owner(user) => write!(
                f,
                "{path} belongs to another user (uid {user}), who could read and change hook events: give it to the user \
                 of this server with chown, or start with another --data-dir"
            ),
            Why::Writable(mode) => write!(
                f,
                "others may write in {path} (mode {mode:o}), and it has files of theirs: start with a --data-dir of its own"
            ),
        }
    }
}

/// Why a data directory cannot be used.
#[derive(Debug)]
pub(crate) enum Unusable {
    Exposed(Exposed),
    System(io::Error),
}

impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// Makes the directory, or sees to it that only its owner may look into it. The log names every change.
pub(crate) fn open(directory: &Path) -> Result<(), Unusable> {
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory).map_err(is_a_file)?;
    let found = fs::metadata(directory)?;
    check_owner(directory, &found)?;
    let mode = found.mode() & 0o7777;
    if mode & OTHERS == 0 {
        return Ok(());
    }
    let shown = directory.display();
    if !holds_only_ours(directory)? {
        if let Some(exposed) = writable_by_others(directory, &found) {
            return Err(Unusable::Exposed(exposed));
        }
        say_once(format!(
            "the data directory {shown} has other files too and stays as open as it is (mode {mode:o})"
        ));
        return Ok(());
    }
    match fs::set_permissions(directory, Permissions::from_mode(DIRECTORY_MODE)) {
        Ok(()) => {
            say(format_args!("the data directory {shown} was open to others (mode {mode:o}): now it is 700"));
        }
        // Root has made it for us; its files are still ours alone.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            say_once(format!("the data directory {shown} is open to others (mode {mode:o}): chmod 700 it"));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Why `open` would refuse this directory, found out without a change or a line in the log.
pub(crate) fn exposure(directory: &Path) -> Option<Exposed> {
    let found = fs::metadata(directory).ok()?;
    let owner = found.uid();
    if !is_me(owner) && owner != ROOT && !is_me(ROOT) {
        return Some(Exposed { path: directory.to_owned(), why: Why::Owner(owner) });
    }
    writable_by_others(directory, &found)
        .filter(|_| holds_only_ours(directory).is_ok_and(|only_ours| !only_ours))
}

/// Whether others may write in a directory of ours; that is mended where nothing of theirs is in it.
fn writable_by_others(directory: &Path, found: &Metadata) -> Option<Exposed> {
    let mode = found.mode() & 0o7777;
    let is_it = mode & OTHERS_WRITE != 0 && is_me(found.uid());
    is_it.then(|| Exposed { path: directory.to_owned(), why: Why::Writable(mode) })
}

/// Opens the lock file, or makes it.
pub(crate) fn open_lock(directory: &Path) -> Result<File, Unusable> {
    let path = directory.join(LOCK_FILE);
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(&path)?;
    let found = file.metadata()?;
    check_owner(&path, &found)?;
    tighten(&path, &found)?;
    Ok(file)
}

/// Makes a database's file if it is not there, and sees to it that only its owner may read it and what SQLite keeps beside
/// it. The file is not opened if it is there: to close it again would free the locks that SQLite has on it.
pub fn keep_private(database: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(database) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut path = database.as_os_str().to_owned();
        path.push(suffix);
        let path = PathBuf::from(path);
        match fs::metadata(&path) {
            Ok(found) => tighten(&path, &found)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn tighten(path: &Path, found: &Metadata) -> io::Result<()> {
    if !is_me(found.uid()) || found.mode() & OTHERS == 0 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(FILE_MODE))
}

/// What belongs to root is as good as ours. Root itself may be given what belongs to others, such as a mounted directory of
/// a container.
fn check_owner(path: &Path, found: &Metadata) -> Result<(), Unusable> {
    let owner = found.uid();
    if is_me(owner) || owner == ROOT {
        return Ok(());
    }
    if is_me(ROOT) {
        say_once(format!(
            "{} belongs to another user (uid {owner}), who can read hook events",
            path.display()
        ));
        return Ok(());
    }
    Err(Unusable::Exposed(Exposed { path: path.to_owned(), why: Why::Owner(owner) }))
}

/// Several parts open the directory, and they try again and again while its disk is full.
fn say_once(text: String) {
    static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if !said.contains(&text) {
        say(&text);
        said.push(text);
    }
}

fn is_me(user: u32) -> bool {
    rustix::process::geteuid().as_raw() == user
}

/// Whether all files there belong to hooks.
fn holds_only_ours(directory: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let name = name.as_encoded_bytes();
        let databases = [JOURNAL_FILE, DEAD_LETTERS_FILE];
        // Including the files that SQLite keeps beside them.
        let is_ours =
            name == LOCK_FILE.as_bytes() || databases.iter().any(|file| name.starts_with(file.as_bytes()));
        if !is_ours {
            return Ok(false);
        }
    }
    Ok(true)
}

// The name belongs to something that is no directory.
fn is_a_file(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::AlreadyExists => ErrorKind::NotADirectory.into(),
        _ => error,
    }
}
