//! `nats://HOST[:PORT][,HOST[:PORT]…]/SUBJECT[?OPTION=VALUE[&OPTION=VALUE…]]`

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::subject::{SubjectFault, check_stream_name, check_subject};

/// Most copies that a stream has (NATS' own bound).
const MAX_REPLICAS: u8 = 5;
/// Longest window in which ids are compared: a week, all of whose ids the servers keep in memory.
const MAX_WINDOW: u32 = 604_800;
/// What may stand behind the question mark.
const OPTIONS: &str = "stream, replicas, window, sync, creds, ca, cert, key";

/// Where records are published to.
///
/// ```
/// use windhover_core::nats::NatsUrl;
///
/// let url = NatsUrl::parse("nats://n1,n2:4223,n3/app.events?replicas=3&window=600")?;
/// assert_eq!(url.hosts, ["n1", "n2:4223", "n3"]);
/// assert_eq!(url.subject, "app.events");
/// assert_eq!(url.window, Some(std::time::Duration::from_secs(600)));
/// # Ok::<(), windhover_core::nats::NatsUrlError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NatsUrl {
    /// Whether every connection has to be encrypted: the scheme is `tls://`. Where a server asks for it, it is
    /// anyway.
    pub tls: bool,
    /// Who connects.
    pub login: Option<NatsLogin>,
    /// Each server as it is written, `HOST` or `HOST:PORT`; at least one, none empty, none twice.
    pub hosts: Vec<String>,
    /// The subject that is published to; [`check_subject`] takes it.
    pub subject: String,
    /// The stream that has to take it; [`check_stream_name`] takes it.
    pub stream: Option<String>,
    /// How many servers have to keep each record, from 1 to 5.
    pub replicas: Option<u8>,
    /// How long the servers know an id again, in whole seconds.
    pub window: Option<Duration>,
    /// Whoever wrote it says that the servers sync before they acknowledge (`sync_interval: always`).
    pub syncs_always: bool,
    /// The file of credentials (`.creds`) to connect with.
    pub credentials: Option<String>,
    /// A file of certificates, in PEM, of authorities to believe.
    pub authorities: Option<String>,
    /// The files of a certificate to show, and of its key.
    pub certificate: Option<(String, String)>,
}

/// Who connects.
///
/// ```
/// use windhover_core::nats::{NatsLogin, NatsUrl};
///
/// let url = NatsUrl::parse("nats://ann:s%3Acret@n1,n2/app.events")?;
/// let login = NatsLogin::Password { user: "ann".into(), password: "s:cret".into() };
/// assert_eq!(url.login.as_ref(), Some(&login));
/// // Neither of them tells what is secret to a log.
/// assert_eq!(url.to_string(), "nats://n1,n2/app.events");
/// assert_eq!(format!("{login:?}"), r#"Password("ann", …)"#);
/// # Ok::<(), windhover_core::nats::NatsUrlError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NatsLogin {
    /// `USER:PASSWORD@`
    Password {
        /// Who.
        user: String,
        /// The password.
        password: String,
    },
    /// `TOKEN@`
    Token(String),
}

impl fmt::Debug for NatsLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { user, .. } => write!(f, "Password({user:?}, …)"),
            Self::Token(_) => f.write_str("Token(…)"),
        }
    }
}

/// Where it leads, without what is secret.
impl fmt::Display for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}/{}", if self.tls { TLS } else { PLAIN }, self.hosts.join(","), self.subject)
    }
}

/// Why a URL is not understood.
///
/// ```
/// use windhover_core::nats::{NatsUrl, NatsUrlError};
///
/// assert_eq!(NatsUrl::parse("n1/app.events"), Err(NatsUrlError::Scheme));
/// assert_eq!(NatsUrl::parse("nats://n1,,n2/app.events"), Err(NatsUrlError::NoHost(2)));
/// assert_eq!(NatsUrl::parse("nats://n1"), Err(NatsUrlError::NoSubject));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NatsUrlError {
    /// It begins neither with `nats://` nor with `tls://`.
    Scheme,
    /// No server stands at this place, counted from 1.
    NoHost(usize),
    /// A server stands there twice.
    HostTwice(String),
    /// More than one server has a login in front: one is for all of them, before the first.
    LoginTwice,
    /// The login is empty, or not UTF-8.
    Login,
    /// `%` is not followed by two hexadecimal digits, or what they spell is not UTF-8.
    Percent(String),
    /// No subject follows the servers.
    NoSubject,
    /// The subject cannot be published to.
    Subject(SubjectFault),
    /// An option is not known.
    Unknown(String),
    /// An option stands there twice.
    OptionTwice(&'static str),
    /// An option has not the value that it should have.
    Value {
        /// The option.
        option: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// The stream's name cannot be one.
    Stream(SubjectFault),
    /// `cert` and `key` go together, and one is missing.
    HalfACertificate,
    /// A file of credentials says who connects, and so does the login.
    LoginAndCredentials,
}

impl fmt::Display for NatsUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme => write!(f, "it has to begin with `{PLAIN}` or `{TLS}`"),
            Self::NoHost(at) => write!(f, "the server at place {at} is empty"),
            Self::HostTwice(host) => write!(f, "the server `{host}` stands there twice"),
            Self::LoginTwice => {
                f.write_str("a login stands once, before the first server, and is for all of them")
            }
            Self::Login => f.write_str("the login before `@` is `USER:PASSWORD` or `TOKEN`"),
            Self::Percent(text) => {
                write!(f, "`{text}`: `%` is followed by two hexadecimal digits, and all is UTF-8")
            }
            Self::NoSubject => f.write_str("the subject is missing: write nats://HOST/SUBJECT"),
            Self::Subject(fault) => write!(f, "the subject cannot be published to: {fault}"),
            Self::Unknown(option) => {
                write!(f, "`{option}` is no option; there are {OPTIONS}, each with `=` and a value")
            }
            Self::OptionTwice(option) => write!(f, "the option `{option}` stands there twice"),
            Self::Value { option, expected } => write!(f, "the value of `{option}` is {expected}"),
            Self::Stream(fault) => write!(f, "the stream's name cannot be one: {fault}"),
            Self::HalfACertificate => {
                f.write_str("`cert` and `key` go together: give both, or none")
            }
            Self::LoginAndCredentials => {
                f.write_str("who connects is said twice, before `@` and by `creds`")
            }
        }
    }
}

impl core::error::Error for NatsUrlError {}

const PLAIN: &str = "nats://";
const TLS: &str = "tls://";

impl NatsUrl {
    /// Reads a URL. `%` with two hexadecimal digits stands for a byte in the login and in the options' values.
    ///
    /// # Errors
    /// [`NatsUrlError`].
    pub fn parse(text: &str) -> Result<Self, NatsUrlError> {
        let (tls, rest) = match (text.strip_prefix(PLAIN), text.strip_prefix(TLS)) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => return Err(NatsUrlError::Scheme),
        };
        let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
        let (servers, subject) = place.split_once('/').unwrap_or((place, ""));
        let (login, hosts) = servers_of(servers)?;
        if subject.is_empty() {
            return Err(NatsUrlError::NoSubject);
        }
        check_subject(subject).map_err(NatsUrlError::Subject)?;
        let subject = subject.to_owned();
        let mut url = Self {
            tls,
            login,
            hosts,
            subject,
            stream: None,
            replicas: None,
            window: None,
            syncs_always: false,
            credentials: None,
            authorities: None,
            certificate: None,
        };
        url.take_options(options)?;
        if url.login.is_some() && url.credentials.is_some() {
            return Err(NatsUrlError::LoginAndCredentials);
        }
        Ok(url)
    }

    fn take_options(&mut self, options: &str) -> Result<(), NatsUrlError> {
        let (mut certificate, mut key, mut sync) = (None, None, None);
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let unknown = || NatsUrlError::Unknown(option.to_owned());
            let (name, value) = option.split_once('=').ok_or_else(unknown)?;
            match name {
                "stream" => once("stream", &mut self.stream, stream(value)?)?,
                "replicas" => once("replicas", &mut self.replicas, replicas(value)?)?,
                "window" => once("window", &mut self.window, window(value)?)?,
                "sync" => once("sync", &mut sync, always(value)?)?,
                "creds" => once("creds", &mut self.credentials, file("creds", value)?)?,
                "ca" => once("ca", &mut self.authorities, file("ca", value)?)?,
                "cert" => once("cert", &mut certificate, file("cert", value)?)?,
                "key" => once("key", &mut key, file("key", value)?)?,
                _ => return Err(unknown()),
            }
        }
        self.syncs_always = sync.is_some();
        self.certificate = match (certificate, key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((certificate, key)),
            _ => return Err(NatsUrlError::HalfACertificate),
        };
        Ok(())
    }
}

fn servers_of(text: &str) -> Result<(Option<NatsLogin>, Vec<String>), NatsUrlError> {
    // A comma of a password is written `%2C`, as everything that has a meaning here.
    let (login, list) = match text.split_once('@') {
        None => (None, text),
        Some((_, list)) if list.contains('@') => return Err(NatsUrlError::LoginTwice),
        Some((login, _)) if login.contains(',') => return Err(NatsUrlError::LoginTwice),
        Some((login, list)) => (Some(read_login(login)?), list),
    };
    let mut hosts: Vec<String> = Vec::new();
    for (at, host) in list.split(',').map(str::trim).enumerate() {
        if host.is_empty() {
            return Err(NatsUrlError::NoHost(at + 1));
        }
        if hosts.iter().any(|other| other == host) {
            return Err(NatsUrlError::HostTwice(host.to_owned()));
        }
        hosts.push(host.to_owned());
    }
    Ok((login, hosts))
}

fn read_login(text: &str) -> Result<NatsLogin, NatsUrlError> {
    let decoded = |text: &str| match decode(text)? {
        text if text.is_empty() => Err(NatsUrlError::Login),
        text => Ok(text),
    };
    match text.split_once(':') {
        None => decoded(text).map(NatsLogin::Token),
        Some((user, password)) => {
            Ok(NatsLogin::Password { user: decoded(user)?, password: decoded(password)? })
        }
    }
}

fn once<T>(option: &'static str, place: &mut Option<T>, value: T) -> Result<(), NatsUrlError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(NatsUrlError::OptionTwice(option)),
    }
}

fn stream(value: &str) -> Result<String, NatsUrlError> {
    let name = decode(value)?;
    check_stream_name(&name).map_err(NatsUrlError::Stream)?;
    Ok(name)
}

fn replicas(value: &str) -> Result<u8, NatsUrlError> {
    let wrong = NatsUrlError::Value { option: "replicas", expected: "a number from 1 to 5" };
    let number = number(value).and_then(|number| u8::try_from(number).ok());
    number.filter(|number| (1..=MAX_REPLICAS).contains(number)).ok_or(wrong)
}

fn window(value: &str) -> Result<Duration, NatsUrlError> {
    let expected = "a number of seconds from 1 to 604800";
    let wrong = NatsUrlError::Value { option: "window", expected };
    let number = number(value).filter(|number| (1..=MAX_WINDOW).contains(number));
    number.map(|seconds| Duration::from_secs(seconds.into())).ok_or(wrong)
}

fn number(text: &str) -> Option<u32> {
    // The standard library takes a plus sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn always(value: &str) -> Result<(), NatsUrlError> {
    let wrong = NatsUrlError::Value { option: "sync", expected: "`always`" };
    if value == "always" { Ok(()) } else { Err(wrong) }
}

fn file(option: &'static str, value: &str) -> Result<String, NatsUrlError> {
    match decode(value)? {
        path if path.is_empty() => {
            Err(NatsUrlError::Value { option, expected: "the path of a file" })
        }
        path => Ok(path),
    }
}

/// Undoes `%XX`.
fn decode(text: &str) -> Result<String, NatsUrlError> {
    let wrong = || NatsUrlError::Percent(text.to_owned());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = behind;
            continue;
        }
        let (digits, behind) = behind.split_at_checked(2).ok_or_else(wrong)?;
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let value = digits.iter().try_fold(0, |sum, &byte| Some(sum * 16 + digit(byte)?));
        bytes.push(value.and_then(|value| u8::try_from(value).ok()).ok_or_else(wrong)?);
        rest = behind;
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;
    use alloc::vec;

    use super::*;

    #[test]
    fn everything_that_a_url_may_say() {
        let text = "tls://me:a%2Cb%40@n1,n2:4223,[::1]/app.events?stream=EVENTS&replicas=3&window=600\
                    &sync=always&ca=/etc/ca.pem&cert=c%20.pem&key=k.pem";
        let url = NatsUrl::parse(text).unwrap();
        let login = NatsLogin::Password { user: "me".into(), password: "a,b@".into() };
        let expected = NatsUrl {
            tls: true,
            login: Some(login),
            hosts: vec!["n1".into(), "n2:4223".into(), "[::1]".into()],
            subject: "app.events".into(),
            stream: Some("EVENTS".into()),
            replicas: Some(3),
            window: Some(Duration::from_secs(600)),
            syncs_always: true,
            credentials: None,
            authorities: Some("/etc/ca.pem".into()),
            certificate: Some(("c .pem".into(), "k.pem".into())),
        };
        assert_eq!(url, expected);
        assert_eq!(url.to_string(), "tls://n1,n2:4223,[::1]/app.events", "nothing secret");
        assert!(!alloc::format!("{url:?}").contains("a,b@"), "nothing secret");
    }

    #[test]
    fn little_is_needed() {
        let url = NatsUrl::parse("nats://n1/events").unwrap();
        assert_eq!((url.hosts.as_slice(), url.subject.as_str()), (&["n1".into()][..], "events"));
        assert!(!url.tls && !url.syncs_always && url.replicas.is_none() && url.login.is_none());
        let url = NatsUrl::parse("nats://s3cr3t@n1/events?creds=").unwrap_err();
        assert!(matches!(url, NatsUrlError::Value { option: "creds", .. }));
        let url = NatsUrl::parse("nats://s3cr3t@n1/events").unwrap();
        assert_eq!(url.login, Some(NatsLogin::Token("s3cr3t".into())));
    }

    #[test]
    fn what_is_wrong_is_told() {
        let value = |option, expected| NatsUrlError::Value { option, expected };
        let replicas = value("replicas", "a number from 1 to 5");
        let window = value("window", "a number of seconds from 1 to 604800");
        for (text, error) in [
            ("n1/events", NatsUrlError::Scheme),
            ("NATS://n1/events", NatsUrlError::Scheme),
            ("nats:///events", NatsUrlError::NoHost(1)),
            ("nats://a,,b/events", NatsUrlError::NoHost(2)),
            ("nats://a,a/events", NatsUrlError::HostTwice("a".into())),
            ("nats://u:p@a,u:p@b/events", NatsUrlError::LoginTwice),
            ("nats://a,u:p@b/events", NatsUrlError::LoginTwice),
            ("nats://@a/events", NatsUrlError::Login),
            ("nats://u:@a/events", NatsUrlError::Login),
            ("nats://u%2:p@a/events", NatsUrlError::Percent("u%2".into())),
            ("nats://u%ff@a/events", NatsUrlError::Percent("u%ff".into())),
            ("nats://u%+f@a/events", NatsUrlError::Percent("u%+f".into())),
            ("nats://a", NatsUrlError::NoSubject),
            ("nats://a/?sync=always", NatsUrlError::NoSubject),
            ("nats://a/b.*", NatsUrlError::Subject(SubjectFault::Wildcard('*'))),
            ("nats://a/b/c?stream=d.e", NatsUrlError::Stream(SubjectFault::Separator('.'))),
            ("nats://a/b?sync", NatsUrlError::Unknown("sync".into())),
            ("nats://a/b?fsync=always", NatsUrlError::Unknown("fsync=always".into())),
            ("nats://a/b?sync=never", value("sync", "`always`")),
            ("nats://a/b?sync=always&sync=always", NatsUrlError::OptionTwice("sync")),
            ("nats://a/b?replicas=0", replicas.clone()),
            ("nats://a/b?replicas=6", replicas.clone()),
            ("nats://a/b?replicas=+3", replicas),
            ("nats://a/b?window=0", window.clone()),
            ("nats://a/b?window=604801", window),
            ("nats://a/b?ca=", value("ca", "the path of a file")),
            ("nats://a/b?cert=c", NatsUrlError::HalfACertificate),
            ("nats://t@a/b?creds=c", NatsUrlError::LoginAndCredentials),
        ] {
            assert_eq!(NatsUrl::parse(text), Err(error), "{text}");
        }
    }
}
