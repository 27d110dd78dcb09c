//! Peers that say anything at all. No bytes may panic a node or change what it keeps.

use proptest::collection::vec;
use proptest::prelude::*;

use tabmq::broker::io::{Event, Input};
use tabmq::error::Code;
use tabmq::id::{ConnId, Epoch, LeaseNumber, LinkNonce, RequestId, Sequence};
use tabmq::options::QueueOptions;
use tabmq::wire::frame::Settlement;
use tabmq::wire::{Envelope, Frame, MessageWriter};

use crate::harness::{Bench, client, item};

fn digest(bench: &Bench) -> u64 {
    bench.node.broker().expect("a node that serves").digest()
}

fn is_over(bench: &mut Bench) -> bool {
    bench.take_events().iter().any(|event| matches!(event, Event::Over { .. }))
}

/// A transport message with a few frames that a node knows.
fn good_message(epoch: Epoch) -> Vec<u8> {
    let mut writer = MessageWriter::new(64 << 10);
    let (sequence, refusals_seen, durability) = (Sequence(1), Sequence(0), None);
    let (queue, items) = ("work", vec![item(b"body"), item(b"")]);
    writer.push(&Frame::Send { sequence, queue, refusals_seen, durability, items });
    let options = QueueOptions::default();
    writer.push(&Frame::Declare { request: RequestId(1), queue: "work", options });
    let settlement = Settlement::Retry { after_ms: Some(1), reason: Some("r") };
    writer.push(&Frame::Settle { lease: LeaseNumber(1), settlement });
    let (client, link) = (client(1), LinkNonce(1001));
    writer.take_message(|| Envelope { epoch, client, link, position: 2 }).expect("frames wait")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn garbage_changes_nothing(bytes in vec(any::<u8>(), 0..300)) {
        let mut bench = Bench::new();
        let mut peer = bench.join(1);
        bench.send(&mut peer, "work", b"kept");
        let before = digest(&bench);
        let unknown = bench.node.accept(bench.now);
        for conn in [peer.conn, unknown, ConnId(77)] {
            bench.input(Input::Received { conn, bytes: &bytes });
        }
        bench.input(Input::Heard { bytes: &bytes });
        prop_assert_eq!(digest(&bench), before);
        prop_assert!(!is_over(&mut bench));
    }

    #[test]
    fn a_damaged_message_never_ends_the_node(
        at in any::<prop::sample::Index>(),
        flipped in 1_u8..,
        cut in any::<prop::sample::Index>(),
        shortens in any::<bool>(),
    ) {
        let mut bench = Bench::new();
        let peer = bench.join(1);
        let mut bytes = good_message(bench.node.epoch().unwrap_or_default());
        let place = at.index(bytes.len());
        bytes[place] ^= flipped;
        if shortens {
            bytes.truncate(cut.index(bytes.len()));
        }
        bench.input(Input::Received { conn: peer.conn, bytes: &bytes });
        bench.input(Input::Heard { bytes: &bytes });
        prop_assert!(!is_over(&mut bench));
        bench.join(2);
    }
}

#[test]
fn what_is_refused_changes_nothing() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    bench.send(&mut peer, "work", b"kept");
    bench.frames(&peer);
    let before = digest(&bench);
    let long = "x".repeat(bench.limits.name_bytes_max as usize + 1);
    let options = QueueOptions { priorities: Some(u32::MAX), ..QueueOptions::default() };
    let plain = QueueOptions::default;
    let refused = [
        (Frame::Declare { request: RequestId(1), queue: "work", options }, Code::Invalid),
        (Frame::Declare { request: RequestId(1), queue: &long, options: plain() }, Code::TooLarge),
        (Frame::Declare { request: RequestId(1), queue: "", options: plain() }, Code::Invalid),
    ];
    for (frame, wanted) in refused {
        bench.say(&mut peer, &[frame]);
        let told = bench.frames(&peer);
        let code = |frame: &Frame<'_>| match frame {
            Frame::RequestRefused { code, .. } => Some(*code),
            _ => None,
        };
        assert_eq!(told.iter().map(code).collect::<Vec<_>>(), [Some(wanted)]);
        assert_eq!(digest(&bench), before);
    }
}

/// A message to everyone of a node that says it has this epoch.
fn announcement(epoch: Epoch) -> Vec<u8> {
    let mut writer = MessageWriter::new(64 << 10);
    writer.push(&Frame::Announce { log: tabmq::id::LogId([9; 16]) });
    let (client, link) = (client(9), LinkNonce(0));
    writer.take_message(|| Envelope { epoch, client, link, position: 0 }).expect("a frame waits")
}

#[test]
fn a_claim_that_the_store_does_not_bear_out_hides_no_later_one() {
    let mut bench = Bench::new();
    let own = bench.node.epoch().expect("a node that serves");
    let nonsense = Epoch { counter: u64::MAX, ..own };
    for _ in 0..3 {
        bench.input(Input::Heard { bytes: &announcement(nonsense) });
        assert_eq!(bench.node.epoch(), Some(own), "the store says that this is the node");
    }
    bench.join(1);
    let next = Epoch { counter: own.counter + 1, ..own };
    *bench.store.fence_mut() = Some(next);
    bench.input(Input::Heard { bytes: &announcement(next) });
    assert!(is_over(&mut bench), "the store says that another one is");
}
