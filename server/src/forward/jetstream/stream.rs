//! The stream that takes the records: found and checked, or made.

use std::time::Duration;

use async_nats::jetstream::context::GetStreamByNameErrorKind;
use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType};
use async_nats::jetstream::{Context, ErrorCode};
use windhover_core::nats::NatsUrl;

/// How long ids are compared in a stream that is made here, unless the URL says something else: longer than an
/// outage that nobody notices.
const WINDOW: Duration = Duration::from_secs(600);
/// So many copies where there are as many servers.
const REPLICAS: usize = 3;

/// A stream that takes the records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) is_new: bool,
    /// What an operator should know of it.
    pub(super) warnings: Vec<String>,
}

/// Finds the stream and looks at it, or makes it.
pub(super) async fn find_or_make(
    context: &Context,
    url: &NatsUrl,
    servers: usize,
) -> Result<Found, async_nats::Error> {
    let name = match &url.stream {
        Some(name) => Some(name.clone()),
        None => match context.stream_by_subject(url.subject.as_str()).await {
            Ok(name) => Some(name),
            Err(error) if error.kind() == GetStreamByNameErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        },
    };
    if let Some(name) = name {
        match context.get_stream(&name).await {
            Ok(stream) => {
                let warnings = warnings(&stream.cached_info().config, url);
                return Ok(Found { name, is_new: false, warnings });
            }
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let stream = context.create_stream(wanted(url, servers)).await?;
    let config = &stream.cached_info().config;
    Ok(Found { name: config.name.clone(), is_new: true, warnings: warnings(config, url) })
}

fn is_missing(error: &async_nats::jetstream::context::GetStreamError) -> bool {
    use async_nats::jetstream::context::GetStreamErrorKind::JetStream;
    matches!(error.kind(), JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// The stream that is made where there is none.
fn wanted(url: &NatsUrl, servers: usize) -> Config {
    let named = || url.subject.replace(['.', '/', '\\'], "_");
    let replicas =
        url.replicas.map_or_else(|| if servers >= REPLICAS { REPLICAS } else { 1 }, usize::from);
    Config {
        name: url.stream.clone().unwrap_or_else(named),
        subjects: vec![url.subject.clone(), format!("{}.>", url.subject)],
        storage: StorageType::File,
        // What was acknowledged is not to make room for what comes.
        discard: DiscardPolicy::New,
        num_replicas: replicas,
        duplicate_window: url.window.unwrap_or(WINDOW),
        ..Config::default()
    }
}

/// What is not as it should be, in a stream that is there.
fn warnings(config: &Config, url: &NatsUrl) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |text: String| warnings.push(text);
    for subject in [url.subject.clone(), format!("{}.engage", url.subject)] {
        if !config.subjects.iter().any(|pattern| covers(pattern, &subject)) {
            warn(format!("it does not take what is published to `{subject}`"));
        }
    }
    if let Some(replicas) = url.replicas.map(usize::from)
        && config.num_replicas < replicas
    {
        warn(format!("it has {} copies, {replicas} are asked for", config.num_replicas));
    }
    if let Some(window) = url.window
        && config.duplicate_window < window
    {
        warn(format!(
            "ids are compared for {:?}, {window:?} are asked for",
            config.duplicate_window
        ));
    }
    if config.storage == StorageType::Memory {
        warn("it is in memory: what was acknowledged is gone when its servers stop".to_owned());
    }
    if config.no_ack {
        warn("it acknowledges nothing (`no_ack`): every event will be sent again".to_owned());
    }
    let is_bounded = config.max_bytes > 0 || config.max_messages > 0;
    if is_bounded && config.discard == DiscardPolicy::Old {
        warn("when it is full the oldest messages go, read or not (`discard: old`)".to_owned());
    }
    warnings
}

/// Whether a stream with that subject, which may have wildcards, takes what is published to another.
fn covers(pattern: &str, subject: &str) -> bool {
    let (mut pattern, mut subject) = (pattern.split('.'), subject.split('.'));
    loop {
        match (pattern.next(), subject.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some("*"), Some(_)) => {}
            (Some(wanted), Some(token)) if wanted == token => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> NatsUrl {
        NatsUrl::parse(text).unwrap()
    }

    #[test]
    fn a_stream_is_made_as_the_url_says() {
        let made = wanted(&url("nats://a,b,c/app.events"), 3);
        assert_eq!(made.name, "app_events");
        assert_eq!(made.subjects, ["app.events", "app.events.>"]);
        assert_eq!((made.num_replicas, made.duplicate_window), (3, WINDOW));
        let made = wanted(&url("nats://a/e?stream=S&replicas=2&window=5"), 1);
        assert_eq!((made.name.as_str(), made.num_replicas), ("S", 2));
        assert_eq!(made.duplicate_window, Duration::from_secs(5));
        assert_eq!(wanted(&url("nats://a,b/e"), 2).num_replicas, 1);
        let wanted = wanted(&url("nats://a/e"), 1);
        assert_eq!(warnings(&wanted, &url("nats://a/e")), [""; 0]);
    }

    #[test]
    fn what_may_lose_events_is_warned_about() {
        let of = |change: fn(&mut Config), text: &str| {
            let mut config = wanted(&url("nats://a/e"), 1);
            change(&mut config);
            warnings(&config, &url(text)).join("; ")
        };
        let plain = "nats://a/e";
        assert_eq!(
            of(|it| it.subjects = vec!["e".into()], plain),
            "it does not take what is published to `e.engage`"
        );
        assert_eq!(of(|_| (), "nats://a/e?replicas=3"), "it has 1 copies, 3 are asked for");
        assert_eq!(
            of(|_| (), "nats://a/e?window=900"),
            "ids are compared for 600s, 900s are asked for"
        );
        assert!(of(|it| it.storage = StorageType::Memory, plain).contains("in memory"));
        assert!(of(|it| it.no_ack = true, plain).contains("acknowledges nothing"));
        let bounded = |it: &mut Config| {
            it.max_bytes = 5;
            it.discard = DiscardPolicy::Old;
        };
        assert!(of(bounded, plain).contains("the oldest messages go"));
    }

    #[test]
    fn wildcards_stand_for_tokens() {
        for (pattern, subject, is_covered) in [
            ("a", "a", true),
            ("a.*", "a.b", true),
            ("a.>", "a.b.c", true),
            (">", "a", true),
            ("a.>", "a", false),
            ("a.*", "a", false),
            ("a.*", "a.b.c", false),
            ("a.b", "a.c", false),
            ("a.b.c", "a.b", false),
        ] {
            assert_eq!(covers(pattern, subject), is_covered, "{pattern} {subject}");
        }
    }
}
