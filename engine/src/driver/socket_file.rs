//! Listeners at a path of the file system (Unix sockets): how a path is taken, and how it is given up.
//!
//! A listener is made under another name and takes its path's place at once, so that nobody finds a path without a listener,
//! or a listener that more may connect to than its rights say. What must never happen here: the removal of a file that is
//! another process' or no socket. Called by the server before the cores start, and at its end.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Access, access};
use socket2::{Domain, SockAddr, Socket, Type};

use super::limits::PROBE_PATIENCE;
use super::listen::backlog;

/// Who may connect: the user and the group of the server.
const MODE: u32 = 0o660;

/// How long a path is left alone between two looks, each of which connects.
const PROBE_STEP: Duration = Duration::from_millis(50);

/// The file of a listener. It goes with this, if it is still the listener's.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    /// The file of a listener that was passed on: it is whose who made it, and stays.
    pub fn passed_on(path: PathBuf) -> Self {
        Self { path, device: 0, inode: 0 }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_own = fs::symlink_metadata(&self.path)
            .is_ok_and(|file| (file.dev(), file.ino()) == (self.device, self.inode));
        if is_own {
            // One that stays is in nobody's way: the next server replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes a listener at this path. What a process that has gone has left there is replaced; with `takeover`, also where
/// another process listens, which keeps those who have connected.
pub fn listen_at(path: &Path, takeover: bool) -> io::Result<(OwnedFd, SocketFile)> {
    listen_within(path, takeover, PROBE_PATIENCE)
}

/// Whether a listener could be made at this path, found out without making one.
pub fn try_path(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(file) if !file.file_type().is_socket() => return Err(no_socket()),
        Ok(_) if is_served(path) => return Err(io::ErrorKind::AddrInUse.into()),
        _ => {}
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    Ok(access(folder.unwrap_or_else(|| Path::new(".")), Access::WRITE_OK | Access::EXEC_OK)?)
}

fn no_socket() -> io::Error {
    io::Error::new(io::ErrorKind::AlreadyExists, "a file is there that is no socket")
}

fn listen_within(path: &Path, takeover: bool, patience: Duration) -> io::Result<(OwnedFd, SocketFile)> {
    match fs::symlink_metadata(path) {
        Ok(file) if !file.file_type().is_socket() => return Err(no_socket()),
        Ok(_) if !takeover && stays_served(path, patience) => return Err(io::ErrorKind::AddrInUse.into()),
        _ => {}
    }
    let passing = passing_name(path);
    // Of a process with the same number that did not come to its end.
    let _ = fs::remove_file(&passing);
    let made = listen_as(&passing, path);
    if made.is_err() {
        let _ = fs::remove_file(&passing);
    }
    made
}

fn listen_as(passing: &Path, path: &Path) -> io::Result<(OwnedFd, SocketFile)> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(passing)?)?;
    fs::set_permissions(passing, Permissions::from_mode(MODE))?;
    socket.listen(backlog())?;
    let file = fs::symlink_metadata(passing)?;
    fs::rename(passing, path)?;
    Ok((socket.into(), SocketFile { path: path.to_owned(), device: file.dev(), inode: file.ino() }))
}

/// Hidden, beside the path, and short: a path has 107 bytes at most.
fn passing_name(path: &Path) -> PathBuf {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".{:x}.{number:x}", std::process::id()))
}

/// True when a process listens at this path for so long. io_uring keeps a dead process' listener for some 50 ms.
fn stays_served(path: &Path, patience: Duration) -> bool {
    let give_up = Instant::now() + patience;
    while is_served(path) {
        if Instant::now() >= give_up {
            return true;
        }
        thread::sleep(PROBE_STEP);
    }
    false
}

/// True when a process listens at this path.
pub fn is_served(path: &Path) -> bool {
    let asked = Socket::new(Domain::UNIX, Type::STREAM, None).and_then(|socket| {
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(path)?)
    });
    match asked {
        Ok(()) => true,
        // Its queue is full.
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    /// A path of its own, with nothing there.
    fn path(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("corecast-{}-{name}", std::process::id()));
        let _ = fs::remove_file(&path);
        path
    }

    #[test]
    fn a_path_is_taken_with_its_rights_and_given_up_at_the_end() {
        let path = path("own");
        let (_listener, file) = listen_at(&path, false).unwrap();
        assert_eq!(fs::symlink_metadata(&path).unwrap().mode() & 0o777, MODE);
        UnixStream::connect(&path).unwrap();
        assert_eq!(try_path(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(file);
        assert!(!path.exists());
        try_path(&path).unwrap();
    }

    #[test]
    fn a_listener_that_has_gone_is_replaced_and_one_that_serves_only_by_a_successor() {
        let path = path("live");
        let (first, file) = listen_at(&path, false).unwrap();
        let refused = listen_within(&path, false, Duration::ZERO).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
        let (second, successor) = listen_at(&path, true).unwrap();
        drop(file);
        assert!(is_served(&path), "the file is the successor's now");
        drop((first, second));
        assert!(!is_served(&path) && path.exists());
        let (_third, replaced) = listen_at(&path, false).unwrap();
        drop(successor);
        assert!(is_served(&path));
        drop(replaced);
    }

    #[test]
    fn a_file_that_is_no_socket_stays() {
        let path = path("file");
        fs::write(&path, "text").unwrap();
        for takeover in [false, true] {
            let refused = listen_at(&path, takeover).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        }
        assert_eq!(fs::read(&path).unwrap(), b"text");
        fs::remove_file(&path).unwrap();
    }
}
