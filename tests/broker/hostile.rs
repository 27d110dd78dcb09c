//! Peers that say anything at all. No bytes may panic a node or change what it keeps.

use proptest::collection::vec;
use proptest::prelude::*;

use tabmq::broker::io::{Event, Input};
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
