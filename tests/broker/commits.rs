//! Transactions: messages and acknowledgements of which all is stored, or nothing.

use tabmq::error::Code;
use tabmq::id::{ConsumerId, LeaseNumber, Sequence};
use tabmq::limits::Limits;
use tabmq::options::QueueOptions;
use tabmq::wire::Frame;
use tabmq::wire::frame::{Acked, Delivery, Settlement, Staged};

use crate::harness::{Bench, Peer, item};
use crate::overflow::{bodies, counts, declare, ring, take};

fn digest(bench: &Bench) -> u64 {
    bench.node.broker().expect("a node that serves").digest()
}

fn staged<'a>(queue: &'a str, bodies: &[&'a [u8]]) -> Staged<'a> {
    Staged { queue, items: bodies.iter().map(|body| item(body)).collect() }
}

fn acked(lease: LeaseNumber) -> Acked<'static> {
    Acked { lease, value: None }
}

fn frame<'a>(sequence: Sequence, writes: &[Staged<'a>], acks: &[Acked<'a>]) -> Frame<'a> {
    let (writes, acks) = (writes.to_vec(), acks.to_vec());
    Frame::Commit { sequence, refusals_seen: Sequence(0), durability: None, writes, acks }
}

/// Says a transaction with the next number and gives what the node answers.
fn commit(
    bench: &mut Bench,
    peer: &mut Peer,
    writes: &[Staged<'_>],
    acks: &[Acked<'_>],
) -> Vec<Frame<'static>> {
    bench.frames(peer);
    let sequence = peer.next;
    peer.next = sequence.next();
    bench.say(peer, &[frame(sequence, writes, acks)]);
    bench.frames(peer)
}

fn refusal(frames: &[Frame<'static>]) -> Option<(Code, &'static str)> {
    frames.iter().find_map(|frame| match frame {
        Frame::SendRefused { code, reason, .. } => Some((*code, *reason)),
        _ => None,
    })
}

/// A peer that holds one message of the queue `in`.
fn holding(bench: &mut Bench) -> (Peer, Delivery<'static>) {
    let mut peer = bench.join(1);
    bench.send(&mut peer, "in", b"in");
    let held = take(bench, &mut peer, "in", 1)[0];
    (peer, held)
}

/// Ready and leased messages of a queue.
fn waiting(bench: &mut Bench, peer: &mut Peer, queue: &str) -> (u64, u64) {
    let counts = counts(bench, peer, queue);
    (counts.ready, counts.leased)
}

#[test]
fn writes_and_acks_are_stored_together_under_ids_that_count_through() {
    let mut bench = Bench::new();
    let (mut peer, held) = holding(&mut bench);
    let writes = [staged("out", &[b"1", b"2"]), staged("log", &[b"3"]), staged("out", &[b"4"])];
    let answer = commit(&mut bench, &mut peer, &writes, &[acked(held.lease)]);
    assert_eq!(answer, [Frame::Sent { position: Sequence(2) }]);
    let before = digest(&bench);
    bench.restart();
    assert_eq!(digest(&bench), before);
    let mut peer = bench.join(2);
    assert_eq!(counts(&mut bench, &mut peer, "in").acked_total, 1);
    let out = take(&mut bench, &mut peer, "out", 9);
    assert_eq!(bodies(&out), [b"1", b"2", b"4"]);
    let ids = |delivery: &Delivery<'_>| (delivery.lane, delivery.sequence, delivery.index);
    let id = |index| (held.lane, Sequence(2), index);
    assert_eq!(out.iter().map(ids).collect::<Vec<_>>(), [id(0), id(1), id(3)]);
    assert_eq!(take(&mut bench, &mut peer, "log", 8).iter().map(ids).collect::<Vec<_>>(), [id(2)]);
}

#[test]
fn nothing_of_it_is_there_if_the_node_dies_before_it_is_stored() {
    let mut bench = Bench::new();
    let (mut peer, held) = holding(&mut bench);
    bench.hold_storage = true;
    let answer = commit(&mut bench, &mut peer, &[staged("out", &[b"x"])], &[acked(held.lease)]);
    assert_eq!(answer, []);
    bench.hold_storage = false;
    bench.restart();
    let (mut peer, welcome) = bench.hello(1, |hello| {
        (hello.lane, hello.log, hello.leases) = (peer.lane, peer.log, vec![held.lease]);
    });
    assert_eq!((welcome.position, &*welcome.stale), (Sequence(1), &[][..]));
    assert_eq!(waiting(&mut bench, &mut peer, "in"), (0, 1));
    let answer = commit(&mut bench, &mut peer, &[staged("out", &[b"x"])], &[acked(held.lease)]);
    assert_eq!(answer, [Frame::Sent { position: Sequence(2) }]);
    assert_eq!(waiting(&mut bench, &mut peer, "out"), (1, 0));
}

#[test]
fn one_that_comes_again_is_confirmed_again_and_stored_once() {
    let mut bench = Bench::new();
    let (mut peer, held) = holding(&mut bench);
    let writes = [staged("out", &[b"x"])];
    commit(&mut bench, &mut peer, &writes, &[acked(held.lease)]);
    let again = frame(Sequence(2), &writes, &[acked(held.lease)]);
    let stored = digest(&bench);
    bench.say(&mut peer, std::slice::from_ref(&again));
    assert_eq!(bench.frames(&peer), [Frame::Sent { position: Sequence(2) }]);
    bench.restart();
    let (mut peer, welcome) = bench.hello(1, |hello| {
        (hello.lane, hello.log, hello.leases) = (peer.lane, peer.log, vec![held.lease]);
        (hello.confirmed, hello.floor) = (Sequence(1), Sequence(2));
    });
    assert_eq!((welcome.position, &*welcome.stale), (Sequence(2), &[held.lease][..]));
    bench.say(&mut peer, &[again]);
    assert_eq!(bench.frames(&peer), [Frame::Sent { position: Sequence(2) }]);
    assert_eq!(digest(&bench), stored);
    let settlement = Settlement::Ack { value: None };
    bench.say(&mut peer, &[Frame::Settle { lease: held.lease, settlement }]);
    let settled = Frame::Settled { lease: held.lease, refused: None };
    assert_eq!(bench.frames(&peer), [settled], "it was acknowledged by this client");
}

#[test]
fn a_lease_that_is_over_refuses_all_of_it_and_again_after_a_death() {
    let mut bench = Bench::new();
    let (mut peer, held) = holding(&mut bench);
    let mut other = bench.join(2);
    bench.send(&mut peer, "in", b"second");
    let second = take(&mut bench, &mut other, "in", 2)[0];
    bench.pass_ms(31_000);
    bench.frames(&peer);
    let writes = [staged("out", &[b"x"])];
    let stale = Some((Code::StaleLease, ""));
    assert_eq!(refusal(&commit(&mut bench, &mut peer, &writes, &[acked(held.lease)])), stale);
    let mine = take(&mut bench, &mut peer, "in", 5)[0].lease;
    let acks = [acked(mine), acked(second.lease)];
    assert_eq!(refusal(&commit(&mut bench, &mut peer, &writes, &acks)), stale);
    assert_eq!(waiting(&mut bench, &mut peer, "in").1, 2, "{mine:?} is held all the same");
    assert!(bench.node.broker().expect("serves").state().queue_named("out").is_none());
    bench.restart();
    let (mut peer, _) = bench.hello(1, |hello| {
        (hello.lane, hello.log) = (peer.lane, peer.log);
        (hello.confirmed, hello.floor) = (Sequence(2), Sequence(3));
        hello.leases = vec![mine];
    });
    bench.say(&mut peer, &[frame(Sequence(3), &writes, &[acked(held.lease)])]);
    assert_eq!(refusal(&bench.frames(&peer)), Some((Code::StaleLease, "refused before")));
    assert!(bench.node.broker().expect("serves").state().queue_named("out").is_none());
}

#[test]
fn one_write_that_is_refused_refuses_the_others_and_the_delivery_stays_out() {
    let limits = Limits { batch_items_max: 3, body_bytes_max: 10, ..Limits::default() };
    let mut bench = Bench::with(limits);
    let (mut peer, held) = holding(&mut bench);
    declare(
        &mut bench,
        &mut peer,
        "small",
        QueueOptions { messages_max: Some(1), ..QueueOptions::default() },
    );
    let good = staged("out", &[b"x"]);
    let long = "n".repeat(300);
    let bad: [(Staged<'_>, Code, &str); 6] = [
        (staged("small", &[b"1", b"2"]), Code::Full, "messages_max"),
        (staged("out", &[b"12345678901"]), Code::TooLarge, "body_bytes_max"),
        (staged("out", &[b"1", b"2", b"3"]), Code::TooLarge, "batch_items_max"),
        (staged("out", &[]), Code::Invalid, "items"),
        (staged("", &[b"1"]), Code::Invalid, "name"),
        (staged(&long, &[b"1"]), Code::TooLarge, "name"),
    ];
    for (write, code, reason) in bad {
        let answer = commit(&mut bench, &mut peer, &[good.clone(), write], &[acked(held.lease)]);
        let refused = refusal(&answer).expect("refused");
        assert_eq!(refused.0, code, "{reason}");
        assert!(bench.node.broker().expect("serves").state().queue_named("out").is_none());
        assert_eq!(waiting(&mut bench, &mut peer, "in"), (0, 1));
    }
    let twice = [acked(held.lease), acked(held.lease)];
    let answer = commit(&mut bench, &mut peer, std::slice::from_ref(&good), &twice);
    assert_eq!(refusal(&answer), Some((Code::Invalid, "acks")));
    let split = [staged("small", &[b"1"]), staged("small", &[b"2"])];
    let answer = commit(&mut bench, &mut peer, &split, &[acked(held.lease)]);
    assert_eq!(refusal(&answer), Some((Code::Full, "messages_max")), "counted together");
    let answer = commit(&mut bench, &mut peer, &[good], &[acked(held.lease)]);
    assert_eq!(refusal(&answer), None);
}

#[test]
fn a_message_makes_room_for_what_replaces_it_in_its_own_queue() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let options = QueueOptions { messages_max: Some(1), ..QueueOptions::default() };
    declare(&mut bench, &mut peer, "loop", options);
    bench.send(&mut peer, "loop", b"1");
    let held = take(&mut bench, &mut peer, "loop", 1)[0];
    let writes = [staged("loop", &[b"2"])];
    let answer = commit(&mut bench, &mut peer, &writes, &[]);
    assert_eq!(refusal(&answer), Some((Code::Full, "messages_max")));
    let answer = commit(&mut bench, &mut peer, &writes, &[acked(held.lease)]);
    assert_eq!(refusal(&answer), None);
    assert!(matches!(
        answer[..],
        [Frame::Deliver(Delivery { body: b"2", .. }), Frame::Sent { .. }]
    ));
}

#[test]
fn acknowledgements_alone_use_a_number_up_too() {
    let mut bench = Bench::new();
    let (mut peer, held) = holding(&mut bench);
    let answer = commit(&mut bench, &mut peer, &[], &[acked(held.lease)]);
    assert_eq!(answer, [Frame::Sent { position: Sequence(2) }]);
    bench.restart();
    let (mut peer, welcome) = bench.hello(1, |hello| {
        (hello.lane, hello.log) = (peer.lane, peer.log);
    });
    assert_eq!(welcome.position, Sequence(2));
    assert_eq!(waiting(&mut bench, &mut peer, "in"), (0, 0));
}

#[test]
fn a_write_behind_a_refused_send_waits_for_its_producer() {
    let mut bench = Bench::new();
    let (mut peer, held) = holding(&mut bench);
    let options = QueueOptions { messages_max: Some(1), ..QueueOptions::default() };
    declare(&mut bench, &mut peer, "small", options);
    bench.send(&mut peer, "small", b"1");
    bench.send(&mut peer, "small", b"2");
    let mut reader = bench.join(2);
    let first = take(&mut bench, &mut reader, "small", 1)[0];
    let settlement = Settlement::Ack { value: None };
    bench.say(&mut reader, &[Frame::Settle { lease: first.lease, settlement }]);
    let writes = [staged("small", &[b"3"])];
    let answer = commit(&mut bench, &mut peer, &writes, &[acked(held.lease)]);
    assert_eq!(refusal(&answer), Some((Code::Full, "behind-refused")));
    assert_eq!(waiting(&mut bench, &mut peer, "in"), (0, 1));
}

#[test]
fn a_ring_takes_what_a_transaction_brings() {
    let mut bench = Bench::new();
    let (mut peer, held) = holding(&mut bench);
    declare(&mut bench, &mut peer, "ring", ring(2));
    let writes = [staged("ring", &[b"1", b"2", b"3"])];
    let answer = commit(&mut bench, &mut peer, &writes, &[acked(held.lease)]);
    assert_eq!(refusal(&answer), None);
    assert_eq!(bodies(&take(&mut bench, &mut peer, "ring", 9)), [b"2", b"3"]);
}

#[test]
fn it_arrives_in_fragments_as_one() {
    let mut bench = Bench::new();
    let (mut peer, held) = holding(&mut bench);
    let long = vec![7; 200_000];
    let answer = commit(&mut bench, &mut peer, &[staged("out", &[&long])], &[acked(held.lease)]);
    assert_eq!(answer, [Frame::Sent { position: Sequence(2) }]);
    bench.say(&mut peer, &[Frame::CancelConsumer { consumer: ConsumerId(1) }]);
    let mut other = bench.join(2);
    bench.send(&mut other, "in", b"again");
    let again = take(&mut bench, &mut other, "in", 1)[0];
    let whole = frame(Sequence(2), &[staged("out", &[&long])], &[acked(again.lease)]);
    bench.say_first_part(&mut other, &whole);
    bench.restart();
    let mut peer = bench.join(3);
    assert_eq!(waiting(&mut bench, &mut peer, "out"), (1, 0), "a part is nothing");
}
