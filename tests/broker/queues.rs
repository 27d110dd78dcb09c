use tabmq::broker::io::Input;
use tabmq::error::Code;
use tabmq::id::{ConsumerId, LeaseNumber, RequestId, Sequence};
use tabmq::options::{Backoff, ConsumeOptions, DeadLetter, Durability, QueueOptions};
use tabmq::wire::Frame;
use tabmq::wire::frame::{Delivery, Item, QueueCounts, Settlement};

use crate::harness::{Bench, Peer, client, item};

fn consume(bench: &mut Bench, peer: &mut Peer, queue: &str, prefetch: u32) {
    let (consumer, options) = (ConsumerId(1), ConsumeOptions::new(prefetch, 1 << 20));
    bench.say(peer, &[Frame::Consume { consumer, queue, options }]);
}

fn deliveries(bench: &mut Bench, peer: &Peer) -> Vec<Delivery<'static>> {
    let frames = bench.frames(peer);
    let delivery = |frame| match frame {
        Frame::Deliver(delivery) => Some(delivery),
        _ => None,
    };
    frames.into_iter().filter_map(delivery).collect()
}

fn settle(bench: &mut Bench, peer: &mut Peer, lease: LeaseNumber, settlement: Settlement<'_>) {
    bench.say(peer, &[Frame::Settle { lease, settlement }]);
}

fn counts(bench: &mut Bench, peer: &mut Peer, queue: &str) -> QueueCounts {
    bench.frames(peer);
    bench.say(peer, &[Frame::Inspect { request: RequestId(99), queue }]);
    match bench.frames(peer).into_iter().next_back() {
        Some(Frame::QueueState { state, .. }) => state,
        other => panic!("not the state of a queue: {other:?}"),
    }
}

fn declare(bench: &mut Bench, peer: &mut Peer, queue: &str, options: QueueOptions) -> Option<Code> {
    bench.frames(peer);
    bench.say(peer, &[Frame::Declare { request: RequestId(1), queue, options }]);
    match bench.frames(peer).into_iter().next_back() {
        Some(Frame::QueueState { .. }) => None,
        Some(Frame::RequestRefused { code, .. }) => Some(code),
        other => panic!("not an answer to a declaration: {other:?}"),
    }
}

fn quick() -> QueueOptions {
    let backoff = Backoff {
        first_ms: 100,
        factor_percent: 200,
        wait_ms_max: 1000,
        jitter_percent: 0,
        step_ms: None,
        ladder_ms: None,
    };
    QueueOptions {
        lease_ms: Some(3000),
        deliveries_max: Some(3),
        backoff: Some(backoff),
        ..QueueOptions::default()
    }
}

#[test]
fn a_send_is_confirmed_only_when_it_is_stored() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    bench.hold_storage = true;
    bench.send(&mut peer, "work", b"a");
    assert_eq!(bench.frames(&peer), []);
    bench.release_storage();
    assert_eq!(bench.frames(&peer), [Frame::Sent { position: Sequence(1) }]);
}

#[test]
fn a_delivery_leaves_only_when_its_lease_is_stored() {
    let mut bench = Bench::new();
    let (mut producer, mut worker) = (bench.join(1), bench.join(2));
    consume(&mut bench, &mut worker, "work", 10);
    bench.hold_storage = true;
    bench.send(&mut producer, "work", b"a");
    assert_eq!(deliveries(&mut bench, &worker), []);
    bench.release_storage();
    assert_eq!(deliveries(&mut bench, &worker)[0].body, b"a");
}

#[test]
fn a_send_and_the_lease_it_leads_to_share_one_commit() {
    let mut bench = Bench::new();
    let (mut producer, mut worker) = (bench.join(1), bench.join(2));
    consume(&mut bench, &mut worker, "work", 10);
    bench.hold_storage = true;
    bench.send(&mut producer, "work", b"a");
    assert_eq!(bench.held.len(), 1);
    let (op, action) = bench.held[0].clone();
    let result = bench.store.perform(&action);
    bench.held.clear();
    bench.input(tabmq::broker::io::Input::Stored { op, result });
    assert_eq!(bench.held.len(), 0, "nothing more had to be stored");
    assert_eq!(deliveries(&mut bench, &worker).len(), 1);
}

#[test]
fn a_send_that_comes_twice_is_stored_once() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    bench.send(&mut peer, "work", b"a");
    peer.next = Sequence(1);
    bench.send(&mut peer, "work", b"a");
    let sent = Frame::Sent { position: Sequence(1) };
    assert_eq!(bench.frames(&peer), [sent.clone(), sent]);
    assert_eq!(counts(&mut bench, &mut peer, "work").ready, 1);
}

#[test]
fn a_hole_in_a_lane_ends_the_link() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    peer.next = Sequence(2);
    bench.send(&mut peer, "work", b"b");
    assert_eq!(bench.frames(&peer), [Frame::Hangup { code: Code::Protocol }]);
}

#[test]
fn messages_come_in_order_within_the_credit() {
    let mut bench = Bench::new();
    let (mut producer, mut worker) = (bench.join(1), bench.join(2));
    for body in [b"a", b"b", b"c"] {
        bench.send(&mut producer, "work", body);
    }
    consume(&mut bench, &mut worker, "work", 2);
    let first = deliveries(&mut bench, &worker);
    assert_eq!(first.iter().map(|d| d.body).collect::<Vec<_>>(), [b"a", b"b"]);
    settle(&mut bench, &mut worker, first[0].lease, Settlement::Ack { value: None });
    assert_eq!(deliveries(&mut bench, &worker)[0].body, b"c");
}

#[test]
fn byte_credit_lets_one_large_message_through_at_a_time() {
    let mut bench = Bench::new();
    let (mut producer, mut worker) = (bench.join(1), bench.join(2));
    for _ in 0..2 {
        bench.send(&mut producer, "work", &[0; 1000]);
    }
    let (consumer, queue) = (ConsumerId(1), "work");
    bench.say(
        &mut worker,
        &[Frame::Consume { consumer, queue, options: ConsumeOptions::new(9, 10) }],
    );
    assert_eq!(deliveries(&mut bench, &worker).len(), 1);
}

#[test]
fn consumers_take_turns() {
    let mut bench = Bench::new();
    let mut producer = bench.join(1);
    let mut workers = [bench.join(2), bench.join(3)];
    for worker in &mut workers {
        consume(&mut bench, worker, "work", 10);
    }
    for _ in 0..4 {
        bench.send(&mut producer, "work", b"x");
    }
    for worker in &workers {
        assert_eq!(deliveries(&mut bench, worker).len(), 2);
    }
}

#[test]
fn an_expired_lease_is_stale_and_its_message_goes_to_another() {
    let mut bench = Bench::new();
    let (mut producer, mut slow, mut quick_one) = (bench.join(1), bench.join(2), bench.join(3));
    declare(&mut bench, &mut producer, "work", quick());
    bench.send(&mut producer, "work", b"a");
    consume(&mut bench, &mut slow, "work", 1);
    let lease = deliveries(&mut bench, &slow)[0].lease;
    consume(&mut bench, &mut quick_one, "work", 1);
    bench.pass_ms(3000);
    let again = deliveries(&mut bench, &quick_one);
    assert_eq!((again[0].body, again[0].attempt), (&b"a"[..], 2));
    settle(&mut bench, &mut slow, lease, Settlement::Ack { value: None });
    let refused = Some(Code::StaleLease);
    assert!(bench.frames(&slow).contains(&Frame::Settled { lease, refused }));
    assert_eq!(counts(&mut bench, &mut producer, "work").leased, 1);
}

#[test]
fn a_renewal_that_comes_late_but_before_the_lease_has_ended_keeps_it() {
    let mut bench = Bench::new();
    let mut worker = bench.join(1);
    let short = QueueOptions { lease_ms: Some(1000), ..quick() };
    declare(&mut bench, &mut worker, "work", short);
    bench.send(&mut worker, "work", b"a");
    consume(&mut bench, &mut worker, "work", 1);
    let lease = deliveries(&mut bench, &worker)[0].lease;
    // The node slept too, though not long enough to make sure that it is still the one.
    bench.now.mono = bench.now.mono.after_ms(1500);
    settle(&mut bench, &mut worker, lease, Settlement::Extend { lease_ms: None });
    assert!(bench.frames(&worker).contains(&Frame::Settled { lease, refused: None }));
    bench.now.mono = bench.now.mono.after_ms(1500);
    bench.input(Input::Tick);
    settle(&mut bench, &mut worker, lease, Settlement::Extend { lease_ms: None });
    let refused = Some(Code::StaleLease);
    assert!(bench.frames(&worker).contains(&Frame::Settled { lease, refused }));
}

#[test]
fn a_settlement_said_again_is_confirmed_again() {
    let mut bench = Bench::new();
    let (mut producer, mut worker) = (bench.join(1), bench.join(2));
    bench.send(&mut producer, "work", b"a");
    consume(&mut bench, &mut worker, "work", 1);
    let lease = deliveries(&mut bench, &worker)[0].lease;
    for _ in 0..2 {
        settle(&mut bench, &mut worker, lease, Settlement::Ack { value: None });
        assert!(bench.frames(&worker).contains(&Frame::Settled { lease, refused: None }));
    }
    bench.restart();
    let mut worker = bench.join(2);
    settle(&mut bench, &mut worker, lease, Settlement::Ack { value: None });
    assert!(bench.frames(&worker).contains(&Frame::Settled { lease, refused: None }));
}

#[test]
fn extending_a_lease_moves_its_end() {
    let mut bench = Bench::new();
    let mut worker = bench.join(1);
    declare(&mut bench, &mut worker, "work", quick());
    bench.send(&mut worker, "work", b"a");
    consume(&mut bench, &mut worker, "work", 1);
    let lease = deliveries(&mut bench, &worker)[0].lease;
    bench.pass_ms(2000);
    settle(&mut bench, &mut worker, lease, Settlement::Extend { lease_ms: None });
    bench.pass_ms(2000);
    settle(&mut bench, &mut worker, lease, Settlement::Ack { value: None });
    assert!(bench.frames(&worker).contains(&Frame::Settled { lease, refused: None }));
}

#[test]
fn a_retry_waits_for_the_backoff_and_then_for_the_dead_letter_queue() {
    let mut bench = Bench::new();
    let mut worker = bench.join(1);
    declare(&mut bench, &mut worker, "work", quick());
    bench.send(&mut worker, "work", b"a");
    consume(&mut bench, &mut worker, "work", 1);
    for (attempt, wait_ms) in [(1, 100), (2, 200)] {
        let delivery = deliveries(&mut bench, &worker)[0];
        assert_eq!(delivery.attempt, attempt);
        let retry = Settlement::Retry { after_ms: None, reason: None };
        settle(&mut bench, &mut worker, delivery.lease, retry);
        bench.pass_ms(wait_ms - 1);
        assert_eq!(deliveries(&mut bench, &worker), []);
        bench.pass_ms(1);
    }
    let last = deliveries(&mut bench, &worker)[0];
    let retry = Settlement::Retry { after_ms: None, reason: Some("boom") };
    settle(&mut bench, &mut worker, last.lease, retry);
    assert_eq!(counts(&mut bench, &mut worker, "work.dead").ready, 1);
    let (consumer, queue) = (ConsumerId(2), "work.dead");
    bench.say(
        &mut worker,
        &[Frame::Consume { consumer, queue, options: ConsumeOptions::new(1, 9) }],
    );
    let dead = deliveries(&mut bench, &worker)[0];
    assert_eq!((dead.body, dead.attempt, dead.dead_reason), (&b"a"[..], 1, Some("boom")));
}

#[test]
fn a_rejected_message_is_dead_at_once_or_discarded_if_the_queue_says_so() {
    let mut bench = Bench::new();
    let mut worker = bench.join(1);
    for (queue, dead_letter, dead, discarded) in
        [("kept", None, 1, 0), ("gone", Some(DeadLetter::Discard), 0, 1)]
    {
        let options = QueueOptions { dead_letter, ..QueueOptions::default() };
        assert_eq!(declare(&mut bench, &mut worker, queue, options), None);
        bench.send(&mut worker, queue, b"a");
        let consumer = ConsumerId(if dead == 1 { 1 } else { 2 });
        let options = ConsumeOptions::new(1, 100);
        bench.say(&mut worker, &[Frame::Consume { consumer, queue, options }]);
        let lease = deliveries(&mut bench, &worker)[0].lease;
        settle(&mut bench, &mut worker, lease, Settlement::Reject { reason: Some("no") });
        let counts = counts(&mut bench, &mut worker, queue);
        assert_eq!((counts.dead_lettered_total, counts.discarded_total), (dead, discarded));
    }
}

#[test]
fn what_fails_in_a_dead_letter_queue_stays_there() {
    let mut bench = Bench::new();
    let mut worker = bench.join(1);
    bench.send(&mut worker, "work", b"a");
    consume(&mut bench, &mut worker, "work", 1);
    let lease = deliveries(&mut bench, &worker)[0].lease;
    settle(&mut bench, &mut worker, lease, Settlement::Reject { reason: None });
    let (consumer, queue) = (ConsumerId(2), "work.dead");
    bench.say(
        &mut worker,
        &[Frame::Consume { consumer, queue, options: ConsumeOptions::new(1, 9) }],
    );
    let lease = deliveries(&mut bench, &worker)[0].lease;
    settle(&mut bench, &mut worker, lease, Settlement::Reject { reason: None });
    let dead = counts(&mut bench, &mut worker, "work.dead");
    assert_eq!(dead.ready + dead.leased, 1);
}

#[test]
fn a_released_message_keeps_its_place_and_its_attempt() {
    let mut bench = Bench::new();
    let mut worker = bench.join(1);
    for body in [b"a", b"b"] {
        bench.send(&mut worker, "work", body);
    }
    consume(&mut bench, &mut worker, "work", 1);
    let lease = deliveries(&mut bench, &worker)[0].lease;
    settle(&mut bench, &mut worker, lease, Settlement::Release);
    let again = deliveries(&mut bench, &worker)[0];
    assert_eq!((again.body, again.attempt), (&b"a"[..], 1));
}

#[test]
fn a_delayed_message_is_never_early() {
    let mut bench = Bench::new();
    let mut worker = bench.join(1);
    consume(&mut bench, &mut worker, "work", 1);
    let items = vec![Item { delay_ms: Some(500), ..item(b"later") }];
    let (sequence, refusals_seen, durability) = (Sequence(1), Sequence(0), None);
    let queue = "work";
    bench.say(&mut worker, &[Frame::Send { sequence, queue, refusals_seen, durability, items }]);
    bench.pass_ms(499);
    assert_eq!(deliveries(&mut bench, &worker), []);
    bench.pass_ms(1);
    assert_eq!(deliveries(&mut bench, &worker).len(), 1);
}

#[test]
fn a_client_that_dies_fails_its_deliveries_and_one_that_leaves_does_not() {
    for (goodbye, attempt) in [(false, 2), (true, 1)] {
        let mut bench = Bench::new();
        let (mut leaving, mut other) = (bench.join(1), bench.join(2));
        bench.send(&mut other, "work", b"a");
        consume(&mut bench, &mut leaving, "work", 1);
        if goodbye {
            bench.say(&mut leaving, &[Frame::Goodbye { park: false }]);
        } else {
            bench.input(tabmq::broker::io::Input::Gone { client: client(1) });
        }
        consume(&mut bench, &mut other, "work", 1);
        assert_eq!(deliveries(&mut bench, &other)[0].attempt, attempt);
    }
}

#[test]
fn a_full_queue_refuses_and_holds_the_order_until_the_refusal_is_seen() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let options = QueueOptions { messages_max: Some(1), ..QueueOptions::default() };
    assert_eq!(declare(&mut bench, &mut peer, "small", options), None);
    for _ in 0..2 {
        bench.send(&mut peer, "small", b"x");
    }
    bench.send(&mut peer, "other", b"y");
    let refused: Vec<_> = bench.frames(&peer);
    assert!(refused.contains(&Frame::SendRefused {
        sequence: Sequence(2),
        code: Code::Full,
        reason: "messages_max"
    }));
    assert!(refused.contains(&Frame::Sent { position: Sequence(3) }));
    assert_eq!(counts(&mut bench, &mut peer, "other").ready, 1);
    consume(&mut bench, &mut peer, "small", 1);
    let lease = deliveries(&mut bench, &peer)[0].lease;
    settle(&mut bench, &mut peer, lease, Settlement::Ack { value: None });
    bench.send(&mut peer, "small", b"behind");
    assert!(bench.frames(&peer).contains(&Frame::SendRefused {
        sequence: Sequence(4),
        code: Code::Full,
        reason: "behind-refused"
    }));
    let (queue, refusals_seen, durability) = ("small", Sequence(4), None);
    let (sequence, items) = (Sequence(5), vec![item(b"z")]);
    bench.say(&mut peer, &[Frame::Send { sequence, queue, refusals_seen, durability, items }]);
    assert_eq!(deliveries(&mut bench, &peer)[0].body, b"z");
}

#[test]
fn bad_sends_are_refused_with_their_code_and_store_nothing() {
    let mut bench = Bench::new();
    let long = "q".repeat(300);
    let large = vec![0; (1 << 20) + 1];
    let cases: [(&str, Vec<Item<'_>>, Code); 4] = [
        ("", vec![item(b"x")], Code::Invalid),
        (&long, vec![item(b"x")], Code::TooLarge),
        ("work", Vec::new(), Code::Invalid),
        ("work", vec![item(&large)], Code::TooLarge),
    ];
    for (queue, items, expected) in cases {
        let mut peer = bench.join(1);
        let (sequence, refusals_seen, durability) = (Sequence(1), Sequence(0), None);
        bench.say(&mut peer, &[Frame::Send { sequence, queue, refusals_seen, durability, items }]);
        let frames = bench.frames(&peer);
        assert!(
            matches!(frames[0], Frame::SendRefused { code, .. } if code == expected),
            "{queue:?}: {frames:?}"
        );
        bench.say(&mut peer, &[Frame::Goodbye { park: false }]);
    }
    assert!(bench.node.broker().unwrap().state().queues.is_empty());
}

#[test]
fn structural_options_refuse_and_tunables_follow_the_highest_version() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let strict = QueueOptions {
        durability: Some(Durability::Strict),
        version: Some(2),
        ..QueueOptions::default()
    };
    let relaxed = QueueOptions { durability: Some(Durability::Relaxed), ..strict.clone() };
    assert_eq!(declare(&mut bench, &mut peer, "work", strict), None);
    assert_eq!(declare(&mut bench, &mut peer, "work", relaxed), Some(Code::DuplicateDeclare));
    assert_eq!(declare(&mut bench, &mut peer, "work", QueueOptions::default()), None);
    for (version, lease_ms, expected) in [(1, 1000, None), (3, 2000, Some(2000))] {
        let options = QueueOptions {
            version: Some(version),
            lease_ms: Some(lease_ms),
            ..QueueOptions::default()
        };
        assert_eq!(declare(&mut bench, &mut peer, "work", options), None);
        let state = bench.node.broker().unwrap().state();
        assert_eq!(state.queues.values().next().unwrap().options.lease_ms, expected);
    }
}

#[test]
fn refused_requests_leave_the_state_as_it_was() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let declared = QueueOptions { durability: Some(Durability::Strict), ..quick() };
    declare(&mut bench, &mut peer, "work", declared);
    let before = bench.node.broker().unwrap().digest();
    let other = QueueOptions { durability: Some(Durability::Relaxed), ..quick() };
    assert_eq!(declare(&mut bench, &mut peer, "work", other), Some(Code::DuplicateDeclare));
    assert_eq!(declare(&mut bench, &mut peer, "", quick()), Some(Code::Invalid));
    settle(&mut bench, &mut peer, LeaseNumber(77), Settlement::Ack { value: None });
    bench.say(&mut peer, &[Frame::Inspect { request: RequestId(5), queue: "none" }]);
    bench.say(
        &mut peer,
        &[Frame::Repair {
            publisher: client(9),
            first: tabmq::id::PublishNumber(9),
            last: tabmq::id::PublishNumber(1),
        }],
    );
    assert_eq!(bench.node.broker().unwrap().digest(), before);
}

#[test]
fn a_batch_is_stored_whole() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let items = vec![item(b"a"), item(b"b")];
    let (sequence, refusals_seen, durability) = (Sequence(1), Sequence(0), None);
    let queue = "work";
    bench.say(&mut peer, &[Frame::Send { sequence, queue, refusals_seen, durability, items }]);
    consume(&mut bench, &mut peer, "work", 2);
    let got = deliveries(&mut bench, &peer);
    let ids: Vec<_> = got.iter().map(|d| (d.sequence, d.index, d.body)).collect();
    assert_eq!(ids, [(Sequence(1), 0, &b"a"[..]), (Sequence(1), 1, b"b")]);
}

#[test]
fn a_refusal_that_was_lost_is_told_again_even_by_the_next_node() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let options = QueueOptions { messages_max: Some(1), ..QueueOptions::default() };
    declare(&mut bench, &mut peer, "small", options);
    bench.send(&mut peer, "small", b"fits");
    bench.send(&mut peer, "small", b"too much");
    let lane = peer.lane;
    for restart in [false, true] {
        if restart {
            bench.restart();
        }
        let (mut peer, _) = bench.hello(1, |hello| {
            hello.lane = lane;
            hello.confirmed = Sequence(1);
            hello.floor = Sequence(2);
        });
        peer.next = Sequence(2);
        bench.send(&mut peer, "small", b"too much");
        let frames = bench.frames(&peer);
        let again = |frame: &Frame<'_>| {
            matches!(frame, Frame::SendRefused { sequence: Sequence(2), code: Code::Full, .. })
        };
        assert!(frames.iter().any(again), "{frames:?}");
    }
}
