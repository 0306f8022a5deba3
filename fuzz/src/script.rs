//! Inputs that are a row of steps.

/// A row of steps in bytes: each is a byte of length and as many bytes, which a property reads with
/// a [`Source`](crate::Source) of their own. Any bytes are a script, and a step can be added, taken
/// out or changed without those behind it meaning anything else.
///
/// ```
/// use windhover_fuzz::Script;
///
/// let script = Script::read(b"\x02ab\x00\x09cd");
/// assert_eq!(script.steps, [b"ab".to_vec(), vec![], b"cd".to_vec()]);
/// assert_eq!(script.write(), b"\x02ab\x00\x02cd");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// The steps' bytes; of each, up to 255 can be written.
    pub steps: Vec<Vec<u8>>,
}

impl Script {
    /// Reads a script; a last step that is cut short ends with the bytes.
    pub fn read(mut bytes: &[u8]) -> Self {
        let mut steps = Vec::new();
        while let Some((&len, rest)) = bytes.split_first() {
            let (step, rest) = rest.split_at(usize::from(len).min(rest.len()));
            steps.push(step.to_vec());
            bytes = rest;
        }
        Self { steps }
    }

    /// The script as bytes; steps are cut at 255.
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for step in &self.steps {
            let step = &step[..step.len().min(255)];
            bytes.push(u8::try_from(step.len()).unwrap_or(u8::MAX));
            bytes.extend_from_slice(step);
        }
        bytes
    }
}
