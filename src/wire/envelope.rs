//! The head of a transport message, and the frames behind it.

use alloc::vec::Vec;

use minicbor::{Decode, Encode};

use crate::id::{ClientId, Epoch, LinkNonce};
use crate::wire::Frame;

/// The head of every transport message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(array)]
pub struct Envelope {
    /// The epoch of the node that sends, or that the sending client follows (zero before its
    /// first Welcome). A receiver that knows a higher one refuses a node's message.
    #[n(0)]
    pub epoch: Epoch,
    /// The client that sends, or that a node's message is for.
    #[n(1)]
    pub client: ClientId,
    /// The link; zero in messages to everyone.
    #[n(2)]
    pub link: LinkNonce,
    /// Position of this message on its link and direction, from 1; zero in messages to everyone.
    /// A hole or a repeat ends the link, and the client resumes.
    #[n(3)]
    pub position: u64,
}

/// A received transport message: its head is read, its frames are not.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    pub envelope: Envelope,
    frames: &'a [u8],
}

/// The bytes are not a transport message of this protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

impl<'a> Message<'a> {
    /// Reads the head.
    ///
    /// # Errors
    /// `Malformed` if the bytes do not start with an envelope.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut decoder = minicbor::Decoder::new(bytes);
        let envelope = decoder.decode().map_err(|_| Malformed)?;
        Ok(Self { envelope, frames: bytes.get(decoder.position()..).unwrap_or_default() })
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
    /// Finds the end of the item before it is read: the codec leaves unknown fields of a frame that
    /// has none of its own unread.
    fn take_frame(&mut self) -> Result<Frame<'a>, Malformed> {
        let mut decoder = minicbor::Decoder::new(self.rest);
        decoder.skip().map_err(|_| Malformed)?;
        let (frame, rest) = self.rest.split_at_checked(decoder.position()).ok_or(Malformed)?;
        self.rest = rest;
        minicbor::decode(frame).map_err(|_| Malformed)
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
    // Writing to a Vec can't fail, and no frame holds a value without an encoding.
    let _ = minicbor::encode(frame, out);
}
