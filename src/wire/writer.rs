//! Frames of one link on their way out.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::cbor::{self, Write};
use crate::wire::envelope::{Envelope, encode_frame};
use crate::wire::frame::Frame;

/// The longest encoding of an envelope.
pub const ENVELOPE_BYTES_MAX: usize = 55;

/// What a fragment adds to the part it carries: array, tag, flag and the length of the part.
const FRAGMENT_BYTES_MAX: usize = 8;

/// A transport message is never asked to be smaller than this.
pub const MESSAGE_BYTES_MIN: usize = 128;

/// Collects frames of one link into transport messages of at most `message_bytes_max`: many short
/// frames share one message, a longer one is cut into fragments. It has no bound of its own;
/// its owner watches `bytes`.
#[derive(Debug)]
pub struct MessageWriter {
    /// The frames of each message, without its envelope. None is empty; the last takes more.
    messages: VecDeque<Vec<u8>>,
    bytes: usize,
    frames_bytes_max: usize,
}

impl MessageWriter {
    /// Bounds below `MESSAGE_BYTES_MIN` are raised to it.
    #[must_use]
    pub const fn new(message_bytes_max: usize) -> Self {
        let max = if message_bytes_max < MESSAGE_BYTES_MIN {
            MESSAGE_BYTES_MIN
        } else {
            message_bytes_max
        };
        Self { messages: VecDeque::new(), bytes: 0, frames_bytes_max: max - ENVELOPE_BYTES_MAX }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Bytes that wait, envelopes not counted.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends one frame.
    pub fn push(&mut self, frame: &dyn Write) {
        let mut message = self.messages.pop_back().unwrap_or_default();
        let start = message.len();
        frame.write(&mut message);
        self.bytes += message.len() - start;
        if message.len() <= self.frames_bytes_max {
            self.messages.push_back(message);
            return;
        }
        let frame = message.split_off(start);
        if start > 0 {
            self.messages.push_back(message);
        }
        self.push_message(frame);
    }

    /// Appends one frame that is encoded already.
    pub fn push_encoded(&mut self, frame: &[u8]) {
        self.bytes += frame.len();
        let fits = |message: &&mut Vec<u8>| message.len() + frame.len() <= self.frames_bytes_max;
        match self.messages.back_mut().filter(fits) {
            Some(message) => message.extend_from_slice(frame),
            None => self.push_message(frame.to_vec()),
        }
    }

    /// The next transport message. `head` is called if there is one and gives its envelope, so
    /// that positions have no holes.
    pub fn take_message(&mut self, head: impl FnOnce() -> Envelope) -> Option<Vec<u8>> {
        let frames = self.messages.pop_front()?;
        self.bytes -= frames.len();
        let mut message = Vec::with_capacity(ENVELOPE_BYTES_MAX + frames.len());
        cbor::encode(&head(), &mut message);
        message.extend_from_slice(&frames);
        Some(message)
    }

    /// Starts a message with `frame`, or a series of messages if it is too long for one.
    fn push_message(&mut self, frame: Vec<u8>) {
        if frame.len() <= self.frames_bytes_max {
            self.messages.push_back(frame);
            return;
        }
        self.bytes -= frame.len();
        let mut parts = frame.chunks(self.frames_bytes_max - FRAGMENT_BYTES_MAX).peekable();
        while let Some(bytes) = parts.next() {
            let mut message = Vec::with_capacity(bytes.len() + FRAGMENT_BYTES_MAX);
            encode_frame(&Frame::Fragment { last: parts.peek().is_none(), bytes }, &mut message);
            self.bytes += message.len();
            self.messages.push_back(message);
        }
    }
}
