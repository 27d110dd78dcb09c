//! Transport messages and frames.
//!
//! Holds: nothing panics; what decodes is written as bytes that decode to the same, and those are
//! the only bytes it is ever written as; cut into fragments and joined it is the same.

use tabmq::wire::envelope::{decode_frame, encode_frame};
use tabmq::wire::{Envelope, Frame, Message, MessageWriter, Reassembly, Summary};

/// As short as fragments can be.
const FRAGMENT_BYTES_MAX: usize = 128;

/// The bytes as a transport message, and as one frame.
pub fn frames(data: &[u8]) -> bool {
    let mut read = 0;
    if let Ok(frame) = decode_frame(data) {
        check(&frame);
        read += 1;
    }
    let Ok(message) = Message::parse(data) else { return read > 0 };
    let mut found = 0;
    for frame in message.frames().flatten() {
        found += 1;
        check(&frame);
        travels(message.envelope, &frame);
    }
    assert!(found <= data.len(), "each frame takes a byte");
    read + found > 0
}

fn check(frame: &Frame<'_>) {
    let bytes = encoded(frame);
    assert!(!Summary(frame).to_string().is_empty());
    if matches!(frame, Frame::Fragment { .. }) {
        assert!(decode_frame(&bytes).is_err(), "fragments do not nest");
        return;
    }
    let again = decode_frame(&bytes).expect("what is written can be read");
    assert_eq!(&again, frame, "it is read as it was");
    assert_eq!(encoded(&again), bytes, "it is written in one way");
}

fn encoded(frame: &Frame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_frame(frame, &mut bytes);
    bytes
}

/// Over a link whose messages are short.
fn travels(envelope: Envelope, frame: &Frame<'_>) {
    if matches!(frame, Frame::Fragment { .. }) {
        return;
    }
    let mut writer = MessageWriter::new(FRAGMENT_BYTES_MAX);
    writer.push(frame);
    let mut reassembly = Reassembly::new(1 << 20);
    let mut whole: Vec<u8> = Vec::new();
    while let Some(bytes) = writer.take_message(|| envelope) {
        assert!(bytes.len() <= FRAGMENT_BYTES_MAX);
        let message = Message::parse(&bytes).expect("it begins with its envelope");
        assert_eq!(message.envelope, envelope);
        for part in message.frames() {
            match part.expect("it consists of frames") {
                Frame::Fragment { last, bytes } => {
                    let joined = reassembly.push(last, bytes).expect("it is not too long");
                    whole = joined.unwrap_or(whole);
                }
                frame => whole = encoded(&frame),
            }
        }
    }
    assert!(reassembly.is_idle());
    assert_eq!(decode_frame(&whole).as_ref(), Ok(frame), "it arrives as it left");
}
