//! The format of a file of users, as memcached's `-Y` takes it: who may send which credentials.

use core::fmt;

/// Longest line: name, colon and password.
pub const MAX_USER_LINE: usize = 2000;

/// A user of a file of users, who may send these credentials.
///
/// ```
/// use windhover_core::memcache::{User, users};
///
/// let ann = User { name: b"ann", password: b"sec:ret" };
/// assert_eq!(users(b"ann:sec:ret\n").next(), Some(Ok(ann)));
/// assert!(!format!("{ann:?}").contains("ret"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct User<'a> {
    /// The name.
    pub name: &'a [u8],
    /// The password.
    pub password: &'a [u8],
}

impl fmt::Debug for User<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the password: it may end up in a log.
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A line of a file of users is not as it has to be.
///
/// ```
/// use windhover_core::memcache::{UserLineError, UserLineFault, users};
///
/// let errors: Vec<UserLineError> =
///     users(b"ann:secret\nbob\ncarol:\n").filter_map(Result::err).collect();
/// assert_eq!((errors[0].line, errors[0].fault), (2, UserLineFault::NoColon));
/// assert_eq!((errors[1].line, errors[1].fault), (3, UserLineFault::Empty));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserLineError {
    /// Which one, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub fault: UserLineFault,
}

/// What is wrong with a line of a file of users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UserLineFault {
    /// It has no colon.
    NoColon,
    /// There is nothing on one side of the colon.
    Empty,
    /// It has a space in it, or another byte that cannot be sent as part of a name or password.
    Unsendable,
    /// It is longer than [`MAX_USER_LINE`].
    TooLong,
}

impl fmt::Display for UserLineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the line itself: it may be a password.
        let fault = match self.fault {
            UserLineFault::NoColon => "has no colon",
            UserLineFault::Empty => "lacks the name or the password",
            UserLineFault::Unsendable => "has a space or a control character in it",
            UserLineFault::TooLong => "is longer than 2000 bytes",
        };
        write!(f, "line {} {fault}; expected NAME:PASSWORD", self.line)
    }
}

impl core::error::Error for UserLineError {}

/// Reads a file of users, one `NAME:PASSWORD` in each line; lines without a byte mean nothing. As in
/// memcached, the name ends at the first colon: a password may have more of them.
///
/// ```
/// use windhover_core::memcache::users;
///
/// let mut all = users(b"ann:secret\r\n\nbob\n");
/// let ann = all.next().unwrap()?;
/// assert_eq!((ann.name, ann.password), (&b"ann"[..], &b"secret"[..]));
/// let error = all.next().unwrap().unwrap_err();
/// assert_eq!(error.to_string(), "line 3 has no colon; expected NAME:PASSWORD");
/// # Ok::<(), windhover_core::memcache::UserLineError>(())
/// ```
///
/// # Errors
///
/// [`UserLineError`] in the place of a user whose line is not as it has to be.
pub fn users(text: &[u8]) -> impl Iterator<Item = Result<User<'_>, UserLineError>> {
    let lines =
        text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let numbered = lines.enumerate().filter(|(_, line)| !line.is_empty());
    numbered
        .map(|(index, line)| user(line).map_err(|fault| UserLineError { line: index + 1, fault }))
}

fn user(line: &[u8]) -> Result<User<'_>, UserLineFault> {
    if line.len() > MAX_USER_LINE {
        return Err(UserLineFault::TooLong);
    }
    let mut sides = line.splitn(2, |byte| *byte == b':');
    let (Some(name), Some(password)) = (sides.next(), sides.next()) else {
        return Err(UserLineFault::NoColon);
    };
    if name.is_empty() || password.is_empty() {
        return Err(UserLineFault::Empty);
    }
    if line.iter().any(|byte| *byte <= b' ' || *byte == 0x7f) {
        return Err(UserLineFault::Unsendable);
    }
    Ok(User { name, password })
}
