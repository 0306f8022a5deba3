//! Who may use a memcache port: `--auth-file`, in the format of memcached's `-Y`.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};

use subtle::{Choice, ConstantTimeEq};
use windhover_core::Now;
use windhover_core::memcache::handler::{Handler, Reply, ReplyError, Session};
use windhover_core::memcache::request::Request;
use windhover_core::memcache::response::Response;
use windhover_core::memcache::{self, Data, UserLineError, users as users_in};
use windhover_runtime::{Counters, Peer, Reload, Report};

use crate::private;

/// Most users of a file: each attempt is compared with all of them.
const MAX_USERS: usize = 1000;

/// The users of a file, one `NAME:PASSWORD` in each line. Clones are handles to the same ones.
#[derive(Clone)]
pub struct AuthFile(Arc<Shared>);

struct Shared {
    path: PathBuf,
    users: RwLock<Vec<User>>,
}

struct User {
    name: Vec<u8>,
    password: Vec<u8>,
}

/// Why a file of users cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum AuthFileError {
    /// It cannot be read.
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line is not as it has to be.
    Line {
        /// The file.
        path: PathBuf,
        /// Which one, and what is wrong with it.
        source: UserLineError,
    },
    /// It has no user in it.
    NoUser {
        /// The file.
        path: PathBuf,
    },
    /// It has more than 1000 users.
    TooMany {
        /// The file.
        path: PathBuf,
    },
}

impl fmt::Display for AuthFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, .. } => write!(f, "cannot read {}", path.display()),
            Self::Line { path, .. } => write!(f, "cannot use {}", path.display()),
            Self::NoUser { path } => {
                write!(
                    f,
                    "{}: no user is in it; expected NAME:PASSWORD in each line",
                    path.display()
                )
            }
            Self::TooMany { path } => {
                write!(f, "{}: there are more than {MAX_USERS} users in it", path.display())
            }
        }
    }
}

impl std::error::Error for AuthFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Line { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl AuthFile {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`AuthFileError`] when it cannot be read, or is not as it has to be.
    pub fn open(path: &Path) -> Result<Self, AuthFileError> {
        let users = read(path)?;
        private::warn_of_readers(path, "other users may read the passwords in it");
        Ok(Self(Arc::new(Shared { path: path.to_owned(), users: RwLock::new(users) })))
    }

    /// Reads the file again; how many users are in it. Peers that are in stay in.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open); the users before are kept then.
    pub fn read_again(&self) -> Result<usize, AuthFileError> {
        let users = read(&self.0.path)?;
        let count = users.len();
        *self.0.users.write().unwrap_or_else(PoisonError::into_inner) = users;
        Ok(count)
    }

    /// Reads the file again whenever the process is asked to, and says in the log what came of it.
    pub(crate) fn reload_with(&self, reload: &Reload) {
        let file = self.clone();
        reload.register(move || {
            let path = file.0.path.display();
            match file.read_again() {
                Ok(users) => tracing::info!(%path, users, "the file of users was read again"),
                Err(error) => {
                    tracing::error!(error = %Report::new(&error), "the file of users cannot be used; those before are kept");
                }
            }
        });
    }

    /// Whether there is such a user with that password. It takes as long whether or not there is, and
    /// whatever they have in common.
    pub fn has(&self, name: &[u8], password: &[u8]) -> bool {
        let users = self.0.users.read().unwrap_or_else(PoisonError::into_inner);
        let found = users.iter().fold(Choice::from(0), |found, user| {
            found | (user.name.ct_eq(name) & user.password.ct_eq(password))
        });
        found.into()
    }
}

impl fmt::Debug for AuthFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the users: it may end up in a log.
        f.debug_struct("AuthFile").field("path", &self.0.path).finish_non_exhaustive()
    }
}

fn read(path: &Path) -> Result<Vec<User>, AuthFileError> {
    let text =
        fs::read(path).map_err(|source| AuthFileError::Io { path: path.to_owned(), source })?;
    let mut users = Vec::new();
    for user in users_in(&text) {
        let memcache::User { name, password } =
            user.map_err(|source| AuthFileError::Line { path: path.to_owned(), source })?;
        users.push(User { name: name.to_vec(), password: password.to_vec() });
    }
    match users.len() {
        0 => Err(AuthFileError::NoUser { path: path.to_owned() }),
        1..=MAX_USERS => Ok(users),
        _ => Err(AuthFileError::TooMany { path: path.to_owned() }),
    }
}

/// What a peer is answered that first has to say who it is, where a file of users was given.
#[derive(Debug)]
pub(crate) struct Authenticated<H> {
    handler: H,
    peer: Peer,
    users: Option<AuthFile>,
    counters: Arc<Counters>,
}

/// Has a connection of `peer`'s answered once it is one of `users`; at once if there is no such file.
pub(crate) fn authenticated<H: Handler>(
    session: Session<H>,
    peer: Peer,
    users: Option<&AuthFile>,
    counters: &Arc<Counters>,
) -> Session<Authenticated<H>> {
    let (users, counters) = (users.cloned(), Arc::clone(counters));
    let is_needed = users.is_some();
    let session = session.map(|handler| Authenticated { handler, peer, users, counters });
    if is_needed { session.with_authentication() } else { session }
}

impl<H: Handler> Handler for Authenticated<H> {
    fn handle(
        &mut self,
        request: Request<'_>,
        data: Data<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), ReplyError> {
        let (Request::Authenticate { user, password }, Some(users)) = (&request, &self.users)
        else {
            return self.handler.handle(request, data, reply);
        };
        self.counters.authentications.fetch_add(1, Ordering::Relaxed);
        if users.has(user, password) {
            return reply.send(&Response::Stored);
        }
        self.counters.authentication_failures.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(peer = %self.peer, "a peer gave a wrong name or password, and was closed");
        let sent = reply.send(&Response::ClientError(b"authentication failure"));
        reply.close();
        sent
    }

    fn too_large(&mut self, request: Request<'_>, now: Now) {
        self.handler.too_large(request, now);
    }

    fn ended(&mut self) {
        self.handler.ended();
    }

    fn release(&mut self) {
        self.handler.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that goes with the test.
    struct File(PathBuf);

    impl File {
        fn new(name: &str, text: &str) -> Self {
            let name = format!("windhover-users-{name}-{}", std::process::id());
            let file = Self(std::env::temp_dir().join(name));
            file.write(text);
            file
        }

        fn write(&self, text: &str) {
            fs::write(&self.0, text).unwrap();
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    #[test]
    fn a_user_is_in_with_the_own_password_alone() {
        let file = File::new("own", "ann:secret\nbob:a:b\r\n\n");
        let users = AuthFile::open(&file.0).unwrap();
        assert!(users.has(b"ann", b"secret"));
        assert!(users.has(b"bob", b"a:b"));
        for (name, password) in
            [("ann", "a:b"), ("bob", "secret"), ("ann", "secre"), ("ann", "secrets"), ("", "")]
        {
            assert!(!users.has(name.as_bytes(), password.as_bytes()), "{name}");
        }
    }

    #[test]
    fn what_is_read_again_holds_and_what_is_wrong_changes_nothing() {
        let file = File::new("again", "ann:old\n");
        let users = AuthFile::open(&file.0).unwrap();
        file.write("ann:new\nbob:new");
        assert_eq!(users.read_again().unwrap(), 2);
        assert!(users.has(b"ann", b"new") && !users.has(b"ann", b"old"));
        file.write("ann");
        assert!(users.read_again().is_err());
        assert!(users.has(b"ann", b"new"));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_line_itself() {
        for (text, fault) in [
            ("", "no user is in it"),
            ("\n\r\n", "no user is in it"),
            ("a:b\nsecret\n", "line 2 has no colon"),
            (":secret\n", "line 1 lacks the name or the password"),
            ("ann:\n", "line 1 lacks the name or the password"),
            ("ann:my secret\n", "line 1 has a space or a control character in it"),
            (&format!("ann:{}", "secret".repeat(400)), "line 1 is longer than 2000 bytes"),
            (&"a:secret\n".repeat(1001), "there are more than 1000 users in it"),
        ] {
            let file = File::new("wrong", text);
            let error = AuthFile::open(&file.0).unwrap_err();
            let error = Report::new(&error).to_string();
            assert!(error.contains(fault) && !error.contains("secret"), "{error}");
        }
        let missing = AuthFile::open(Path::new("/nowhere/users")).unwrap_err();
        assert!(matches!(missing, AuthFileError::Io { .. }), "{missing}");
    }
}
