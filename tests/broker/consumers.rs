//! Who is served: priorities, visible pages, one active consumer, enough consumers, pauses.

use tabmq::broker::io::Input;
use tabmq::error::Code;
use tabmq::id::{ConsumerId, RequestId};
use tabmq::options::{ConsumeOptions, QueueOptions};
use tabmq::wire::Frame;
use tabmq::wire::frame::{Delivery, Settlement};

use crate::harness::{Bench, Peer, client};

const ONE: ConsumerId = ConsumerId(1);

fn declare(bench: &mut Bench, peer: &mut Peer, options: QueueOptions) {
    bench.frames(peer);
    bench.say(peer, &[Frame::Declare { request: RequestId(1), queue: "work", options }]);
    assert!(matches!(bench.frames(peer).last(), Some(Frame::QueueState { .. })));
}

fn consume(bench: &mut Bench, peer: &mut Peer, options: ConsumeOptions) {
    bench.say(peer, &[Frame::Consume { consumer: ONE, queue: "work", options }]);
}

fn credit(prefetch: u32) -> ConsumeOptions {
    ConsumeOptions::new(prefetch, 1 << 20)
}

fn priority(prefetch: u32, priority: u32) -> ConsumeOptions {
    ConsumeOptions { priority: Some(priority), ..credit(prefetch) }
}

fn deliveries(bench: &mut Bench, peer: &Peer) -> Vec<Delivery<'static>> {
    let delivery = |frame| if let Frame::Deliver(delivery) = frame { Some(delivery) } else { None };
    bench.frames(peer).into_iter().filter_map(delivery).collect()
}

fn bodies(bench: &mut Bench, peer: &Peer) -> Vec<&'static [u8]> {
    deliveries(bench, peer).iter().map(|delivery| delivery.body).collect()
}

fn ack_all(bench: &mut Bench, peer: &mut Peer) -> usize {
    let delivered = deliveries(bench, peer);
    for delivery in &delivered {
        let (lease, settlement) = (delivery.lease, Settlement::Ack { value: None });
        bench.say(peer, &[Frame::Settle { lease, settlement }]);
    }
    delivered.len()
}

/// What the peer was last told about being active.
fn told_active(bench: &mut Bench, peer: &Peer) -> Option<bool> {
    let told = |frame| match frame {
        Frame::ConsumerActive { consumer: ONE, active } => Some(active),
        _ => None,
    };
    bench.frames(peer).into_iter().filter_map(told).next_back()
}

fn single_active() -> QueueOptions {
    QueueOptions { single_active: Some(true), lease_ms: Some(3000), ..QueueOptions::default() }
}

#[test]
fn the_highest_priority_is_served_as_long_as_it_has_credit() {
    let mut bench = Bench::new();
    let (mut producer, mut low, mut high) = (bench.join(1), bench.join(2), bench.join(3));
    consume(&mut bench, &mut low, credit(10));
    consume(&mut bench, &mut high, priority(2, 5));
    for body in [b"1", b"2", b"3"] {
        bench.send(&mut producer, "work", body);
    }
    assert_eq!(bodies(&mut bench, &high), [b"1", b"2"]);
    assert_eq!(bodies(&mut bench, &low), [b"3"]);
}

#[test]
fn equals_are_served_in_turn() {
    let mut bench = Bench::new();
    let mut producer = bench.join(1);
    let mut workers = [bench.join(2), bench.join(3), bench.join(4)];
    for worker in &mut workers {
        consume(&mut bench, worker, credit(10));
    }
    for _ in 0..9 {
        bench.send(&mut producer, "work", b"x");
    }
    for worker in &workers {
        assert_eq!(deliveries(&mut bench, worker).len(), 3);
    }
}

#[test]
fn among_equals_a_visible_page_is_served_first() {
    let mut bench = Bench::new();
    let (mut producer, mut one, mut two) = (bench.join(1), bench.join(2), bench.join(3));
    consume(&mut bench, &mut one, credit(10));
    consume(&mut bench, &mut two, credit(10));
    bench.say(&mut one, &[Frame::Visible { visible: false }]);
    for _ in 0..4 {
        bench.send(&mut producer, "work", b"x");
    }
    assert_eq!((deliveries(&mut bench, &one).len(), deliveries(&mut bench, &two).len()), (0, 4));
    bench.say(&mut two, &[Frame::Visible { visible: false }]);
    bench.say(&mut one, &[Frame::Visible { visible: true }]);
    bench.send(&mut producer, "work", b"x");
    assert_eq!((deliveries(&mut bench, &one).len(), deliveries(&mut bench, &two).len()), (1, 0));
}

#[test]
fn a_paused_consumer_gets_nothing_and_goes_on_when_it_says_so() {
    let mut bench = Bench::new();
    let (mut producer, mut worker) = (bench.join(1), bench.join(2));
    consume(&mut bench, &mut worker, ConsumeOptions { paused: Some(true), ..credit(10) });
    bench.send(&mut producer, "work", b"1");
    assert_eq!(bodies(&mut bench, &worker).len(), 0);
    consume(&mut bench, &mut worker, credit(10));
    assert_eq!(bodies(&mut bench, &worker), [b"1"]);
}

#[test]
fn headers_only_leaves_the_body_at_the_node_and_says_how_long_it_is() {
    let mut bench = Bench::new();
    let (mut producer, mut lister, mut worker) = (bench.join(1), bench.join(2), bench.join(3));
    consume(&mut bench, &mut lister, ConsumeOptions { headers_only: Some(true), ..credit(10) });
    bench.send(&mut producer, "work", b"a long body");
    let [delivery] = deliveries(&mut bench, &lister)[..] else { panic!("one delivery") };
    assert_eq!((delivery.body, delivery.body_bytes), (&b""[..], Some(11)));
    let (lease, settlement) = (delivery.lease, Settlement::Release);
    bench.say(&mut lister, &[Frame::CancelConsumer { consumer: ONE }]);
    bench.say(&mut lister, &[Frame::Settle { lease, settlement }]);
    consume(&mut bench, &mut worker, credit(10));
    assert_eq!(bodies(&mut bench, &worker), [&b"a long body"[..]]);
}

#[test]
fn one_consumer_is_active_and_the_next_takes_over_when_nothing_of_it_is_out() {
    let mut bench = Bench::new();
    bench.pass_ms(2000);
    let (mut producer, mut one, mut two) = (bench.join(1), bench.join(2), bench.join(3));
    declare(&mut bench, &mut producer, single_active());
    consume(&mut bench, &mut one, credit(1));
    consume(&mut bench, &mut two, credit(1));
    assert_eq!(told_active(&mut bench, &one), Some(true));
    assert_eq!(told_active(&mut bench, &two), Some(false));
    bench.send(&mut producer, "work", b"1");
    bench.send(&mut producer, "work", b"2");
    let held = deliveries(&mut bench, &one);
    assert_eq!((held.len(), bodies(&mut bench, &two).len()), (1, 0));

    bench.say(&mut one, &[Frame::CancelConsumer { consumer: ONE }]);
    let frames = bench.frames(&two);
    assert_eq!(frames, [Frame::ConsumerActive { consumer: ONE, active: true }], "and no delivery");
    let (lease, settlement) = (held[0].lease, Settlement::Ack { value: None });
    bench.say(&mut one, &[Frame::Settle { lease, settlement }]);
    assert_eq!(bodies(&mut bench, &two), [b"2"]);
}

#[test]
fn a_higher_priority_takes_over_once_the_others_messages_are_settled() {
    let mut bench = Bench::new();
    bench.pass_ms(2000);
    let (mut producer, mut low, mut high) = (bench.join(1), bench.join(2), bench.join(3));
    declare(&mut bench, &mut producer, single_active());
    consume(&mut bench, &mut low, credit(5));
    bench.send(&mut producer, "work", b"1");
    consume(&mut bench, &mut high, priority(5, 1));
    bench.send(&mut producer, "work", b"2");
    assert_eq!(told_active(&mut bench, &high), Some(true));
    assert_eq!(ack_all(&mut bench, &mut low), 1);
    assert_eq!(bodies(&mut bench, &high), [b"2"]);
    assert_eq!(bodies(&mut bench, &low).len(), 0);
    // One of the same priority does not take it away.
    let mut equal = bench.join(4);
    consume(&mut bench, &mut equal, priority(5, 1));
    assert_eq!(told_active(&mut bench, &equal), Some(false));
}

#[test]
fn the_next_active_consumer_goes_on_in_order() {
    let mut bench = Bench::new();
    bench.pass_ms(2000);
    let (mut producer, mut first, mut second) = (bench.join(1), bench.join(2), bench.join(3));
    declare(&mut bench, &mut producer, single_active());
    consume(&mut bench, &mut first, credit(3));
    consume(&mut bench, &mut second, credit(3));
    for body in [b"1", b"2", b"3", b"4", b"5"] {
        bench.send(&mut producer, "work", body);
    }
    let held = deliveries(&mut bench, &first);
    assert_eq!(held.iter().map(|held| held.body).collect::<Vec<_>>(), [b"1", b"2", b"3"]);
    let (lease, settlement) = (held[0].lease, Settlement::Ack { value: None });
    bench.say(&mut first, &[Frame::Settle { lease, settlement }]);
    assert_eq!(bodies(&mut bench, &first), [b"4"]);
    assert!(bodies(&mut bench, &second).is_empty());
    bench.say(&mut first, &[Frame::Goodbye { park: false }]);
    assert_eq!(bodies(&mut bench, &second), [b"2", b"3", b"4"]);
    assert_eq!(ack_all(&mut bench, &mut second), 0);
}

#[test]
fn an_active_consumer_that_dies_or_goes_away_is_replaced() {
    for dies in [true, false] {
        let mut bench = Bench::new();
        bench.pass_ms(2000);
        let (mut producer, mut one, mut two) = (bench.join(1), bench.join(2), bench.join(3));
        declare(&mut bench, &mut producer, single_active());
        consume(&mut bench, &mut one, credit(1));
        consume(&mut bench, &mut two, credit(1));
        bench.send(&mut producer, "work", b"1");
        if dies {
            bench.input(Input::Gone { client: client(2) });
        } else {
            bench.input(Input::Disconnected { conn: one.conn });
            assert_eq!(told_active(&mut bench, &two), Some(true));
            assert_eq!(bodies(&mut bench, &two).len(), 0, "the first may still work on it");
            bench.pass_ms(3000);
        }
        assert_eq!(bodies(&mut bench, &two), [b"1"]);
    }
}

#[test]
fn a_new_node_names_nobody_while_the_active_one_may_come_back() {
    let mut bench = Bench::new();
    bench.pass_ms(2000);
    let (mut producer, mut one) = (bench.join(1), bench.join(2));
    declare(&mut bench, &mut producer, single_active());
    consume(&mut bench, &mut one, credit(1));
    bench.send(&mut producer, "work", b"1");
    bench.restart();
    let clients = [client(2), client(3)];
    bench.input(Input::Present { clients: &clients });
    let mut two = bench.join(3);
    consume(&mut bench, &mut two, credit(1));
    bench.say(&mut two, &[Frame::Resumed]);
    assert_eq!(told_active(&mut bench, &two), None);
    let mut one = bench.dial(2, |hello| hello.leases = [tabmq::id::LeaseNumber(1)].into());
    consume(&mut bench, &mut one, priority(1, 9));
    bench.say(&mut one, &[Frame::Resumed]);
    assert_eq!(told_active(&mut bench, &one), Some(true));
    assert_eq!(told_active(&mut bench, &two), None);
}

#[test]
fn a_queue_waits_for_enough_consumers_or_long_enough() {
    let mut bench = Bench::new();
    let (mut producer, mut one, mut two) = (bench.join(1), bench.join(2), bench.join(3));
    let consumers_min = Some(2);
    let options = QueueOptions { consumers_min, ..QueueOptions::default() };
    declare(&mut bench, &mut producer, options.clone());
    bench.send(&mut producer, "work", b"1");
    consume(&mut bench, &mut one, credit(1));
    bench.pass_ms(600_000);
    assert_eq!(bodies(&mut bench, &one).len(), 0);
    consume(&mut bench, &mut two, credit(1));
    assert_eq!(bodies(&mut bench, &one).len() + ack_all(&mut bench, &mut two), 1);
    // It goes on with one, and waits again once there is none.
    for peer in [&mut one, &mut two] {
        bench.say(peer, &[Frame::CancelConsumer { consumer: ONE }]);
    }
    bench.send(&mut producer, "work", b"2");
    let options = QueueOptions { consumers_wait_ms: Some(500), ..options };
    declare(&mut bench, &mut producer, options);
    consume(&mut bench, &mut two, credit(5));
    bench.pass_ms(499);
    assert_eq!(bodies(&mut bench, &two).len(), 0);
    bench.pass_ms(1);
    assert_eq!(bodies(&mut bench, &two), [b"2"]);
}

#[test]
fn a_holder_is_told_that_its_lease_ran_out_and_served_again_once_it_was_heard() {
    let mut bench = Bench::new();
    let (mut producer, mut worker) = (bench.join(1), bench.join(2));
    declare(&mut bench, &mut producer, QueueOptions { single_active: None, ..single_active() });
    consume(&mut bench, &mut worker, credit(1));
    bench.send(&mut producer, "work", b"1");
    let lease = deliveries(&mut bench, &worker)[0].lease;
    bench.pass_ms(3000);
    let told = bench.frames(&worker);
    let refused = Some(Code::StaleLease);
    let expected = [Frame::Ping { nonce: 0 }, Frame::Settled { lease, refused }];
    assert_eq!(told, expected, "and no delivery to one that stands still");
    bench.say(&mut worker, &[Frame::Pong { nonce: 0 }]);
    assert_eq!(deliveries(&mut bench, &worker)[0].attempt, 2);
}

#[test]
fn a_consumer_changes_its_credit_but_not_its_queue() {
    let mut bench = Bench::new();
    let (mut producer, mut worker) = (bench.join(1), bench.join(2));
    consume(&mut bench, &mut worker, credit(1));
    for body in [b"1", b"2", b"3"] {
        bench.send(&mut producer, "work", body);
    }
    assert_eq!(bodies(&mut bench, &worker), [b"1"]);
    consume(&mut bench, &mut worker, credit(2));
    assert_eq!(bodies(&mut bench, &worker), [b"2"]);
    let options = credit(9);
    bench.say(&mut worker, &[Frame::Consume { consumer: ONE, queue: "other", options }]);
    let refused = Some(Code::Invalid);
    assert_eq!(
        bench.frames(&worker),
        [Frame::Consuming { consumer: ONE, refused, single_active: None }]
    );
}
