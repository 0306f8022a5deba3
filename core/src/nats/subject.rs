//! Names of subjects and streams.

use core::fmt;

/// What keeps a text from being a subject that can be published to, or a stream's name.
///
/// ```
/// use windhover_core::nats::{NatsUrl, NatsUrlError, SubjectFault};
///
/// let refused = NatsUrl::parse("nats://n1/app.>");
/// assert_eq!(refused, Err(NatsUrlError::Subject(SubjectFault::Wildcard('>'))));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubjectFault {
    /// It is empty.
    Empty,
    /// Nothing stands before, between or behind dots.
    EmptyToken,
    /// It has a wildcard: those are for subscribers.
    Wildcard(char),
    /// It has white space or a control character.
    Space,
    /// It begins with `$`: those subjects are the servers' own.
    Reserved,
    /// A stream's name has a dot, or what separates folders.
    Separator(char),
}

impl fmt::Display for SubjectFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it is empty"),
            Self::EmptyToken => f.write_str("nothing stands before, between or behind its dots"),
            Self::Wildcard(it) => write!(f, "`{it}` is a wildcard, which is for subscribers alone"),
            Self::Space => f.write_str("it has white space or a control character"),
            Self::Reserved => f.write_str("subjects that begin with `$` are the servers' own"),
            Self::Separator(it) => write!(f, "the name of a stream has no `{it}`"),
        }
    }
}

impl core::error::Error for SubjectFault {}

/// Whether a text is a subject that records can be published to.
///
/// ```
/// use windhover_core::nats::{SubjectFault, check_subject};
///
/// assert_eq!(check_subject("app.events"), Ok(()));
/// assert_eq!(check_subject("app.*"), Err(SubjectFault::Wildcard('*')));
/// assert_eq!(check_subject("app..events"), Err(SubjectFault::EmptyToken));
/// ```
///
/// # Errors
/// [`SubjectFault`].
pub fn check_subject(subject: &str) -> Result<(), SubjectFault> {
    check_letters(subject)?;
    if subject.starts_with('$') {
        return Err(SubjectFault::Reserved);
    }
    if subject.split('.').any(str::is_empty) {
        return Err(SubjectFault::EmptyToken);
    }
    Ok(())
}

/// Whether a text is one that a stream may have for its name.
///
/// ```
/// use windhover_core::nats::{SubjectFault, check_stream_name};
///
/// assert_eq!(check_stream_name("EVENTS"), Ok(()));
/// assert_eq!(check_stream_name("app.events"), Err(SubjectFault::Separator('.')));
/// ```
///
/// # Errors
/// [`SubjectFault`].
pub fn check_stream_name(name: &str) -> Result<(), SubjectFault> {
    check_letters(name)?;
    let separator = name.chars().find(|it| matches!(it, '.' | '/' | '\\'));
    separator.map_or(Ok(()), |it| Err(SubjectFault::Separator(it)))
}

fn check_letters(text: &str) -> Result<(), SubjectFault> {
    if text.is_empty() {
        return Err(SubjectFault::Empty);
    }
    for letter in text.chars() {
        match letter {
            '*' | '>' => return Err(SubjectFault::Wildcard(letter)),
            _ if letter.is_whitespace() || letter.is_control() => return Err(SubjectFault::Space),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_published_to_and_what_not() {
        for (subject, checked) in [
            ("events", Ok(())),
            ("app.events-2_b", Ok(())),
            ("ereignisse.grün", Ok(())),
            ("", Err(SubjectFault::Empty)),
            (".a", Err(SubjectFault::EmptyToken)),
            ("a..b", Err(SubjectFault::EmptyToken)),
            ("a.", Err(SubjectFault::EmptyToken)),
            ("a.*", Err(SubjectFault::Wildcard('*'))),
            ("a.>", Err(SubjectFault::Wildcard('>'))),
            ("a b", Err(SubjectFault::Space)),
            ("a\u{7f}", Err(SubjectFault::Space)),
            ("$JS.API", Err(SubjectFault::Reserved)),
        ] {
            assert_eq!(check_subject(subject), checked, "{subject}");
        }
    }

    #[test]
    fn the_name_of_a_stream_is_that_of_a_file() {
        for (name, checked) in [
            ("EVENTS", Ok(())),
            ("", Err(SubjectFault::Empty)),
            ("a.b", Err(SubjectFault::Separator('.'))),
            ("a/b", Err(SubjectFault::Separator('/'))),
            ("a\\b", Err(SubjectFault::Separator('\\'))),
            ("a>", Err(SubjectFault::Wildcard('>'))),
            ("a\tb", Err(SubjectFault::Space)),
        ] {
            assert_eq!(check_stream_name(name), checked, "{name}");
        }
    }
}
