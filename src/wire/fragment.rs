//! Frames that are longer than one transport message travel in parts.

use alloc::vec::Vec;

/// The parts of one frame are together longer than the receiver takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLong;

/// Joins the fragments of one link, in order. The parts of one frame follow each other, so one
/// buffer is enough; a frame of another kind between them is a protocol error, see `is_idle`.
#[derive(Debug)]
pub struct Reassembly {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl Reassembly {
    /// A frame may have at most `bytes_max` bytes.
    #[must_use]
    pub const fn new(bytes_max: usize) -> Self {
        Self { bytes: Vec::new(), bytes_max }
    }

    /// No frame is half received.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes the next part. With the last one the whole frame comes out, for `decode_frame`.
    ///
    /// # Errors
    /// `TooLong` if the frame passes the bound; what was collected is dropped.
    pub fn push(&mut self, last: bool, part: &[u8]) -> Result<Option<Vec<u8>>, TooLong> {
        if part.len() > self.bytes_max - self.bytes.len() {
            self.bytes = Vec::new();
            return Err(TooLong);
        }
        self.bytes.extend_from_slice(part);
        Ok(last.then(|| core::mem::take(&mut self.bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_join_in_order() {
        let mut reassembly = Reassembly::new(4);
        assert_eq!(reassembly.push(false, &[1]), Ok(None));
        assert!(!reassembly.is_idle());
        assert_eq!(reassembly.push(false, &[]), Ok(None));
        assert_eq!(reassembly.push(true, &[2, 3, 4]), Ok(Some([1, 2, 3, 4].to_vec())));
        assert!(reassembly.is_idle());
        assert_eq!(reassembly.push(true, &[5]), Ok(Some([5].to_vec())));
    }

    #[test]
    fn a_frame_over_the_bound_is_dropped() {
        let mut reassembly = Reassembly::new(4);
        assert_eq!(reassembly.push(false, &[1, 2, 3]), Ok(None));
        assert_eq!(reassembly.push(false, &[4, 5]), Err(TooLong));
        assert!(reassembly.is_idle());
        assert_eq!(reassembly.push(true, &[0; 5]), Err(TooLong));
    }
}
