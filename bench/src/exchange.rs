//! What is asked, and what the answer has to be.

/// A request and its answer.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) request: Vec<u8>,
    answer: Answer,
}

#[derive(Clone, Debug)]
enum Answer {
    Exactly(Vec<u8>),
    /// A response to `POST /track` that says `1`: its head holds the date, and a length.
    Accepted,
}

/// What has come of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Partial,
    Whole,
    /// It is not the answer.
    Wrong,
}

impl Step {
    fn new(request: impl Into<Vec<u8>>, answer: impl Into<Vec<u8>>) -> Self {
        Self { request: request.into(), answer: Answer::Exactly(answer.into()) }
    }

    /// Whether `came` is the answer, or the beginning of it. More than the answer is wrong, for there
    /// is one request at a time.
    pub(crate) fn progress(&self, came: &[u8]) -> Progress {
        match &self.answer {
            Answer::Exactly(answer) if answer == came => Progress::Whole,
            Answer::Exactly(answer) if answer.starts_with(came) => Progress::Partial,
            Answer::Exactly(_) => Progress::Wrong,
            Answer::Accepted => {
                const STATUS: &[u8] = b"HTTP/1.1 200 OK\r\n";
                let seen = came.len().min(STATUS.len());
                match came.split_at(seen) {
                    (status, _) if !STATUS.starts_with(status) => Progress::Wrong,
                    (_, rest) if rest.ends_with(b"\r\n\r\n1") => Progress::Whole,
                    // The head is over, and what follows is not `1`.
                    (_, rest) if rest.windows(5).any(|w| w.starts_with(b"\r\n\r\n")) => {
                        Progress::Wrong
                    }
                    _ => Progress::Partial,
                }
            }
        }
    }
}

/// What is done before anything is measured, and then over and over.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) prepare: Vec<Step>,
    pub(crate) steps: Vec<Step>,
}

/// Keys of the cache; enough that the server's table is in use, few enough that nothing is evicted.
const KEYS: usize = 1000;
/// Reads to each write.
const READS: usize = 9;

impl Exchange {
    /// Items of 100 bytes, as the caches of web applications hold them in the most.
    pub(crate) fn cache() -> Self {
        let data = "0123456789".repeat(10);
        let key = |at: usize| format!("bench:item:{:04}", at % KEYS);
        let set = |at| {
            let request = format!("set {} 0 0 {}\r\n{data}\r\n", key(at), data.len());
            Step::new(request, "STORED\r\n")
        };
        let get = |at| {
            let value = format!("VALUE {} 0 {}\r\n{data}\r\nEND\r\n", key(at), data.len());
            Step::new(format!("get {}\r\n", key(at)), value)
        };
        let steps = (0..KEYS).map(|at| {
            // Not in the order of the keys, so that what was written is not what is read next.
            let at = at * 7;
            if at % (READS + 1) == 0 { set(at) } else { get(at) }
        });
        Self { prepare: (0..KEYS).map(set).collect(), steps: steps.collect() }
    }

    /// An event as client libraries send it, in a form, in base64.
    pub(crate) fn tracker() -> Self {
        // {"event":"Page viewed","properties":{"token":"e3bc4100330c35722740fb8c6f5abddc",
        // "distinct_id":"13793","time":1700000000,"$browser":"Firefox","seats":12}}
        const EVENT: &str = "eyJldmVudCI6IlBhZ2Ugdmlld2VkIiwicHJvcGVydGllcyI6eyJ0b2tlbiI6ImUzYmM0\
            MTAwMzMwYzM1NzIyNzQwZmI4YzZmNWFiZGRjIiwiZGlzdGluY3RfaWQiOiIxMzc5MyIsInRpbWUiOjE3MDAw\
            MDAwMDAsIiRicm93c2VyIjoiRmlyZWZveCIsInNlYXRzIjoxMn19";
        let body = format!("data={EVENT}");
        let request = format!(
            "POST /track HTTP/1.1\r\nHost: bench\r\nContent-Type: application/x-www-form-urlencoded\
             \r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let step = Step { request: request.into(), answer: Answer::Accepted };
        Self { prepare: Vec::new(), steps: vec![step] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_all_of_it_has_come_and_nothing_else() {
        let step = Step::new("get k\r\n", "END\r\n");
        assert_eq!(step.progress(b""), Progress::Partial);
        assert_eq!(step.progress(b"END\r"), Progress::Partial);
        assert_eq!(step.progress(b"END\r\n"), Progress::Whole);
        assert_eq!(step.progress(b"END\r\nEND\r\n"), Progress::Wrong);
        assert_eq!(step.progress(b"SERVER_ERROR"), Progress::Wrong);
    }

    #[test]
    fn an_event_is_accepted_when_the_body_says_so() {
        let Exchange { steps, .. } = Exchange::tracker();
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1";
        for end in 0..answer.len() {
            assert_eq!(steps[0].progress(&answer[..end]), Progress::Partial, "{end} bytes");
        }
        assert_eq!(steps[0].progress(answer), Progress::Whole);
        assert_eq!(
            steps[0].progress(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n0"),
            Progress::Wrong
        );
        assert_eq!(steps[0].progress(b"HTTP/1.1 503 "), Progress::Wrong);
    }

    #[test]
    fn one_request_in_ten_writes_to_the_cache() {
        let Exchange { prepare, steps } = Exchange::cache();
        let writes = steps.iter().filter(|step| step.request.starts_with(b"set ")).count();
        assert_eq!((prepare.len(), steps.len(), writes), (1000, 1000, 100));
    }
}
