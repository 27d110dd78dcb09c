//! The head of a transport message, and the frames behind it.

use alloc::collections::VecDeque;
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
        let mut decoder = minicbor::Decoder::new(self.rest);
        let frame = decoder.decode();
        self.rest = match frame {
            Ok(_) => self.rest.get(decoder.position()..).unwrap_or_default(),
            Err(_) => &[],
        };
        Some(frame.map_err(|_| Malformed))
    }
}

/// Decodes one frame that fills `bytes`, such as a reassembled one.
///
/// # Errors
/// `Malformed` if the bytes are not exactly one frame.
pub fn decode_frame(bytes: &[u8]) -> Result<Frame<'_>, Malformed> {
    let mut frames = Frames { rest: bytes };
    let frame = frames.next().ok_or(Malformed)??;
    if frames.rest.is_empty() { Ok(frame) } else { Err(Malformed) }
}

/// Encodes one frame at the end of `out`.
pub fn encode_frame(frame: &Frame<'_>, out: &mut Vec<u8>) {
    // Writing to a Vec can't fail, and no frame holds a value without an encoding.
    let _ = minicbor::encode(frame, out);
}

/// Room left for the head of a fragment: its array, tag, flag and byte string length.
const FRAGMENT_HEAD_BYTES: usize = 16;

/// Collects frames of one link and cuts them into transport messages.
#[derive(Debug)]
pub struct MessageWriter {
    bytes: Vec<u8>,
    /// Where the first frame starts, or what is left of it.
    start: usize,
    /// Where each frame ends, in order.
    ends: VecDeque<usize>,
    message_bytes_max: usize,
    /// Part of the first frame has left.
    in_parts: bool,
}

impl MessageWriter {
    #[must_use]
    pub const fn new(message_bytes_max: usize) -> Self {
        Self {
            bytes: Vec::new(),
            start: 0,
            ends: VecDeque::new(),
            message_bytes_max,
            in_parts: false,
        }
    }

    pub fn push(&mut self, frame: &Frame<'_>) {
        encode_frame(frame, &mut self.bytes);
        self.ends.push_back(self.bytes.len());
    }

    /// Adds a frame that is encoded already.
    pub fn push_encoded(&mut self, frame: &[u8]) {
        self.bytes.extend_from_slice(frame);
        self.ends.push_back(self.bytes.len());
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes that wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// The next transport message: as many whole frames as fit, or one part of a longer frame.
    /// `head` is called once for each message.
    pub fn take_message(&mut self, mut head: impl FnMut() -> Envelope) -> Option<Vec<u8>> {
        let first_end = *self.ends.front()?;
        let mut out = Vec::new();
        let _ = minicbor::encode(head(), &mut out);
        let room = self.message_bytes_max.saturating_sub(out.len());
        if self.in_parts || first_end - self.start > room {
            self.take_part(first_end, room, &mut out);
        } else {
            let fits = |end: &&usize| **end - self.start <= room;
            let frames = self.ends.iter().take_while(fits).count();
            let end = self.ends.drain(..frames).next_back()?;
            out.extend_from_slice(&self.bytes[self.start..end]);
            self.start = end;
        }
        if self.ends.is_empty() {
            self.bytes.clear();
            self.start = 0;
        }
        Some(out)
    }

    fn take_part(&mut self, end: usize, room: usize, out: &mut Vec<u8>) {
        let part_bytes_max = room.saturating_sub(FRAGMENT_HEAD_BYTES).max(1);
        let part_end = end.min(self.start + part_bytes_max);
        let last = part_end == end;
        let bytes = &self.bytes[self.start..part_end];
        encode_frame(&Frame::Fragment { last, bytes }, out);
        self.start = part_end;
        self.in_parts = !last;
        if last {
            self.ends.pop_front();
        }
    }
}
