//! What travels: every frame, cut and joined, damaged and unknown, and the golden vectors.

mod admin;
mod audiences;
mod commits;
mod failure;
mod frames;
mod golden;
mod grants;
mod operate;
mod prepared;
mod publishing;
mod roles;
mod schedules;
mod tags;
mod transport;

use frames::{Dice, Pool};
use proptest::collection::vec;
use proptest::prelude::*;
use tabmq::id::{LeaseNumber, RequestId};
use tabmq::limits::{FRAME_LISTS_BYTES_MAX, Limits};
use tabmq::options::{DeadLetter, QueueOptions};
use tabmq::wire::envelope::{decode_frame, encode_frame};
use tabmq::wire::frame::Settlement;
use tabmq::wire::{Frame, Malformed, Message, Summary};
use tags::{TAG_MAX, tag_of};

fn pool() -> impl Strategy<Value = Pool> {
    let texts = vec(any::<String>(), 1..4);
    let bytes = vec(vec(any::<u8>(), 0..40), 1..4);
    (texts, bytes).prop_map(|(texts, bytes)| Pool { texts, bytes })
}

fn encoded(frame: &Frame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_frame(frame, &mut bytes);
    bytes
}

/// The CBOR array in `bytes` with more elements at its end. It stays below 24.
fn with_elements(bytes: &[u8], extra: &[&[u8]]) -> Vec<u8> {
    let elements = usize::from(bytes[0] & 0x1f) + extra.len();
    assert!((bytes[0] >> 5, elements < 24) == (4, true), "a short array");
    let mut longer = vec![0x80 | u8::try_from(elements).unwrap()];
    longer.extend_from_slice(&bytes[1..]);
    longer.extend(extra.concat());
    longer
}

proptest! {
    #[test]
    fn every_frame_comes_back_as_it_was(seed: u64, pool in pool()) {
        let mut dice = Dice::new(seed, &pool);
        for tag in 1..=TAG_MAX {
            let frame = dice.frame(tag).unwrap();
            let bytes = encoded(&frame);
            let mut decoder = minicbor::Decoder::new(&bytes);
            decoder.array().unwrap();
            prop_assert_eq!(decoder.u64().unwrap(), tag);
            prop_assert_eq!(tag_of(&frame), tag);
            prop_assert!(!Summary(&frame).to_string().is_empty());
            if tag == 8 {
                prop_assert_eq!(decode_frame(&bytes), Err(Malformed));
            } else {
                prop_assert_eq!(decode_frame(&bytes), Ok(frame));
            }
        }
        prop_assert!(dice.frame(TAG_MAX + 1).is_none());
    }

    #[test]
    fn fields_of_a_newer_version_are_skipped(seed: u64, pool in pool()) {
        // Absent optional fields at the end are left out, so a newer peer writes them as null
        // before it writes what this version does not know.
        const NULL: &[u8] = &[0xf6];
        const UNKNOWN: &[u8] = &[0x82, 0xa1, 0x01, 0x61, b'x', 0x81, 0xc1, 0x18, 0x20];
        let mut dice = Dice::new(seed, &pool);
        for tag in (1..=TAG_MAX).filter(|tag| *tag != 8) {
            let frame = dice.frame(tag).unwrap();
            let bytes = encoded(&frame);
            let mut extra = vec![NULL; 4];
            extra.extend([UNKNOWN, UNKNOWN]);
            let longer = with_elements(&bytes, &extra);
            prop_assert_eq!(decode_frame(&longer), Ok(frame.clone()));
            // Frames that hold one structure: the same inside it.
            if matches!(frame, Frame::Hello(_) | Frame::Welcome(_) | Frame::Publish(_)) {
                let longer = [&bytes[..2], &with_elements(&bytes[2..], &extra)].concat();
                prop_assert_eq!(decode_frame(&longer), Ok(frame));
            }
        }
    }

    #[test]
    fn what_is_cut_short_is_malformed(seed: u64, pool in pool()) {
        let mut dice = Dice::new(seed, &pool);
        for tag in 1..=TAG_MAX {
            let bytes = encoded(&dice.frame(tag).unwrap());
            for end in 0..bytes.len() {
                prop_assert_eq!(decode_frame(&bytes[..end]), Err(Malformed));
            }
        }
    }

    #[test]
    fn an_unknown_tag_is_malformed(tag in TAG_MAX + 1..) {
        let mut bytes = vec![0x81];
        minicbor::encode(tag, &mut bytes).unwrap();
        prop_assert_eq!(decode_frame(&bytes), Err(Malformed));
    }

    #[test]
    fn garbage_never_panics(bytes in vec(any::<u8>(), 0..200)) {
        let _ = decode_frame(&bytes);
        if let Ok(message) = Message::parse(&bytes) {
            // At most one item per byte, or the iterator would not advance.
            prop_assert!(message.frames().count() <= bytes.len());
        }
    }

    #[test]
    fn damage_never_panics_and_what_is_read_can_be_written(
        seed: u64,
        pool in pool(),
        tag in 1..=TAG_MAX,
        at: prop::sample::Index,
        byte: u8,
    ) {
        let mut bytes = encoded(&Dice::new(seed, &pool).frame(tag).unwrap());
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(frame) = decode_frame(&bytes) {
            let again = encoded(&frame);
            prop_assert_eq!(decode_frame(&again), Ok(frame.clone()));
            prop_assert!(!Summary(&frame).to_string().is_empty());
        }
    }
}

#[test]
fn fields_of_a_newer_version_are_skipped_in_variants_without_fields() {
    // Release with a field, and Discard with a field before the options that follow it.
    let settle = [0x83, 15, 1, 0x82, 4, 0x61, b'x'];
    let settlement = Settlement::Release;
    assert_eq!(decode_frame(&settle), Ok(Frame::Settle { lease: LeaseNumber(1), settlement }));
    let declare = [0x84, 0x18, 30, 1, 0x61, b'q', 0x86, 0xf6, 0xf6, 0xf6, 0xf6, 0x82, 2, 9, 7];
    let dead_letter = Some(DeadLetter::Discard);
    let options = QueueOptions { dead_letter, messages_max: Some(7), ..QueueOptions::default() };
    let declared = Frame::Declare { request: RequestId(1), queue: "q", options };
    assert_eq!(decode_frame(&declare), Ok(declared));
}

#[test]
fn an_unknown_variant_is_malformed_though_its_field_is_optional() {
    for (durability, known) in [(2, true), (3, false), (0xf6, true)] {
        let send = [0x86, 12, 1, 0x61, b'q', 0, durability, 0x80];
        assert_eq!(decode_frame(&send).is_ok(), known, "{durability}");
    }
}

#[test]
fn add_two_and_three_is_a_short_call() {
    let golden = golden::frame("call");
    let arguments: &[u8] = &[0x82, 2, 3];
    assert!(matches!(golden, Frame::Call { arguments: sent, .. } if sent == arguments));
    assert!(encoded(&golden).len() <= 12);
}

#[test]
fn a_list_that_claims_to_be_endless_takes_no_memory() {
    // Peers with 2^32 entries, and none of them there.
    let bytes = [0x82, 0x18, 47, 0x9b, 0, 0, 0, 1, 0, 0, 0, 0];
    assert_eq!(decode_frame(&bytes), Err(Malformed));
}

#[test]
fn what_is_skipped_has_a_length() {
    let ping = |unknown: &[u8]| [&[0x83, 4, 1], unknown].concat();
    assert_eq!(decode_frame(&ping(&[0x82, 0xa1, 1, 2, 0x80])), Ok(Frame::Ping { nonce: 1 }));
    for unknown in [&[0x9f, 0xff][..], &[0xbf, 0xff], &[0x82, 0x9f, 0xff, 0], &[0xff]] {
        assert_eq!(decode_frame(&ping(unknown)), Err(Malformed), "{unknown:x?}");
    }
    let endless = [0x9b, 255, 255, 255, 255, 255, 255, 255, 255];
    assert_eq!(decode_frame(&ping(&[&endless[..], &endless].concat())), Err(Malformed));
}

#[test]
fn a_list_that_takes_much_more_memory_than_bytes_is_malformed() {
    let send_of = |count: u32| {
        let mut bytes = vec![0x86, 12, 1, 0x61, b'q', 0, 0xf6, 0x9a];
        bytes.extend(count.to_be_bytes());
        bytes.extend((0..count).flat_map(|_| [0x81, 0x40]));
        bytes
    };
    let item_bytes = size_of::<tabmq::wire::frame::Item<'_>>();
    let most = u32::try_from(FRAME_LISTS_BYTES_MAX / item_bytes).unwrap();
    assert!(most > 10 * Limits::DEFAULTS.batch_items_max);
    assert!(decode_frame(&send_of(most)).is_ok());
    assert_eq!(decode_frame(&send_of(most + 1)), Err(Malformed));
}
