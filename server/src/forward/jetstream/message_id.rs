//! The id by which JetStream knows a record again within its window.

use std::fmt::Write as _;

use windhover_core::tracking::EventIdentity;

use crate::forward::target::{Record, RecordName};

/// Every tracker's: the same event has the same id whichever of them it was sent to. Whoever can make another event
/// with the same digest knows all of the first one's identity, and could send that.
const KEY: [u8; 16] = *b"windhover:nats:1";

/// The digest of an event's [identity](EventIdentity), where its sender gave it an `$insert_id`; else what the record
/// is known by where it comes from.
pub(super) fn message_id(record: &Record) -> String {
    if let Some(recorded) = EventIdentity::of_record(&record.bytes) {
        // Sent again, it would be received at another time.
        let identity = if recorded.is_time_of_receipt {
            recorded.identity.without_time()
        } else {
            recorded.identity
        };
        let digest = identity.digest(&KEY).to_bytes();
        return digest.iter().fold(String::with_capacity(32), |mut text, byte| {
            // Writing to memory does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        });
    }
    match &record.name {
        RecordName::Item(directory, queue, id) => {
            format!("{directory:032x}-{}-{id}", queue.escape_ascii())
        }
        RecordName::Place(run, place) => format!("{run:032x}-{place}"),
        RecordName::Message(id) => id.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(directory: u128, id: u64) -> RecordName {
        RecordName::Item(directory, "events".into(), id)
    }

    fn id(line: &str, name: RecordName) -> String {
        message_id(&Record { bytes: line.as_bytes().to_vec().into(), name })
    }

    #[test]
    fn an_event_has_one_id_wherever_it_comes_from() {
        let line = |properties: &str| format!(r#"{{"event":"buy","properties":{{{properties}}}}}"#);
        let first = line(r#""token":"t","$insert_id":"a1","time":5,"mp_processing_time_ms":6"#);
        let again =
            line(r#""token":"t","$insert_id":"a1","time":5,"mp_processing_time_ms":9,"x":1"#);
        let ids = [id(&first, item(1, 1)), id(&again, item(2, 9))];
        assert!(ids.iter().all(|it| *it == ids[0] && it.len() == 32), "{ids:?}");
        for other in [
            r#""token":"u","$insert_id":"a1","time":5,"mp_processing_time_ms":6"#,
            r#""token":"t","$insert_id":"a2","time":5,"mp_processing_time_ms":6"#,
            r#""token":"t","$insert_id":"a1","time":7,"mp_processing_time_ms":6"#,
            r#""token":"t","$insert_id":"a1","time":5,"distinct_id":"d","mp_processing_time_ms":6"#,
        ] {
            assert_ne!(id(&line(other), item(1, 1)), ids[0], "{other}");
        }
    }

    #[test]
    fn an_event_without_a_time_is_known_again_whenever_it_is_received() {
        let received = |at: u64| {
            format!(
                r#"{{"event":"e","properties":{{"token":"t","$insert_id":"a","time":{at},"mp_processing_time_ms":{at}}}}}"#
            )
        };
        let name = || item(1, 1);
        assert_eq!(id(&received(5), name()), id(&received(7), name()));
    }

    #[test]
    fn what_has_no_identity_is_known_by_its_place() {
        let stamped = r#"{"event":"e","properties":{"token":"t","time":6,"mp_processing_time_ms":6,"$insert_id":"0123456789abcdef0000000700000000"}}"#;
        for line in [stamped, "any bytes", ""] {
            assert_eq!(
                id(line, item(0xab, 7)),
                "000000000000000000000000000000ab-events-7",
                "{line}"
            );
            assert_eq!(id(line, RecordName::Message("m1".to_owned())), "m1", "{line}");
        }
    }
}
