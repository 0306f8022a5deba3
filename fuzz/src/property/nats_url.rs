//! Where records are published to, as it is written on the command line.

use std::collections::HashSet;
use std::fmt::Write as _;

use windhover_core::nats::{NatsLogin, NatsUrl};

use super::tells;

/// Any text is a place to publish to or refused with a reason; written in another way, it is the same place, and
/// what is printed of it leads to the same servers and has nothing secret in it.
pub fn nats_url(input: &[u8]) {
    let Ok(given) = std::str::from_utf8(input) else { return };
    let url = match NatsUrl::parse(given) {
        Ok(url) => url,
        Err(error) => {
            assert!(tells(&error), "{error:?}");
            return;
        }
    };
    assert!(given.starts_with(if url.tls { "tls://" } else { "nats://" }));
    assert!(url.subject.split('.').all(is_word) && !url.subject.starts_with('$'));
    assert!(url.stream.as_deref().is_none_or(|it| is_word(it) && !it.contains(['.', '/', '\\'])));
    let servers = given.split(['/', '?']).nth(2).unwrap_or_default();
    let login = servers.split_once('@').map_or("", |(login, _)| login);
    assert!(!login.contains(','), "a login further on");
    let options = given.split_once('?').map_or("", |(_, options)| options).split('&');
    let numbers =
        options.filter_map(|it| it.strip_prefix("replicas=").or(it.strip_prefix("window=")));
    for number in numbers {
        assert!(number.bytes().all(|byte| byte.is_ascii_digit()), "{number}");
    }
    let distinct: HashSet<&String> = url.hosts.iter().collect();
    assert!(!url.hosts.is_empty() && distinct.len() == url.hosts.len());
    assert!(url.hosts.iter().all(|host| !host.is_empty() && !host.contains([',', '/', '@', '?'])));
    assert!(url.replicas.is_none_or(|replicas| (1..=5).contains(&replicas)));
    assert!(url.window.is_none_or(|window| window.as_secs() > 0 && window.subsec_nanos() == 0));

    assert_eq!(NatsUrl::parse(&spelled(&url)), Ok(url.clone()), "{}", spelled(&url));
    let printed = NatsUrl::parse(&url.to_string()).unwrap();
    assert_eq!((&printed.hosts, &printed.subject), (&url.hosts, &url.subject));
    assert_eq!((printed.login, printed.credentials), (None, None));
    // Neither has a log what is secret.
    let shown = url.login.as_ref().map(|login| format!("{login:?}"));
    let expected = url.login.as_ref().map(|login| match login {
        NatsLogin::Password { user, .. } => format!("Password({user:?}, …)"),
        _ => "Token(…)".to_owned(),
    });
    assert_eq!(shown, expected);
}

/// Something that is no wildcard, and nothing that ends a line of the protocol.
fn is_word(text: &str) -> bool {
    let is_letter = |it: char| !it.is_whitespace() && !it.is_control() && it != '*' && it != '>';
    !text.is_empty() && text.chars().all(is_letter)
}

/// The same place, with every letter of a login and of a value escaped, and the options in another order.
fn spelled(url: &NatsUrl) -> String {
    let mut text = String::from(if url.tls { "tls://" } else { "nats://" });
    match &url.login {
        Some(NatsLogin::Password { user, password }) => {
            let _ = write!(text, "{}:{}@", escaped(user), escaped(password));
        }
        Some(NatsLogin::Token(token)) => {
            let _ = write!(text, "{}@", escaped(token));
        }
        _ => {}
    }
    let _ = write!(text, "{}/{}?", url.hosts.join(","), url.subject);
    let mut option = |name: &str, value: String| {
        let _ = write!(text, "{name}={value}&");
    };
    if let Some((certificate, key)) = &url.certificate {
        option("key", escaped(key));
        option("cert", escaped(certificate));
    }
    url.authorities.iter().for_each(|it| option("ca", escaped(it)));
    url.credentials.iter().for_each(|it| option("creds", escaped(it)));
    url.syncs_always.then(|| option("sync", "always".to_owned()));
    url.window.iter().for_each(|it| option("window", it.as_secs().to_string()));
    url.replicas.iter().for_each(|it| option("replicas", it.to_string()));
    url.stream.iter().for_each(|it| option("stream", escaped(it)));
    text
}

fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        let _ = write!(escaped, "%{byte:02X}");
        escaped
    })
}
