//! Producers that want to know what becomes of their messages.

use tabmq::error::Code;
use tabmq::id::{ConsumerId, LeaseNumber, MessageNumber, RequestId, Sequence};
use tabmq::limits::Limits;
use tabmq::options::{ConsumeOptions, DeadLetter, QueueOptions};
use tabmq::wire::Frame;
use tabmq::wire::frame::{Delivery, Item, Properties, Settlement, Tracking};

use crate::harness::{Bench, Peer, item};

const REQUEST: RequestId = RequestId(5);

fn send_tracked(bench: &mut Bench, peer: &mut Peer, properties: Option<&[u8]>) -> String {
    let sequence = peer.next;
    peer.next = sequence.next();
    let items = vec![Item { track: Some(true), properties, ..item(b"job") }];
    let (refusals_seen, durability) = (Sequence(0), None);
    bench.say(peer, &[Frame::Send { sequence, queue: "q", refusals_seen, durability, items }]);
    format!("{}-{}-0", peer.lane.0, sequence.0)
}

fn take(bench: &mut Bench, peer: &mut Peer) -> Delivery<'static> {
    let options = ConsumeOptions::new(100, 1 << 20);
    bench.say(peer, &[Frame::Consume { consumer: ConsumerId(1), queue: "q", options }]);
    let delivery = |frame| if let Frame::Deliver(delivery) = frame { Some(delivery) } else { None };
    bench.frames(peer).into_iter().find_map(delivery).expect("a delivery")
}

fn settle(bench: &mut Bench, peer: &mut Peer, lease: LeaseNumber, settlement: Settlement<'_>) {
    bench.say(peer, &[Frame::Settle { lease, settlement }]);
}

fn track(bench: &mut Bench, peer: &mut Peer, id: &str, processed: bool) -> Vec<Frame<'static>> {
    bench.frames(peer);
    bench.say(peer, &[Frame::Track { request: REQUEST, queue: "q", id, processed }]);
    bench.frames(peer)
}

fn answer(outcome: Tracking<'static>) -> Vec<Frame<'static>> {
    vec![Frame::Tracked { request: REQUEST, outcome }]
}

fn missing() -> Vec<Frame<'static>> {
    vec![Frame::RequestRefused { request: REQUEST, code: Code::NotFound, reason: "" }]
}

#[test]
fn a_producer_hears_of_the_delivery_and_gets_what_the_handler_returned() {
    let mut bench = Bench::new();
    let (mut producer, mut worker) = (bench.join(1), bench.join(2));
    let id = send_tracked(&mut bench, &mut producer, None);
    assert_eq!(track(&mut bench, &mut producer, &id, false), []);
    let delivery = take(&mut bench, &mut worker);
    assert_eq!(delivery.tracked, Some(true));
    assert_eq!(bench.frames(&producer), answer(Tracking::Delivered));

    assert_eq!(track(&mut bench, &mut producer, &id, true), []);
    bench.say(&mut worker, &[Frame::Progress { lease: delivery.lease, value: b"half" }]);
    let progressed = Frame::Progressed { request: REQUEST, value: b"half" };
    assert_eq!(bench.frames(&producer), [progressed]);
    bench.hold_storage = true;
    let value = Some(&b"done"[..]);
    settle(&mut bench, &mut worker, delivery.lease, Settlement::Ack { value });
    assert_eq!(bench.frames(&producer), [], "nothing before it is stored");
    bench.release_storage();
    assert_eq!(bench.frames(&producer), answer(Tracking::Processed { value }));
    // And whoever asks later, also another client.
    assert_eq!(track(&mut bench, &mut worker, &id, true), answer(Tracking::Processed { value }));
}

#[test]
fn a_result_outlives_its_node_until_its_time_is_over() {
    let limits = Limits { result_keep_ms: 5000, ..Limits::default() };
    let mut bench = Bench::with(limits);
    let (mut producer, mut worker) = (bench.join(1), bench.join(2));
    let id = send_tracked(&mut bench, &mut producer, None);
    let lease = take(&mut bench, &mut worker).lease;
    bench.restart();
    let mut worker = bench.dial(2, |hello| hello.leases = vec![lease]);
    let value = Some(&b"done"[..]);
    settle(&mut bench, &mut worker, lease, Settlement::Ack { value });
    bench.restart();
    let mut producer = bench.join(1);
    let done = answer(Tracking::Processed { value });
    assert_eq!(track(&mut bench, &mut producer, &id, true), done);
    bench.pass_ms(4999);
    assert_eq!(track(&mut bench, &mut producer, &id, true), done);
    bench.pass_ms(1);
    assert_eq!(track(&mut bench, &mut producer, &id, true), missing());
    bench.restart();
    let mut producer = bench.join(1);
    assert_eq!(track(&mut bench, &mut producer, &id, true), missing());
}

#[test]
fn a_message_that_fails_tells_why() {
    let failed = |code, reason| answer(Tracking::Failed { code, reason });
    let mut bench = Bench::new();
    let (mut producer, mut worker) = (bench.join(1), bench.join(2));
    let id = send_tracked(&mut bench, &mut producer, None);
    let lease = take(&mut bench, &mut worker).lease;
    settle(&mut bench, &mut worker, lease, Settlement::Reject { reason: Some("bad") });
    let told = track(&mut bench, &mut producer, &id, true);
    assert_eq!(told, failed(Code::DeadLettered, "bad"));

    bench.say(&mut worker, &[Frame::CancelConsumer { consumer: ConsumerId(1) }]);
    let id = send_tracked(&mut bench, &mut producer, None);
    assert_eq!(track(&mut bench, &mut producer, &id, true), []);
    let purge = Frame::Purge { request: RequestId(6), queue: "q", through: MessageNumber(99) };
    bench.say(&mut worker, &[purge]);
    assert_eq!(bench.frames(&producer), failed(Code::Discarded, "purged"));
}

#[test]
fn a_discarded_message_is_told_as_discarded() {
    let mut bench = Bench::new();
    let (mut producer, mut worker) = (bench.join(1), bench.join(2));
    let options =
        QueueOptions { dead_letter: Some(DeadLetter::Discard), ..QueueOptions::default() };
    bench.say(&mut producer, &[Frame::Declare { request: RequestId(1), queue: "q", options }]);
    let id = send_tracked(&mut bench, &mut producer, None);
    let lease = take(&mut bench, &mut worker).lease;
    settle(&mut bench, &mut worker, lease, Settlement::Reject { reason: Some("bad") });
    let (code, reason) = (Code::Discarded, "bad");
    let told = track(&mut bench, &mut producer, &id, true);
    assert_eq!(told, answer(Tracking::Failed { code, reason }));
}

#[test]
fn a_message_is_found_by_its_own_id() {
    let mut bench = Bench::new();
    let (mut producer, mut worker) = (bench.join(1), bench.join(2));
    let mut properties = Vec::new();
    let named = Properties { id: Some("order-7"), ..Properties::default() };
    tabmq::cbor::encode(&named, &mut properties);
    send_tracked(&mut bench, &mut producer, Some(&properties));
    let lease = take(&mut bench, &mut worker).lease;
    settle(&mut bench, &mut worker, lease, Settlement::Ack { value: None });
    let told = track(&mut bench, &mut producer, "order-7", true);
    assert_eq!(told, answer(Tracking::Processed { value: None }));
}

#[test]
fn what_is_not_tracked_is_not_found_and_its_value_is_not_kept() {
    let mut bench = Bench::new();
    let (mut producer, mut worker) = (bench.join(1), bench.join(2));
    let sequence = bench.send(&mut producer, "q", b"job");
    let id = format!("{}-{}-0", producer.lane.0, sequence.0);
    assert_eq!(track(&mut bench, &mut producer, &id, true), missing());
    let delivery = take(&mut bench, &mut worker);
    assert_eq!(delivery.tracked, None);
    settle(&mut bench, &mut worker, delivery.lease, Settlement::Ack { value: Some(b"lost") });
    assert_eq!(track(&mut bench, &mut producer, &id, true), missing());
    assert_eq!(track(&mut bench, &mut producer, "nonsense", true), missing());
}

#[test]
fn the_oldest_results_go_when_there_are_too_many_or_too_long() {
    let limits = Limits { results_max: 2, results_bytes_max: 100, ..Limits::default() };
    let mut bench = Bench::with(limits);
    let (mut producer, mut worker) = (bench.join(1), bench.join(2));
    let mut ids = Vec::new();
    for length in [1, 1, 1, 100] {
        ids.push(send_tracked(&mut bench, &mut producer, None));
        let lease = take(&mut bench, &mut worker).lease;
        let value = vec![7; length];
        settle(&mut bench, &mut worker, lease, Settlement::Ack { value: Some(&value) });
    }
    for (id, kept) in ids.iter().zip([false, false, false, true]) {
        let told = track(&mut bench, &mut producer, id, true);
        assert_eq!(told != missing(), kept, "{id}");
    }
}

#[test]
fn those_who_wait_are_bounded_and_forgotten_with_their_link() {
    let limits = Limits { trackers_max: 1, ..Limits::default() };
    let mut bench = Bench::with(limits);
    let (mut producer, mut other) = (bench.join(1), bench.join(2));
    let id = send_tracked(&mut bench, &mut producer, None);
    assert_eq!(track(&mut bench, &mut producer, &id, true), []);
    let full = Frame::RequestRefused { request: REQUEST, code: Code::Full, reason: "trackers_max" };
    assert_eq!(track(&mut bench, &mut other, &id, true), [full]);
    bench.input(tabmq::broker::io::Input::Disconnected { conn: producer.conn });
    assert_eq!(track(&mut bench, &mut other, &id, true), []);
}
