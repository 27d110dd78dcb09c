//! A script in bytes: a target reads what it is to do from them, one step after the other.

/// Lengths from here on count in blocks.
const BLOCKS_FROM: u8 = 240;
const BLOCK_BYTES: usize = 64;

/// What is left of a script. At its end all that is read is zero or empty.
pub struct Script<'a> {
    rest: &'a [u8],
}

impl<'a> Script<'a> {
    #[must_use]
    pub const fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        *first
    }

    pub fn number(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// A length in one byte, then as many bytes; fewer at the end.
    pub fn bytes(&mut self) -> &'a [u8] {
        let length = match self.byte() {
            short if short < BLOCKS_FROM => usize::from(short),
            long => usize::from(long - BLOCKS_FROM + 4) * BLOCK_BYTES,
        };
        let (taken, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// A length in two bytes, then as many bytes; fewer at the end.
    pub fn long_bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.number());
        let (taken, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.rest = rest;
        taken
    }
}

/// Writes what `Script::bytes` reads. Bytes that do not fill their last block are followed by a
/// filler.
pub fn write_bytes(out: &mut Vec<u8>, bytes: &[u8], filler: &[u8]) {
    if bytes.len() < usize::from(BLOCKS_FROM) {
        out.push(bytes.len() as u8);
        return out.extend_from_slice(bytes);
    }
    let blocks = bytes.len().div_ceil(BLOCK_BYTES);
    out.push(BLOCKS_FROM + (blocks - 4) as u8);
    out.extend_from_slice(bytes);
    let missing = blocks * BLOCK_BYTES - bytes.len();
    out.extend(filler.iter().cycle().take(missing / filler.len() * filler.len()));
}

/// Writes what `Script::long_bytes` reads; nothing if it is too long.
pub fn write_long_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    if let Ok(length) = u16::try_from(bytes.len()) {
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(bytes);
    }
}
