//! A request whose answer is not hidden.

use super::{Request, StoreRequest};
use crate::memcache::meta::{FlagBuffer, MetaRequest};

impl<'a> Request<'a> {
    /// The same request without `noreply` and without the meta flag `q`: for a proxy, which has to see
    /// the answer that its peer does not want, lest a failure go unseen and the next answer be taken for
    /// this one's. `flags` is where the remaining flags of a quiet meta command are put.
    ///
    /// ```
    /// use windhover_core::memcache::meta::{FlagBuffer, MetaFlags, MetaRequest};
    /// use windhover_core::memcache::request::Request;
    ///
    /// let quiet = Request::MetaDelete(MetaRequest::new(b"k", MetaFlags::new(b"q O7")));
    /// let mut flags = FlagBuffer::new();
    /// let Request::MetaDelete(answered) = quiet.answered(&mut flags) else { unreachable!() };
    /// assert_eq!(answered.flags.text(), b"O7");
    /// ```
    #[must_use]
    pub fn answered<'b>(&self, flags: &'b mut FlagBuffer) -> Request<'b>
    where
        'a: 'b,
    {
        let mut request: Request<'b> = self.clone();
        match &mut request {
            Request::Set(store)
            | Request::SetSync(store)
            | Request::Add(store)
            | Request::Replace(store)
            | Request::Append(store)
            | Request::Prepend(store)
            | Request::Cas { store, .. } => *store = StoreRequest { noreply: false, ..*store },
            Request::Delete { noreply, .. }
            | Request::Incr { noreply, .. }
            | Request::Decr { noreply, .. }
            | Request::Touch { noreply, .. }
            | Request::Verbosity { noreply, .. }
            | Request::FlushAll { noreply, .. }
            | Request::CacheMemlimit { noreply, .. }
            | Request::Admin { noreply, .. } => *noreply = false,
            Request::MetaGet(meta)
            | Request::MetaSet(meta)
            | Request::MetaDelete(meta)
            | Request::MetaArithmetic(meta)
                if meta.flags.quiet() =>
            {
                flags.clear();
                for flag in meta.flags.iter().filter(|flag| flag.letter != b'q') {
                    flags.push_flag(flag);
                }
                *meta = MetaRequest::new(meta.key, flags.flags());
            }
            _ => {}
        }
        request
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;
    use crate::memcache::command::TABLE;
    use crate::memcache::request::parse_line;
    use crate::memcache::{Dialect, Limits};

    #[test]
    fn no_line_of_any_command_hides_its_answer() {
        let limits = Limits::default();
        let mut hidden = 0;
        for row in TABLE {
            for tail in
                ["", " k", " 1", " k 1", " k 0 0 1", " k 0 0 1 9", " k 1 F1", " all", " x on"]
            {
                for hide in [" noreply", " q"] {
                    let line = format!("{}{tail}{hide}\r\n", row.verb);
                    let Ok(parsed) = parse_line(line.as_bytes(), Dialect::Memcached, &limits)
                    else {
                        continue;
                    };
                    hidden += usize::from(parsed.request.noreply() || parsed.request.quiet());
                    let mut flags = FlagBuffer::new();
                    let answered = parsed.request.answered(&mut flags);
                    assert!(!answered.noreply() && !answered.quiet(), "{line}");
                    assert_eq!(answered.command(), parsed.request.command(), "{line}");
                }
            }
        }
        assert!(hidden > 20, "{hidden}");
    }
}
