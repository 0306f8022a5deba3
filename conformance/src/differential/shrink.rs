//! The least of a stream that still shows a difference.

use super::Stream;

/// More attempts than this would take longer than reading the rest by eye.
const ATTEMPTS: usize = 600;

/// Takes requests out, half of them at a time, then fewer, for as long as `differs` holds.
pub(super) fn shrink(mut stream: Stream, differs: impl Fn(&Stream) -> bool) -> Stream {
    let mut attempts = 0;
    let mut chunk = stream.commands().div_ceil(2);
    while chunk > 0 {
        let mut from = 0;
        let mut shrunk = false;
        while from < stream.commands() && attempts < ATTEMPTS {
            attempts += 1;
            let less = stream.without(from, from + chunk);
            if differs(&less) {
                stream = less;
                shrunk = true;
            } else {
                from += chunk;
            }
        }
        if !shrunk || chunk > 1 {
            chunk /= 2;
        }
        if attempts >= ATTEMPTS {
            break;
        }
    }
    stream
}

#[cfg(test)]
mod tests {
    use super::super::{Form, Peer};
    use super::*;
    use crate::Random;

    #[test]
    fn what_does_not_matter_is_taken_out() {
        let stream = Stream::random(&mut Random::new(3), Form::WellFormed, Peer::Old);
        let wanted = |stream: &Stream| stream.to_string().matches("delete").count() >= 2;
        assert!(wanted(&stream));
        assert_eq!(shrink(stream, wanted).commands(), 2);
    }
}
