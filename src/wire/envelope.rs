//! The head of a transport message, and the frames behind it.

use alloc::vec::Vec;

pub use crate::cbor::Malformed;
use crate::cbor::{self, structure};
use crate::id::{ClientId, Epoch, LinkNonce};
use crate::limits::FRAME_LISTS_BYTES_MAX;
use crate::wire::Frame;

structure! {
    /// The head of every transport message.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Envelope {
        /// The epoch of the node that sends, or that the sending client follows (zero before its
        /// first Welcome). A receiver that knows a higher one refuses a node's message.
        pub epoch: Epoch,
        /// The client that sends, or that a node's message is for.
        pub client: ClientId,
        /// The link; zero in messages to everyone.
        pub link: LinkNonce,
        /// Position of this message on its link and direction, from 1; zero in messages to
        /// everyone. A hole or a repeat ends the link, and the client resumes.
        pub position: u64,
    }
}

/// A transport message without a frame.
#[must_use]
pub fn encode_envelope(envelope: &Envelope) -> Vec<u8> {
    let mut bytes = Vec::new();
    cbor::encode(envelope, &mut bytes);
    bytes
}

/// A received transport message: its head is read, its frames are not.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    pub envelope: Envelope,
    frames: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads the head.
    ///
    /// # Errors
    /// `Malformed` if the bytes do not start with an envelope.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (envelope, length) = cbor::decode_first(bytes)?;
        Ok(Self { envelope, frames: bytes.get(length..).unwrap_or_default() })
    }

    /// Whether there is no frame behind the head.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The frames, in order. After the first `Malformed` there is nothing more.
    #[must_use]
    pub fn frames(&self) -> Frames<'a> {
        Frames { rest: self.frames }
    }
}

/// The frames of one transport message.
#[derive(Clone, Copy, Debug)]
pub struct Frames<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let frame = self.take_frame();
        if frame.is_err() {
            self.rest = &[];
        }
        Some(frame)
    }
}

impl<'a> Frames<'a> {
    fn take_frame(&mut self) -> Result<Frame<'a>, Malformed> {
        let (frame, length) = cbor::decode_first_within(self.rest, FRAME_LISTS_BYTES_MAX)?;
        self.rest = self.rest.get(length..).unwrap_or_default();
        Ok(frame)
    }
}

/// Decodes one frame that fills `bytes`, such as a reassembled one.
///
/// # Errors
/// `Malformed` if the bytes are not exactly one frame, or are a fragment: fragments do not nest.
pub fn decode_frame(bytes: &[u8]) -> Result<Frame<'_>, Malformed> {
    let mut frames = Frames { rest: bytes };
    let frame = frames.next().ok_or(Malformed)??;
    let whole = frames.rest.is_empty() && !matches!(frame, Frame::Fragment { .. });
    if whole { Ok(frame) } else { Err(Malformed) }
}

/// Encodes one frame at the end of `out`.
pub fn encode_frame(frame: &Frame<'_>, out: &mut Vec<u8>) {
    cbor::encode(frame, out);
}
