//! What a parser of level 1 answers.

/// A message at the start of the input, or word that it is not all there yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<T> {
    /// The input starts with this message.
    Complete {
        /// The message; it borrows from the input.
        message: T,
        /// Its length in bytes: what follows is the next message.
        consumed: usize,
    },
    /// The message is not all there: come again with the same bytes and more.
    Incomplete {
        /// At least this many bytes are missing. Never 0.
        needed: usize,
    },
}
