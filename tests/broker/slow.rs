//! Consumers that do not keep up, where their queue says when that is.

use tabmq::error::Code;
use tabmq::id::{ConsumerId, RequestId};
use tabmq::options::{ConsumeOptions, QueueOptions, Slow};
use tabmq::wire::Frame;
use tabmq::wire::frame::{Delivery, Settlement};

use crate::advisories::{listen, told};
use crate::harness::{Bench, Peer};

const ONE: ConsumerId = ConsumerId(1);

fn slow(detach: bool) -> QueueOptions {
    let slow = Some(Slow { after_ms: 2000, detach });
    QueueOptions { slow, lease_ms: Some(60_000), ..QueueOptions::default() }
}

fn declare(bench: &mut Bench, peer: &mut Peer, options: QueueOptions) -> Frame<'static> {
    bench.frames(peer);
    bench.say(peer, &[Frame::Declare { request: RequestId(1), queue: "work", options }]);
    bench.frames(peer).pop().expect("an answer")
}

fn consume(bench: &mut Bench, peer: &mut Peer, prefetch: u32) {
    let options = ConsumeOptions::new(prefetch, 1 << 20);
    bench.say(peer, &[Frame::Consume { consumer: ONE, queue: "work", options }]);
}

fn settle(bench: &mut Bench, peer: &mut Peer, delivery: &Delivery<'_>, settlement: Settlement<'_>) {
    bench.say(peer, &[Frame::Settle { lease: delivery.lease, settlement }]);
}

fn deliveries(frames: Vec<Frame<'static>>) -> Vec<Delivery<'static>> {
    let delivery = |frame| if let Frame::Deliver(delivery) = frame { Some(delivery) } else { None };
    frames.into_iter().filter_map(delivery).collect()
}

fn active(frames: &[Frame<'_>]) -> Vec<bool> {
    let active = |frame: &Frame<'_>| match frame {
        Frame::ConsumerActive { consumer: ONE, active } => Some(*active),
        _ => None,
    };
    frames.iter().filter_map(active).collect()
}

/// A listener, a producer, and two consumers of a queue that detaches after two seconds; the first
/// holds messages 1 and 2, message 3 waits.
fn held(detach: bool) -> (Bench, [Peer; 3], Vec<Delivery<'static>>) {
    let mut bench = Bench::new();
    let listener = listen(&mut bench, 9, "$tabmq.queue.slow-consumer.#");
    let (mut producer, mut first) = (bench.join(1), bench.join(2));
    declare(&mut bench, &mut producer, slow(detach));
    consume(&mut bench, &mut first, 2);
    for body in [b"1", b"2", b"3"] {
        bench.send(&mut producer, "work", body);
    }
    let taken = deliveries(bench.frames(&first));
    assert_eq!(taken.len(), 2);
    (bench, [listener, producer, first], taken)
}

#[test]
fn a_slow_consumer_is_told_of_once_until_it_settles() {
    let (mut bench, [listener, _, mut first], taken) = held(false);
    bench.pass_ms(1999);
    assert_eq!(told(&mut bench, &listener), []);
    bench.pass_ms(1);
    let topic = "$tabmq.queue.slow-consumer.work";
    let body = "number=1 attempt=1 client=16 bytes detached=false";
    assert_eq!(told(&mut bench, &listener), [(topic, body.to_string())]);
    bench.pass_ms(10_000);
    assert_eq!(told(&mut bench, &listener), [], "it is known");
    assert_eq!(deliveries(bench.frames(&first)), [], "and it keeps what it has");
    settle(&mut bench, &mut first, &taken[0], Settlement::Ack { value: None });
    assert_eq!(deliveries(bench.frames(&first)).len(), 1);
    bench.pass_ms(1999);
    assert_eq!(told(&mut bench, &listener), [], "nothing waits any more");
}

#[test]
fn who_extends_settles_nothing_and_who_holds_up_nobody_is_not_slow() {
    let (mut bench, [listener, mut producer, mut first], taken) = held(false);
    settle(&mut bench, &mut first, &taken[0], Settlement::Ack { value: None });
    bench.pass_ms(6000);
    assert_eq!(told(&mut bench, &listener), [], "no message waits");
    bench.send(&mut producer, "work", b"4");
    settle(&mut bench, &mut first, &taken[1], Settlement::Extend { lease_ms: None });
    bench.pass_ms(2000);
    assert_eq!(told(&mut bench, &listener).len(), 1);
}

#[test]
fn the_only_consumer_is_told_of_and_not_detached() {
    let (mut bench, [listener, _, first], _) = held(true);
    bench.pass_ms(6000);
    let told_of = told(&mut bench, &listener);
    assert_eq!(told_of.len(), 1);
    assert!(told_of[0].1.ends_with("detached=false"));
    assert_eq!(active(&bench.frames(&first)), []);
    let mut second = bench.join(3);
    consume(&mut bench, &mut second, 1);
    bench.send(&mut second, "work", b"4");
    bench.pass_ms(2000);
    assert!(told(&mut bench, &listener)[0].1.ends_with("detached=true"), "another can take over");
}

#[test]
fn a_detached_consumer_gives_back_what_it_holds_as_no_failure() {
    let (mut bench, [_, mut producer, mut first], taken) = held(true);
    let mut second = bench.join(3);
    consume(&mut bench, &mut second, 1);
    assert_eq!(deliveries(bench.frames(&second)).len(), 1, "message 3");
    bench.send(&mut producer, "work", b"4");
    bench.pass_ms(2000);
    let frames = bench.frames(&first);
    assert_eq!(active(&frames), [false]);
    for delivery in &taken {
        let refused = Some(Code::StaleLease);
        assert!(frames.contains(&Frame::Settled { lease: delivery.lease, refused }));
    }
    settle(&mut bench, &mut first, &taken[0], Settlement::Ack { value: None });
    let late = Frame::Settled { lease: taken[0].lease, refused: Some(Code::StaleLease) };
    assert_eq!(bench.frames(&first), [late], "too late, and nothing new comes");
    consume(&mut bench, &mut second, 10);
    let again = deliveries(bench.frames(&second));
    let numbers: Vec<_> = again.iter().map(|d| (d.body, d.attempt)).collect();
    assert_eq!(numbers, [(&b"1"[..], 1), (b"2", 1), (b"4", 1)]);

    bench.send(&mut producer, "work", b"5");
    consume(&mut bench, &mut first, 2);
    for body in [b"6", b"7"] {
        bench.send(&mut producer, "work", body);
    }
    let frames = bench.frames(&first);
    assert_eq!(active(&frames), [true], "it spoke for itself");
    assert_eq!(deliveries(frames).len(), 1);
}

#[test]
fn of_a_single_active_consumer_another_takes_over() {
    let mut bench = Bench::new();
    // No active one is named before the node has settled.
    bench.pass_ms(2000);
    let (mut producer, mut first, mut second) = (bench.join(1), bench.join(2), bench.join(3));
    let single = QueueOptions { single_active: Some(true), ..slow(true) };
    declare(&mut bench, &mut producer, single);
    consume(&mut bench, &mut first, 1);
    consume(&mut bench, &mut second, 1);
    for body in [b"1", b"2"] {
        bench.send(&mut producer, "work", body);
    }
    assert_eq!(deliveries(bench.frames(&first)).len(), 1);
    assert_eq!(deliveries(bench.frames(&second)).len(), 0);
    bench.pass_ms(2000);
    assert_eq!(active(&bench.frames(&first)), [false]);
    let frames = bench.frames(&second);
    assert_eq!(active(&frames), [true]);
    assert_eq!(deliveries(frames)[0].body, b"1");
}

#[test]
fn another_node_looks_as_well_and_a_change_counts_for_what_is_out() {
    let mut bench = Bench::new();
    let listener = listen(&mut bench, 9, "$tabmq.queue.slow-consumer.#");
    let (mut producer, mut first) = (bench.join(1), bench.join(2));
    let patient = QueueOptions { slow: None, ..slow(false) };
    declare(&mut bench, &mut producer, patient);
    consume(&mut bench, &mut first, 1);
    for body in [b"1", b"2"] {
        bench.send(&mut producer, "work", body);
    }
    bench.pass_ms(5000);
    assert_eq!(told(&mut bench, &listener), []);
    declare(&mut bench, &mut producer, slow(false));
    bench.pass_ms(2000);
    assert_eq!(told(&mut bench, &listener).len(), 1);
}

#[test]
fn nobody_can_be_slow_after_no_time() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let slow = Some(Slow { after_ms: 0, detach: false });
    let answer = declare(&mut bench, &mut peer, QueueOptions { slow, ..QueueOptions::default() });
    assert!(matches!(answer, Frame::RequestRefused { code: Code::Invalid, reason: "slow", .. }));
}
