//! Frames through transport messages and back.

use proptest::collection::vec;
use proptest::prelude::*;
use tabmq::id::{ClientId, Epoch, LinkNonce};
use tabmq::wire::envelope::{decode_frame, encode_frame};
use tabmq::wire::writer::{ENVELOPE_BYTES_MAX, MESSAGE_BYTES_MIN};
use tabmq::wire::{Envelope, Frame, Message, MessageWriter, Reassembly};

use crate::frames::{Dice, Pool};
use crate::tags::TAG_MAX;

fn envelope(position: u64) -> Envelope {
    let epoch = Epoch { counter: u64::MAX, incarnation: u64::MAX };
    Envelope { epoch, client: ClientId([255; 16]), link: LinkNonce(u64::MAX), position }
}

fn pool() -> impl Strategy<Value = Pool> {
    let texts = vec("[a-z.]{0,20}", 1..3);
    let bytes = vec(vec(any::<u8>(), 0..1000), 1..4);
    (texts, bytes).prop_map(|(texts, bytes)| Pool { texts, bytes })
}

/// Takes all messages out and gives the encoded frames a receiver sees.
fn receive(writer: &mut MessageWriter, message_bytes_max: usize) -> Vec<Vec<u8>> {
    let mut reassembly = Reassembly::new(1 << 20);
    let (mut frames, mut position) = (Vec::new(), u64::MAX - 1000);
    while let Some(bytes) = writer.take_message(|| envelope(position)) {
        assert!(bytes.len() <= message_bytes_max, "{} bytes", bytes.len());
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.envelope, envelope(position));
        position += 1;
        for frame in message.frames() {
            match frame.unwrap() {
                Frame::Fragment { last, bytes } => {
                    frames.extend(reassembly.push(last, bytes).unwrap());
                }
                frame => {
                    assert!(reassembly.is_idle(), "a frame between fragments");
                    let mut bytes = Vec::new();
                    encode_frame(&frame, &mut bytes);
                    frames.push(bytes);
                }
            }
        }
    }
    assert!(writer.is_empty());
    assert_eq!(writer.bytes(), 0);
    frames
}

proptest! {
    #[test]
    fn frames_arrive_whole_and_in_order_whatever_a_message_holds(
        seed: u64,
        pool in pool(),
        tags in vec((1..=TAG_MAX).prop_filter("no fragment", |tag| *tag != 8), 1..40),
        message_bytes_max in 0..2000_usize,
        encoded_before: bool,
    ) {
        let mut dice = Dice::new(seed, &pool);
        let mut writer = MessageWriter::new(message_bytes_max);
        let mut sent = Vec::new();
        for tag in tags {
            let frame = dice.frame(tag).unwrap();
            let mut bytes = Vec::new();
            encode_frame(&frame, &mut bytes);
            if encoded_before {
                writer.push_encoded(&bytes);
            } else {
                writer.push(&frame);
            }
            sent.push(bytes);
        }
        prop_assert!(writer.bytes() >= sent.iter().map(Vec::len).sum());
        let bound = message_bytes_max.max(MESSAGE_BYTES_MIN);
        prop_assert_eq!(receive(&mut writer, bound), sent);
    }

    #[test]
    fn a_frame_cut_anywhere_joins_again(seed: u64, pool in pool(), tag in 9..=TAG_MAX) {
        let frame = Dice::new(seed, &pool).frame(tag).unwrap();
        let mut bytes = Vec::new();
        encode_frame(&frame, &mut bytes);
        for cut in 0..=bytes.len() {
            let mut reassembly = Reassembly::new(bytes.len());
            prop_assert_eq!(reassembly.push(false, &bytes[..cut]), Ok(None));
            let whole = reassembly.push(true, &bytes[cut..]).unwrap().unwrap();
            prop_assert_eq!(decode_frame(&whole), Ok(frame.clone()));
        }
    }
}

#[test]
fn many_short_frames_share_one_message() {
    let mut writer = MessageWriter::new(64 << 10);
    for nonce in 0..1000 {
        writer.push(&Frame::Ping { nonce });
    }
    let message = writer.take_message(|| envelope(1)).unwrap();
    assert_eq!(Message::parse(&message).unwrap().frames().count(), 1000);
    assert_eq!(writer.take_message(|| unreachable!("there is no message")), None);
}

#[test]
fn the_longest_envelope_is_as_long_as_writers_assume() {
    let mut writer = MessageWriter::new(MESSAGE_BYTES_MIN);
    writer.push(&Frame::Ping { nonce: 1 });
    let message = writer.take_message(|| envelope(u64::MAX)).unwrap();
    let frames = Message::parse(&message).unwrap().frames();
    let mut ping = Vec::new();
    encode_frame(&Frame::Ping { nonce: 1 }, &mut ping);
    assert_eq!(message.len() - ping.len(), ENVELOPE_BYTES_MAX);
    assert_eq!(frames.count(), 1);
}
