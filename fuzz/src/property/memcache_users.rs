//! A file of users, and what a peer sends to be one of them.

use windhover_core::memcache::request::Request;
use windhover_core::memcache::response::Response;
use windhover_core::memcache::{
    Dialect, Limits, MAX_USER_LINE, Output, ServerConnection, User, UserLineFault, users,
};
use windhover_core::{Now, Timeouts};

/// Any bytes are the users that a simple, slow reader finds, and every one of them can send the
/// credentials that the file gives, as memcached takes them: they are read as what the file says.
pub fn memcache_users(input: &[u8]) {
    let mut found = users(input);
    let text: Vec<char> = input.iter().map(|byte| char::from(*byte)).collect();
    let text: String = text.into_iter().collect();
    for (index, line) in text.split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        match (found.next(), simple(line)) {
            (Some(Ok(user)), Ok((name, password))) => {
                assert_eq!((user.name, user.password), (&*bytes(name), &*bytes(password)));
                is_let_in(user);
                may_be_longer(user);
                assert_eq!(format!("{user:?}"), format!("User {{ name: {:?}, .. }}", user.name));
            }
            (Some(Err(error)), Err(fault)) => {
                assert_eq!((error.line, error.fault), (index + 1, fault));
                assert!(crate::property::tells(&error));
            }
            (found, simple) => panic!("{found:?}, {simple:?}"),
        }
    }
    assert!(found.next().is_none());
}

fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|character| u8::try_from(character).unwrap()).collect()
}

/// The line of bytes that are characters.
fn simple(line: &str) -> Result<(&str, &str), UserLineFault> {
    if line.chars().count() > MAX_USER_LINE {
        return Err(UserLineFault::TooLong);
    }
    match line.split_once(':') {
        None => Err(UserLineFault::NoColon),
        Some(("", _) | (_, "")) => Err(UserLineFault::Empty),
        Some(_) if line.contains(|it: char| it.is_ascii_control() || it == ' ') => {
            Err(UserLineFault::Unsendable)
        }
        Some(sides) => Ok(sides),
    }
}

/// The longest line is one, and none is longer: inputs are shorter than that.
fn may_be_longer(user: User<'_>) {
    let mut line = [user.name, b":", user.password].concat();
    line.resize(MAX_USER_LINE, b'x');
    let longest = users(&line).next().and_then(Result::ok).expect("the longest line");
    assert_eq!(longest.name, user.name);
    line.push(b'x');
    let error = users(&line).next().and_then(Result::err).expect("a line too long");
    assert_eq!((error.line, error.fault), (1, UserLineFault::TooLong));
}

fn is_let_in(user: User<'_>) {
    let now = Now::default();
    let (limits, timeouts) = (Limits::default(), Timeouts::default());
    let mut connection = ServerConnection::new(Dialect::Memcached, &limits, &timeouts, now.instant);
    connection.require_authentication();
    let block = [user.name, b" ", user.password].concat();
    connection.receive(format!("set auth 0 0 {}\r\n", block.len()).as_bytes());
    connection.receive(&[&block[..], b"\r\n"].concat());
    match connection.poll_output(now) {
        Output::Request { request: Request::Authenticate { user: name, password }, .. } => {
            assert_eq!((name, password), (user.name, user.password));
        }
        other => panic!("{other:?}"),
    }
    connection.responses_mut().respond(&Response::Stored);
    assert!(connection.is_open());
}
