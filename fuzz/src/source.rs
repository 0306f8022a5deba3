//! Bytes as a source of choices.

/// Makes choices of bytes, in order. When the bytes are used up every choice is the first, so that
/// any bytes are a whole input, and fewer bytes make a simpler one.
///
/// ```
/// use windhover_fuzz::Source;
///
/// let mut source = Source::new(&[7, 1]);
/// assert_eq!(source.pick(&["get", "set", "delete"]), "set");
/// assert!(source.chance(1, 2));
/// assert_eq!(source.pick(&["get", "set", "delete"]), "get");
/// ```
#[derive(Clone, Debug)]
pub struct Source<'a> {
    bytes: &'a [u8],
}

impl<'a> Source<'a> {
    /// A source of those choices.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Whether every choice from here on is the first.
    pub const fn is_used_up(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The next byte; 0 where there is none.
    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.bytes.split_first() else {
            return 0;
        };
        self.bytes = rest;
        first
    }

    /// A number below `bound`, which is at most 65,536; 0 where that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let drawn = if bound <= 256 {
            usize::from(self.byte())
        } else {
            usize::from(self.byte()) << 8 | usize::from(self.byte())
        };
        drawn.checked_rem(bound).unwrap_or(0)
    }

    /// A number from `least` to `most`, which lie at most 65,535 apart.
    pub fn between(&mut self, least: usize, most: usize) -> usize {
        least + self.below(most - least + 1)
    }

    /// True in `of` of `out_of` cases; never where the bytes are used up.
    pub fn chance(&mut self, of: usize, out_of: usize) -> bool {
        self.below(out_of) >= out_of - of
    }

    /// One of `choices`, which are not empty.
    pub fn pick<T: Copy, const N: usize>(&mut self, choices: &[T; N]) -> T {
        choices[self.below(N)]
    }

    /// One of `choices`, which are not empty, however many there are.
    pub fn pick_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Eight bytes as a number.
    pub fn number(&mut self) -> u64 {
        (0..8).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }

    /// A number that is likely to lie at an edge: small, or beside a power of two or ten.
    pub fn edgy(&mut self) -> u64 {
        match self.below(8) {
            0..=3 => u64::from(self.byte()),
            4 => (1 << self.below(64)) - 1 + self.below(3) as u64,
            5 => 10_u64.pow(self.below(20).try_into().unwrap()).wrapping_sub(self.below(2) as u64),
            6 => u64::MAX - self.below(3) as u64,
            _ => self.number(),
        }
    }

    /// The next `len` bytes, or as many as there are.
    pub fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (first, rest) = self.bytes.split_at(len.min(self.bytes.len()));
        self.bytes = rest;
        first
    }

    /// Everything that is left.
    pub const fn rest(&mut self) -> &'a [u8] {
        let rest = self.bytes;
        self.bytes = &[];
        rest
    }
}
