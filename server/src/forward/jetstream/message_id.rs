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
    let RecordName::Item(directory, id) = record.name;
    format!("{directory:032x}-{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(line: &str, name: RecordName) -> String {
        message_id(&Record { bytes: line.as_bytes().to_vec().into(), name })
    }

    #[test]
    fn an_event_has_one_id_wherever_it_comes_from() {
        let line = |properties: &str| format!(r#"{{"event":"buy","properties":{{{properties}}}}}"#);
        let first = line(r#""token":"t","$insert_id":"a1","time":5,"mp_processing_time_ms":6"#);
        let again =
            line(r#""token":"t","$insert_id":"a1","time":5,"mp_processing_time_ms":9,"x":1"#);
        let ids = [id(&first, RecordName::Item(1, 1)), id(&again, RecordName::Item(2, 9))];
        assert!(ids.iter().all(|it| *it == ids[0] && it.len() == 32), "{ids:?}");
        for other in [
            r#""token":"u","$insert_id":"a1","time":5,"mp_processing_time_ms":6"#,
            r#""token":"t","$insert_id":"a2","time":5,"mp_processing_time_ms":6"#,
            r#""token":"t","$insert_id":"a1","time":7,"mp_processing_time_ms":6"#,
            r#""token":"t","$insert_id":"a1","time":5,"distinct_id":"d","mp_processing_time_ms":6"#,
        ] {
            assert_ne!(id(&line(other), RecordName::Item(1, 1)), ids[0], "{other}");
        }
    }

    #[test]
    fn an_event_without_a_time_is_known_again_whenever_it_is_received() {
        let received = |at: u64| {
            format!(
                r#"{{"event":"e","properties":{{"token":"t","$insert_id":"a","time":{at},"mp_processing_time_ms":{at}}}}}"#
            )
        };
        let name = || RecordName::Item(1, 1);
        assert_eq!(id(&received(5), name()), id(&received(7), name()));
    }

    #[test]
    fn what_has_no_identity_is_known_by_its_place() {
        let stamped = r#"{"event":"e","properties":{"token":"t","time":6,"mp_processing_time_ms":6,"$insert_id":"0123456789abcdef0000000700000000"}}"#;
        for line in [stamped, "any bytes", ""] {
            assert_eq!(
                id(line, RecordName::Item(0xab, 7)),
                "000000000000000000000000000000ab-7",
                "{line}"
            );
        }
    }
}
