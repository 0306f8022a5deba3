//! Several listeners as one.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use crate::{Listener, Peer, TcpOptions};

/// Several listeners as one: all addresses of a host name, or a TCP port and a Unix socket. What they
/// accept counts together, and each has its turn.
///
/// ```
/// use windhover_runtime::{Listener, Listeners};
///
/// /// Both are served as one: with one bound on connections, and one shutdown.
/// fn both<L: Listener>(tcp: L, unix: L) -> impl Listener<Stream = L::Stream> {
///     Listeners::new([tcp, unix])
/// }
/// ```
#[derive(Debug)]
pub struct Listeners<L> {
    listeners: Vec<L>,
    /// The one that is asked first.
    next: usize,
}

impl<L> Listeners<L> {
    /// These; of none, no connection ever comes.
    pub fn new(listeners: impl IntoIterator<Item = L>) -> Self {
        Self { listeners: listeners.into_iter().collect(), next: 0 }
    }
}

impl<L: Listener> Listener for Listeners<L> {
    type Stream = L::Stream;

    async fn accept(&mut self, tcp: &TcpOptions) -> io::Result<(L::Stream, Peer)> {
        if let [listener] = self.listeners.as_mut_slice() {
            return listener.accept(tcp).await;
        }
        let first = self.next;
        let mut accepts: Vec<_> =
            self.listeners.iter_mut().map(|listener| Box::pin(listener.accept(tcp))).collect();
        let (accepted, index) = poll_fn(|cx| {
            let (before, from) = accepts.split_at_mut(first);
            for (offset, accept) in from.iter_mut().chain(before).enumerate() {
                // The first that is ready is returned: what the others may have ready stays with them.
                if let Poll::Ready(accepted) = accept.as_mut().poll(cx) {
                    return Poll::Ready((accepted, first + offset));
                }
            }
            Poll::Pending
        })
        .await;
        drop(accepts);
        self.next = (index + 1) % self.listeners.len();
        accepted
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io::IoSlice;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use bytes::BytesMut;

    use super::*;
    use crate::PollStream;

    /// Knows which listener it came from.
    struct From(&'static str);

    impl PollStream for From {
        fn poll_read<'b>(
            &mut self,
            _: &mut Context<'_>,
            _: impl FnOnce() -> &'b mut BytesMut,
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(0))
        }
        fn poll_write(
            &mut self,
            _: &mut Context<'_>,
            _: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(0))
        }
        fn poll_close_write(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Those who wait to be accepted.
    struct Backlog(VecDeque<&'static str>);

    impl Listener for Backlog {
        type Stream = From;

        async fn accept(&mut self, _: &TcpOptions) -> io::Result<(From, Peer)> {
            let name = poll_fn(|_| self.0.pop_front().map_or(Poll::Pending, Poll::Ready)).await;
            Ok((From(name), Peer::Unknown))
        }
    }

    fn accept(listeners: &mut Listeners<Backlog>) -> Option<&'static str> {
        let tcp = TcpOptions::default();
        let accept = pin!(listeners.accept(&tcp));
        match accept.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(accepted) => Some(accepted.unwrap().0.0),
            Poll::Pending => None,
        }
    }

    #[test]
    fn each_has_its_turn_and_nobody_is_lost() {
        let backlogs = [["a1", "a2", "a3"].as_slice(), &["b1"], &["c1", "c2"]];
        let mut listeners =
            Listeners::new(backlogs.map(|names| Backlog(names.iter().copied().collect())));
        let accepted: Vec<_> = std::iter::from_fn(|| accept(&mut listeners)).collect();
        assert_eq!(accepted, ["a1", "b1", "c1", "a2", "c2", "a3"]);
    }

    #[test]
    fn of_none_nobody_comes() {
        assert_eq!(accept(&mut Listeners::new([])), None);
    }
}
