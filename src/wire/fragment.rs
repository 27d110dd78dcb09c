//! Frames that are longer than one transport message travel in parts.

use alloc::vec::Vec;

/// The parts would make a frame over the bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLong;

/// Puts the parts of one frame at a time together again.
#[derive(Debug)]
pub struct Reassembly {
    bytes: Vec<u8>,
    frame_bytes_max: usize,
}

impl Reassembly {
    #[must_use]
    pub const fn new(frame_bytes_max: usize) -> Self {
        Self { bytes: Vec::new(), frame_bytes_max }
    }

    /// Takes the next part; the whole frame once the last one is here.
    ///
    /// # Errors
    /// `TooLong`; what was collected is dropped.
    pub fn push(&mut self, last: bool, part: &[u8]) -> Result<Option<Vec<u8>>, TooLong> {
        if self.bytes.len() + part.len() > self.frame_bytes_max {
            self.bytes = Vec::new();
            return Err(TooLong);
        }
        self.bytes.extend_from_slice(part);
        Ok(last.then(|| core::mem::take(&mut self.bytes)))
    }
}
