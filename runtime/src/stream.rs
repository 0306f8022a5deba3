//! Streams that are polled.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use bytes::BytesMut;

/// Most slices in one write.
const SLICES: usize = 16;
/// Most bytes of one read, unless the last one filled it: what a connection holds unread is small
/// for all but those that send much.
const READ: usize = 8 * 1024;
/// What is read at least, whatever a buffer offers: a read of nothing would look like the end of the
/// stream.
pub(crate) const SMALLEST_READ: usize = 64;
/// Most bytes of one read behind a full one.
const LARGE_READ: usize = 64 * 1024;

/// A stream that is polled: what a runtime with tasks has.
///
/// A method that is pending has the waker called when it is worth another try.
///
/// One for tests: it gives what it was made with, then its end, and keeps what is written.
///
/// ```
/// use bytes::BytesMut;
/// use std::io::{self, IoSlice};
/// use std::task::{Context, Poll};
/// use windhover_runtime::PollStream;
///
/// struct Memory {
///     input: &'static [u8],
///     output: Vec<u8>,
/// }
///
/// impl PollStream for Memory {
///     fn poll_read<'b>(
///         &mut self,
///         _: &mut Context<'_>,
///         buffer: impl FnOnce() -> &'b mut BytesMut,
///     ) -> Poll<io::Result<usize>> {
///         let input = std::mem::take(&mut self.input);
///         buffer().extend_from_slice(input);
///         Poll::Ready(Ok(input.len()))
///     }
///     fn poll_write(
///         &mut self,
///         _: &mut Context<'_>,
///         out: &[IoSlice<'_>],
///     ) -> Poll<io::Result<usize>> {
///         let before = self.output.len();
///         out.iter().for_each(|slice| self.output.extend_from_slice(slice));
///         Poll::Ready(Ok(self.output.len() - before))
///     }
///     fn poll_close_write(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
///         Poll::Ready(Ok(()))
///     }
/// }
/// ```
pub trait PollStream {
    /// Reads once, to the end of the buffer that `buffer` lends; 0 at the end of the stream.
    ///
    /// A stream that can tell whether bytes are there asks for the buffer only then: it takes memory,
    /// which a connection that waits should not hold. One that reads into initialised slices alone
    /// has a [`ReadBlock`].
    fn poll_read<'b>(
        &mut self,
        cx: &mut Context<'_>,
        buffer: impl FnOnce() -> &'b mut BytesMut,
    ) -> Poll<io::Result<usize>>;

    /// Writes once, from a row of slices; how many bytes went. There is one slice at least, and none is empty.
    fn poll_write(&mut self, cx: &mut Context<'_>, out: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;

    /// Sends what the stream has taken and kept, as one that encrypts does. A socket keeps nothing:
    /// it has nothing to do.
    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The same, and ends what the peer reads behind it; the other direction stays open. Called for
    /// server connections alone.
    fn poll_close_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// The methods of [`PollStream`] for an enum of streams: those of whichever it is.
macro_rules! poll_whichever {
    ($($(#[$only:meta])* $variant:ident),+) => {
        fn poll_read<'b>(
            &mut self,
            cx: &mut std::task::Context<'_>,
            buffer: impl FnOnce() -> &'b mut bytes::BytesMut,
        ) -> std::task::Poll<std::io::Result<usize>> {
            match self { $($(#[$only])* Self::$variant(stream) => stream.poll_read(cx, buffer),)+ }
        }

        fn poll_write(
            &mut self,
            cx: &mut std::task::Context<'_>,
            out: &[std::io::IoSlice<'_>],
        ) -> std::task::Poll<std::io::Result<usize>> {
            match self { $($(#[$only])* Self::$variant(stream) => stream.poll_write(cx, out),)+ }
        }

        fn poll_flush(
            &mut self,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            match self { $($(#[$only])* Self::$variant(stream) => stream.poll_flush(cx),)+ }
        }

        fn poll_close_write(
            &mut self,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            match self { $($(#[$only])* Self::$variant(stream) => stream.poll_close_write(cx),)+ }
        }
    };
}
pub(crate) use poll_whichever;

thread_local! {
    /// One for each thread, for a connection that waits should hold none.
    static BLOCK: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// How a stream is read that cannot say that bytes are there without taking them, and reads into
/// initialised memory only: into a block that the thread's connections share, and copied from there.
/// The first read takes 8 KiB at most, those after a full read 64 KiB until one brings less than 4 KiB.
///
/// ```
/// use bytes::BytesMut;
/// use std::task::Poll;
/// use windhover_runtime::ReadBlock;
///
/// let (mut block, mut buffer) = (ReadBlock::new(), BytesMut::new());
/// // The runtime's socket reads into a slice.
/// let read = block.poll_read(
///     || &mut buffer,
///     |into| {
///         into[..5].copy_from_slice(b"hello");
///         Poll::Ready(Ok(5))
///     },
/// );
/// assert!(matches!(read, Poll::Ready(Ok(5))));
/// assert_eq!(&buffer[..], b"hello");
/// ```
#[derive(Debug)]
pub struct ReadBlock {
    /// Most bytes of the next read.
    most: usize,
}

impl ReadBlock {
    /// For a stream that was not read yet.
    pub const fn new() -> Self {
        Self { most: READ }
    }

    /// What [`PollStream::poll_read`] does, with a `read` into a slice.
    pub fn poll_read<'b>(
        &mut self,
        buffer: impl FnOnce() -> &'b mut BytesMut,
        read: impl FnOnce(&mut [u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let most = self.most;
        with_block(most, |into| {
            let read = read(into);
            if let Poll::Ready(Ok(n)) = read
                && n > 0
            {
                let goes_on = n == most || (most == LARGE_READ && n >= READ / 2);
                self.most = if goes_on { LARGE_READ } else { READ };
                append(buffer(), into.get(..n).unwrap_or_default());
            }
            read
        })
    }
}

/// Appends bytes. A buffer that grows by itself doubles its memory, and half of that would be held, unseen,
/// with each segment of a large value: one that holds little is given as much as it takes.
fn append(buffer: &mut BytesMut, bytes: &[u8]) {
    let length = buffer.len() + bytes.len();
    if length > buffer.capacity() && buffer.len() <= LARGE_READ {
        let mut exact = BytesMut::with_capacity(length);
        exact.extend_from_slice(buffer);
        *buffer = exact;
    }
    buffer.extend_from_slice(bytes);
}

/// Reads as much as `buffer` has room for, by the same block: for a stream that can say whether bytes
/// are there, but reads into initialised memory only. What is offered is what its owner counts with.
///
/// ```
/// use bytes::BytesMut;
/// use std::task::Poll;
/// use windhover_runtime::read_spare;
///
/// let mut buffer = BytesMut::with_capacity(4096);
/// let read = read_spare(&mut buffer, |into| {
///     assert_eq!(into.len(), 4096);
///     into[..5].copy_from_slice(b"hello");
///     Poll::Ready(Ok(5))
/// });
/// assert!(matches!(read, Poll::Ready(Ok(5))));
/// assert_eq!(&buffer[..], b"hello");
/// ```
pub fn read_spare(
    buffer: &mut BytesMut,
    read: impl FnOnce(&mut [u8]) -> Poll<io::Result<usize>>,
) -> Poll<io::Result<usize>> {
    let spare = buffer.capacity() - buffer.len();
    with_block(spare.clamp(SMALLEST_READ, LARGE_READ), |into| {
        let read = read(into);
        if let Poll::Ready(Ok(n)) = read {
            buffer.extend_from_slice(into.get(..n).unwrap_or_default());
        }
        read
    })
}

/// Lends `most` bytes of the thread's block.
fn with_block<T>(most: usize, to: impl FnOnce(&mut [u8]) -> T) -> T {
    // Taken, not borrowed: a stream may itself drive another from within its read.
    let mut block = BLOCK.take();
    if block.len() < LARGE_READ {
        block.resize(LARGE_READ, 0);
    }
    let done = to(block.get_mut(..most).unwrap_or_default());
    BLOCK.set(block);
    done
}

impl Default for ReadBlock {
    fn default() -> Self {
        Self::new()
    }
}

/// Lends `write` the first slices that `unsent` fills in, as the operating system takes them.
///
/// ```
/// use windhover_core::endpoint::Outgoing;
/// use windhover_runtime::write_slices;
///
/// let mut outgoing = Outgoing::new();
/// outgoing.put(b"VALUE k 0 5\r\n");
/// outgoing.put_shared("hello".into());
/// // In the place of `write_vectored`.
/// let written =
///     write_slices(|into| outgoing.slices(into), |slices| slices.iter().map(|it| it.len()).sum());
/// outgoing.advance(written);
/// assert!(outgoing.is_empty());
/// ```
pub fn write_slices<'a, T>(
    unsent: impl FnOnce(&mut [&'a [u8]]) -> usize,
    write: impl FnOnce(&[IoSlice<'_>]) -> T,
) -> T {
    let mut slices: [&[u8]; SLICES] = [&[]; SLICES];
    let filled = unsent(&mut slices);
    match slices.get(..filled).unwrap_or_default() {
        // By far the most: it need not be laid out again.
        [slice] => write(&[IoSlice::new(slice)]),
        slices => {
            let mut buffers = [IoSlice::new(&[]); SLICES];
            for (buffer, slice) in buffers.iter_mut().zip(slices) {
                *buffer = IoSlice::new(slice);
            }
            write(buffers.get(..filled).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_that_waits_asks_for_no_buffer() {
        let mut block = ReadBlock::new();
        let read = block.poll_read(|| panic!("none is there"), |_| Poll::Pending);
        assert!(read.is_pending());
        let read = block.poll_read(|| panic!("none is there"), |_| Poll::Ready(Ok(0)));
        assert!(matches!(read, Poll::Ready(Ok(0))));
    }

    #[test]
    fn a_full_read_is_followed_by_large_ones() {
        let mut block = ReadBlock::new();
        let mut buffer = BytesMut::new();
        let mut asked = Vec::new();
        for came in [10, READ, LARGE_READ, READ / 2, 10, 1] {
            let read = block.poll_read(
                || &mut buffer,
                |into| {
                    asked.push(into.len());
                    into[..came].fill(b'x');
                    Poll::Ready(Ok(came))
                },
            );
            assert!(matches!(read, Poll::Ready(Ok(n)) if n == came));
        }
        assert_eq!(asked, [READ, READ, LARGE_READ, LARGE_READ, LARGE_READ, READ]);
        assert_eq!(buffer, vec![b'x'; 10 + READ + LARGE_READ + READ / 2 + 10 + 1]);
    }

    #[test]
    fn a_buffer_is_filled_to_its_end_and_never_offered_nothing() {
        for (capacity, offered) in [(0, SMALLEST_READ), (1000, 1000), (1 << 20, LARGE_READ)] {
            let mut buffer = BytesMut::with_capacity(capacity);
            let read = read_spare(&mut buffer, |into| {
                assert_eq!(into.len(), offered);
                into[..2].copy_from_slice(b"hi");
                Poll::Ready(Ok(2))
            });
            assert!(matches!(read, Poll::Ready(Ok(2))));
            assert_eq!(buffer, "hi");
        }
    }

    #[test]
    fn a_stream_may_be_driven_from_within_a_read() {
        let (mut outer, mut inner) = (ReadBlock::new(), ReadBlock::new());
        let (mut cipher, mut plain) = (BytesMut::new(), BytesMut::new());
        let read = outer.poll_read(
            || &mut plain,
            |into| {
                let read = inner.poll_read(
                    || &mut cipher,
                    |into| {
                        into[..5].copy_from_slice(b"ifmmp");
                        Poll::Ready(Ok(5))
                    },
                );
                for (into, byte) in into.iter_mut().zip(cipher.iter()) {
                    *into = byte - 1;
                }
                read
            },
        );
        assert!(matches!(read, Poll::Ready(Ok(5))));
        assert_eq!(plain, "hello");
    }

    #[test]
    fn no_more_slices_are_shown_than_there_are() {
        let parts: [&[u8]; 3] = [b"a", b"bc", b"def"];
        for count in 0..=3 {
            let unsent = |into: &mut [&'static [u8]]| {
                for (into, part) in into.iter_mut().zip(parts).take(count) {
                    *into = part;
                }
                count
            };
            let shown: Vec<Vec<u8>> =
                write_slices(unsent, |slices| slices.iter().map(|slice| slice.to_vec()).collect());
            assert_eq!(shown, parts[..count]);
        }
    }
}
