//! Unix sockets to listen on, and the files that stand for them.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::listen::BACKLOG;

/// Listens on a Unix socket at `path`, which whoever `mode` lets write to it may connect to. The listener
/// does not block.
///
/// A socket on which nobody listens any more, as a process that was killed leaves it, is replaced.
/// Nobody can connect before the mode is set. The file goes with the [`SocketFile`].
///
/// ```
/// use std::io;
/// use std::os::unix::net::UnixStream;
/// use windhover_runtime::{SocketFile, listen_unix};
///
/// let path = std::env::temp_dir().join(format!("windhover-{}.sock", std::process::id()));
/// let (_listener, file) = listen_unix(&path, 0o600)?;
/// assert!(UnixStream::connect(&path).is_ok());
/// let second = listen_unix(&path, 0o600);
/// assert_eq!(second.err().map(|error| error.kind()), Some(io::ErrorKind::AddrInUse));
/// let file: SocketFile = file;
/// drop(file);
/// assert!(!path.exists());
/// # Ok::<(), io::Error>(())
/// ```
///
/// # Errors
///
/// [`AddrInUse`](io::ErrorKind::AddrInUse) when somebody listens there,
/// [`AlreadyExists`](io::ErrorKind::AlreadyExists) when something else than a socket is there, and what
/// the operating system says when it refuses the path or the socket.
pub fn listen_unix(path: &Path, mode: u32) -> io::Result<(UnixListener, SocketFile)> {
    let address = address(path)?;
    remove_stale(path, &address)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address)?;
    let mut file = SocketFile::new(path)?;
    // Until it listens, nobody can connect: there is no moment at which the mode is another one.
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    file.identity = identity(path)?;
    socket.listen(BACKLOG)?;
    Ok((socket.into(), file))
}

/// The path as an address, for which there are some hundred bytes: 107 on Linux.
fn address(path: &Path) -> io::Result<SockAddr> {
    SockAddr::unix(path).map_err(|error| {
        let length = path.as_os_str().len();
        let fault =
            format!("the path has {length} bytes, which is too long for a socket's: {error}");
        io::Error::new(error.kind(), fault)
    })
}

/// Removes a socket that nobody listens on.
fn remove_stale(path: &Path, address: &SockAddr) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(found) if !found.file_type().is_socket() => {
            let fault = "a file that is no socket is there; it was left alone";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, fault));
        }
        Ok(_) => {}
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A backlog may be full, and whoever should empty it may hang.
    probe.set_nonblocking(true)?;
    let in_use = || {
        let fault = "somebody listens there already";
        Err(io::Error::new(io::ErrorKind::AddrInUse, fault))
    };
    match probe.connect(address) {
        Ok(()) => in_use(),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => in_use(),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// The file of a Unix socket, removed when this is dropped; not if another process has put its own there
/// meanwhile.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    identity: Identity,
}

/// Device, inode, and when it was changed last: an inode's number is given out again.
type Identity = (u64, u64, i64, i64);

impl SocketFile {
    fn new(path: &Path) -> io::Result<Self> {
        // The working directory may be another one by the time that it is removed.
        Ok(Self { path: std::path::absolute(path)?, identity: identity(path)? })
    }

    /// Where it is, from the root.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            // Whoever comes next replaces one that is left.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino(), found.ctime(), found.ctime_nsec()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    /// A directory that goes with the test.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn socket(&self) -> PathBuf {
            self.0.join("socket")
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_file_has_its_mode_and_goes_with_the_listener() {
        let directory = Directory::new("unix-mode");
        let (_listener, file) = listen_unix(&directory.socket(), 0o660).unwrap();
        let mode = fs::metadata(directory.socket()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        UnixStream::connect(directory.socket()).unwrap();
        assert_eq!(file.path(), directory.socket());
        drop(file);
        assert!(!directory.socket().exists());
    }

    #[test]
    fn a_socket_that_nobody_listens_on_is_replaced() {
        let directory = Directory::new("unix-stale");
        drop(UnixListener::bind(directory.socket()).unwrap());
        assert!(directory.socket().exists());
        let _listening = listen_unix(&directory.socket(), 0o600).unwrap();
        UnixStream::connect(directory.socket()).unwrap();
    }

    #[test]
    fn a_socket_that_somebody_listens_on_stays_theirs() {
        let directory = Directory::new("unix-used");
        let _theirs = UnixListener::bind(directory.socket()).unwrap();
        let refused = listen_unix(&directory.socket(), 0o600).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
        UnixStream::connect(directory.socket()).unwrap();
    }

    #[test]
    fn a_socket_whose_backlog_is_full_is_in_use() {
        let directory = Directory::new("unix-full");
        let address = SockAddr::unix(directory.socket()).unwrap();
        let theirs = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        theirs.bind(&address).unwrap();
        theirs.listen(1).unwrap();
        let connect = || {
            let peer = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
            peer.set_nonblocking(true).unwrap();
            peer.connect(&address).map(|()| peer)
        };
        let waiting: Vec<_> = std::iter::from_fn(|| connect().ok()).take(100).collect();
        assert!(waiting.len() < 100, "the backlog has an end");
        let refused = listen_unix(&directory.socket(), 0o600).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_path_that_is_too_long_is_told_so() {
        let path = PathBuf::from(format!("/tmp/{}", "x".repeat(200)));
        let refused = listen_unix(&path, 0o600).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
        assert!(refused.to_string().starts_with("the path has 205 bytes"), "{refused}");
    }

    #[test]
    fn another_file_is_left_alone() {
        let directory = Directory::new("unix-file");
        fs::write(directory.socket(), "kept").unwrap();
        let refused = listen_unix(&directory.socket(), 0o600).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(directory.socket()).unwrap(), b"kept");
    }

    #[test]
    fn the_socket_of_whoever_came_next_is_left_alone() {
        let directory = Directory::new("unix-next");
        let (listener, file) = listen_unix(&directory.socket(), 0o600).unwrap();
        drop(listener);
        let _next = listen_unix(&directory.socket(), 0o600).unwrap();
        drop(file);
        UnixStream::connect(directory.socket()).unwrap();
    }
}
