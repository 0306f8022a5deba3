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

    /// These steps as one: their requests in one write, their answers one behind the other.
    fn pipelined(steps: &[Self]) -> Self {
        let answers = steps.iter().filter_map(|step| match &step.answer {
            Answer::Exactly(answer) => Some(&answer[..]),
            Answer::Accepted => None,
        });
        let answer = answers.collect::<Vec<_>>().concat();
        let requests: Vec<_> = steps.iter().map(|step| &step.request[..]).collect();
        Self::new(requests.concat(), answer)
    }

    /// Whether `came` is the answer, or the beginning of it, where its first `checked` bytes are known to
    /// be. More than the answer is wrong, for there is one step at a time.
    pub(crate) fn progress(&self, came: &[u8], checked: usize) -> Progress {
        match &self.answer {
            Answer::Exactly(answer) => {
                if answer.get(checked..came.len()) != came.get(checked..) {
                    Progress::Wrong
                } else if answer.len() == came.len() {
                    Progress::Whole
                } else {
                    Progress::Partial
                }
            }
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
    /// Requests in a step.
    pub(crate) each: usize,
}

/// What a cache is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Items {
    /// Bytes of a value.
    pub(crate) size: usize,
    /// Requests in one write.
    pub(crate) pipelined: usize,
    /// Keys in a `get`.
    pub(crate) keys: usize,
}

/// Keys of the cache; enough that the server's table is in use, few enough that nothing is evicted.
const KEYS: usize = 1000;
/// With large values there are fewer keys, so that all of them have so many bytes.
const BYTES: usize = 64 * 1024 * 1024;
/// Reads to each write.
const READS: usize = 9;

impl Exchange {
    /// Reads, and to nine of them a write.
    pub(crate) fn cache(items: Items) -> Self {
        let size = items.size;
        let data: String = "0123456789".chars().cycle().take(size).collect();
        let keys = (BYTES / size.max(1)).clamp(1, KEYS);
        let key = |at: usize| format!("bench:item:{:04}", at % keys);
        let set = |at| {
            let request = format!("set {} 0 0 {size}\r\n{data}\r\n", key(at));
            Step::new(request, "STORED\r\n")
        };
        let get = |at| {
            let keys: Vec<String> = (at..at + items.keys).map(key).collect();
            let value = |key| format!("VALUE {key} 0 {size}\r\n{data}\r\n");
            let values: Vec<String> = keys.iter().map(value).collect();
            Step::new(format!("get {}\r\n", keys.join(" ")), values.concat() + "END\r\n")
        };
        // Few where they are large; each has its write.
        let count = (BYTES / (size * items.keys).max(1)).clamp(READS + 1, KEYS);
        let steps: Vec<Step> = (0..count)
            .map(|at| {
                // Not in the order of the keys, so that what was written is not what is read next.
                let at = at * 7;
                if at % (READS + 1) == 0 { set(at) } else { get(at) }
            })
            .collect();
        let pipelined = items.pipelined.max(1);
        let together = (0..count).map(|at| {
            let several: Vec<Step> =
                steps.iter().cycle().skip(at).take(pipelined).cloned().collect();
            Step::pipelined(&several)
        });
        // Each begins where the one before ended.
        let steps = together.step_by(pipelined).collect();
        Self { prepare: (0..keys).map(set).collect(), steps, each: pipelined }
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
        Self { prepare: Vec::new(), steps: vec![step], each: 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_all_of_it_has_come_and_nothing_else() {
        let step = Step::new("get k\r\n", "END\r\n");
        assert_eq!(step.progress(b"", 0), Progress::Partial);
        assert_eq!(step.progress(b"END\r", 0), Progress::Partial);
        assert_eq!(step.progress(b"END\r\n", 4), Progress::Whole);
        assert_eq!(step.progress(b"END\r\nEND\r\n", 5), Progress::Wrong);
        assert_eq!(step.progress(b"SERVER_ERROR", 0), Progress::Wrong);
    }

    #[test]
    fn an_event_is_accepted_when_the_body_says_so() {
        let Exchange { steps, .. } = Exchange::tracker();
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1";
        for end in 0..answer.len() {
            assert_eq!(steps[0].progress(&answer[..end], 0), Progress::Partial, "{end} bytes");
        }
        assert_eq!(steps[0].progress(answer, 0), Progress::Whole);
        assert_eq!(
            steps[0].progress(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n0", 0),
            Progress::Wrong
        );
        assert_eq!(steps[0].progress(b"HTTP/1.1 503 ", 0), Progress::Wrong);
    }

    #[test]
    fn one_request_in_ten_writes_to_the_cache() {
        let Exchange { prepare, steps, each } =
            Exchange::cache(Items { size: 100, pipelined: 1, keys: 1 });
        let writes = steps.iter().filter(|step| step.request.starts_with(b"set ")).count();
        assert_eq!((prepare.len(), steps.len(), writes, each), (1000, 1000, 100, 1));
    }

    #[test]
    fn pipelined_requests_are_one_step() {
        let items = Items { size: 1, pipelined: 16, keys: 2 };
        let Exchange { steps, each, .. } = Exchange::cache(items);
        let requests = |step: &Step| step.request.split(|&b| b == b'\n').count();
        // Of ten, a write has two lines.
        assert_eq!((steps.len(), each, requests(&steps[0])), (63, 16, 16 + 2 + 1));
        let one = steps[0].request.escape_ascii().to_string();
        let get = r"set bench:item:0000 0 0 1\r\n0\r\nget bench:item:0007 bench:item:0008\r\n";
        assert!(one.starts_with(get), "{one}");
        let answer =
            b"STORED\r\nVALUE bench:item:0007 0 1\r\n0\r\nVALUE bench:item:0008 0 1\r\n0\r\nEND";
        assert_eq!(steps[0].progress(answer, 0), Progress::Partial);
    }

    #[test]
    fn large_values_are_fewer() {
        let items = Items { size: 1024 * 1024, pipelined: 1, keys: 1 };
        let Exchange { prepare, steps, .. } = Exchange::cache(items);
        assert_eq!((prepare.len(), steps.len()), (64, 64));
    }
}
