//! Queues that order by key: who waits for whom, through failures, deaths and checkpoints.

use tabmq::cbor;
use tabmq::error::Code;
use tabmq::id::{ConsumerId, RequestId, Sequence};
use tabmq::limits::Limits;
use tabmq::options::{Backoff, DeadLetter, OnFailure, Order, QueueOptions};
use tabmq::wire::Frame;
use tabmq::wire::frame::{Delivery, Item, Properties, Redrive, Settlement};

use crate::harness::{Bench, Peer, item};
use crate::overflow::{bodies, counts, declare, deliveries, take};

const ACK: Settlement<'static> = Settlement::Ack { value: None };
const RETRY: Settlement<'static> = Settlement::Retry { after_ms: None, reason: None };

fn by_key(on_failure: Option<OnFailure>) -> QueueOptions {
    let backoff = Backoff {
        first_ms: 1000,
        factor_percent: 100,
        wait_ms_max: 1000,
        jitter_percent: 0,
        step_ms: None,
        ladder_ms: None,
    };
    QueueOptions {
        order: Some(Order::Key),
        on_failure,
        backoff: Some(backoff),
        lease_ms: Some(3000),
        ..QueueOptions::default()
    }
}

fn properties(key: Option<&str>) -> Vec<u8> {
    let mut bytes = Vec::new();
    cbor::encode(&Properties { key, ..Properties::default() }, &mut bytes);
    bytes
}

/// Sends bodies of which the first letter is the key; those that begin with `-` have none.
fn send(bench: &mut Bench, peer: &mut Peer, bodies: &[&str], delay_ms: Option<u64>) {
    for body in bodies {
        let key = body.get(..1).filter(|key| *key != "-");
        let properties = properties(key);
        let sequence = peer.next;
        peer.next = sequence.next();
        let properties = Some(&*properties);
        let items = vec![Item { properties, delay_ms, ..item(body.as_bytes()) }];
        let (refusals_seen, durability, queue) = (Sequence(0), None, "work");
        bench.say(peer, &[Frame::Send { sequence, queue, refusals_seen, durability, items }]);
    }
}

fn settle(bench: &mut Bench, peer: &mut Peer, delivery: &Delivery<'_>, settlement: Settlement<'_>) {
    bench.say(peer, &[Frame::Settle { lease: delivery.lease, settlement }]);
}

/// Settles each delivery and gives what came then.
fn settle_all(
    bench: &mut Bench,
    peer: &mut Peer,
    all: &[Delivery<'static>],
    settlement: Settlement<'_>,
) -> Vec<Delivery<'static>> {
    bench.frames(peer);
    for delivery in all {
        settle(bench, peer, delivery, settlement);
    }
    deliveries(bench, peer)
}

fn begun(on_failure: Option<OnFailure>, sent: &[&str]) -> (Bench, Peer, Vec<Delivery<'static>>) {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    declare(&mut bench, &mut peer, "work", by_key(on_failure));
    send(&mut bench, &mut peer, sent, None);
    let first = take(&mut bench, &mut peer, "work", 10);
    (bench, peer, first)
}

#[test]
fn a_key_is_out_once_and_others_and_those_without_are_free() {
    let (mut bench, mut peer, first) = begun(None, &["a1", "a2", "b1", "-1", "a3", "-2", "b2"]);
    assert_eq!(bodies(&first), [b"a1", b"b1", b"-1", b"-2"]);
    let next = settle_all(&mut bench, &mut peer, &first[..1], ACK);
    assert_eq!(bodies(&next), [b"a2"]);
    let next = settle_all(&mut bench, &mut peer, &next, Settlement::Release);
    assert_eq!(bodies(&next), [b"a2"]);
    let next = settle_all(&mut bench, &mut peer, &next, Settlement::Reject { reason: None });
    assert_eq!(bodies(&next), [b"a3"]);
    let next = settle_all(&mut bench, &mut peer, &first[1..], ACK);
    assert_eq!(bodies(&next), [b"b2"]);
}

#[test]
fn the_next_of_a_key_goes_to_any_consumer() {
    let mut bench = Bench::new();
    let (mut one, mut two) = (bench.join(1), bench.join(2));
    declare(&mut bench, &mut one, "work", by_key(None));
    let first = take(&mut bench, &mut one, "work", 1);
    assert!(first.is_empty());
    take(&mut bench, &mut two, "work", 1);
    send(&mut bench, &mut one, &["a1", "a2", "b1"], None);
    let (of_one, of_two) = (deliveries(&mut bench, &one), deliveries(&mut bench, &two));
    assert_eq!((bodies(&of_one), bodies(&of_two)), (vec![&b"b1"[..]], vec![&b"a1"[..]]));
    settle(&mut bench, &mut one, &of_one[0], ACK);
    assert_eq!(deliveries(&mut bench, &one), []);
    bench.say(&mut two, &[Frame::CancelConsumer { consumer: ConsumerId(1) }]);
    settle(&mut bench, &mut two, &of_two[0], ACK);
    assert_eq!(bodies(&deliveries(&mut bench, &one)), [b"a2"]);
}

#[test]
fn a_holder_that_stands_still_stalls_its_keys_for_its_lease_and_no_others() {
    let mut bench = Bench::new();
    let (mut one, mut two) = (bench.join(1), bench.join(2));
    declare(&mut bench, &mut one, "work", by_key(None));
    take(&mut bench, &mut one, "work", 1);
    send(&mut bench, &mut one, &["a1", "a2", "b1", "b2"], None);
    assert_eq!(bodies(&deliveries(&mut bench, &one)), [b"a1"]);
    let of_two = take(&mut bench, &mut two, "work", 5);
    assert_eq!(bodies(&of_two), [b"b1"]);
    let next = settle_all(&mut bench, &mut two, &of_two, ACK);
    assert_eq!(bodies(&next), [b"b2"]);
    settle(&mut bench, &mut two, &next[0], ACK);
    bench.pass_ms(3001);
    let again = deliveries(&mut bench, &two);
    assert_eq!((bodies(&again), again[0].attempt), (vec![&b"a1"[..]], 2));
    let next = settle_all(&mut bench, &mut two, &again, ACK);
    assert_eq!(bodies(&next), [b"a2"]);
}

#[test]
fn a_failure_blocks_its_key_until_it_succeeds() {
    let (mut bench, mut peer, first) = begun(Some(OnFailure::BlockKey), &["a1", "a2", "b1", "b2"]);
    let next = settle_all(&mut bench, &mut peer, &first[..1], RETRY);
    assert!(next.is_empty());
    let next = settle_all(&mut bench, &mut peer, &first[1..], ACK);
    assert_eq!(bodies(&next), [b"b2"]);
    bench.pass_ms(1001);
    let again = deliveries(&mut bench, &peer);
    assert_eq!((bodies(&again), again[0].attempt), (vec![&b"a1"[..]], 2));
    let next = settle_all(&mut bench, &mut peer, &again, ACK);
    assert_eq!(bodies(&next), [b"a2"]);
}

#[test]
fn a_failure_is_skipped_or_overtaken_where_the_queue_says_so() {
    let (mut bench, mut peer, first) = begun(Some(OnFailure::Skip), &["a1", "a2"]);
    let next = settle_all(&mut bench, &mut peer, &first, RETRY);
    assert_eq!(bodies(&next), [b"a2"]);
    assert_eq!(counts(&mut bench, &mut peer, "work.dead").ready, 1);

    let (mut bench, mut peer, first) = begun(Some(OnFailure::Reorder), &["a1", "a2", "a3"]);
    let next = settle_all(&mut bench, &mut peer, &first, RETRY);
    assert_eq!(bodies(&next), [b"a2"]);
    bench.pass_ms(1001);
    assert!(deliveries(&mut bench, &peer).is_empty(), "a2 is out");
    let next = settle_all(&mut bench, &mut peer, &next, ACK);
    assert_eq!((bodies(&next), next[0].attempt), (vec![&b"a1"[..]], 2));
}

#[test]
fn one_key_for_all_orders_the_whole_queue_through_failures_and_take_over() {
    let mut bench = Bench::new();
    let (mut one, mut two) = (bench.join(1), bench.join(2));
    declare(&mut bench, &mut one, "work", by_key(None));
    take(&mut bench, &mut one, "work", 9);
    take(&mut bench, &mut two, "work", 9);
    send(&mut bench, &mut one, &["k1", "k2", "k3", "k4", "k5", "k6"], None);
    let mut seen = Vec::new();
    for turn in 0..30 {
        for peer in [&mut one, &mut two] {
            for delivery in deliveries(&mut bench, peer) {
                seen.push((delivery.body, delivery.attempt));
                match (delivery.body, delivery.attempt) {
                    (b"k2", 1) => settle(&mut bench, peer, &delivery, RETRY),
                    (b"k4", 1) => {}
                    _ => settle(&mut bench, peer, &delivery, ACK),
                }
            }
        }
        bench.pass_ms(if turn % 2 == 0 { 1 } else { 600 });
    }
    let told: [(&[u8], u32); 8] = [
        (b"k1", 1),
        (b"k2", 1),
        (b"k2", 2),
        (b"k3", 1),
        (b"k4", 1),
        (b"k4", 2),
        (b"k5", 1),
        (b"k6", 1),
    ];
    assert_eq!(seen, told);
}

#[test]
fn a_delayed_message_takes_its_place_when_it_is_due() {
    let (mut bench, mut peer, _) = begun(None, &[]);
    send(&mut bench, &mut peer, &["a1"], Some(500));
    send(&mut bench, &mut peer, &["a2", "a3"], None);
    let first = deliveries(&mut bench, &peer);
    assert_eq!(bodies(&first), [b"a2"]);
    bench.pass_ms(501);
    let next = settle_all(&mut bench, &mut peer, &first, ACK);
    assert_eq!(bodies(&next), [b"a1"]);
}

#[test]
fn what_leaves_a_blocked_key_frees_it() {
    let (mut bench, mut peer, first) = begun(None, &["a1"]);
    settle(&mut bench, &mut peer, &first[0], RETRY);
    let newest = counts(&mut bench, &mut peer, "work").newest;
    send(&mut bench, &mut peer, &["a2"], None);
    assert!(deliveries(&mut bench, &peer).is_empty());
    let (request, queue, through) = (RequestId(7), "work", newest);
    bench.say(&mut peer, &[Frame::Purge { request, queue, through }]);
    assert_eq!(bodies(&deliveries(&mut bench, &peer)), [b"a2"]);
}

#[test]
fn what_expires_in_a_blocked_key_frees_it() {
    let (mut bench, mut peer, first) = begun(None, &["a1"]);
    let ttl = QueueOptions { ttl_ms: Some(500), ..QueueOptions::default() };
    assert_eq!(refusal(&mut bench, &mut peer, ttl), None);
    let next = settle_all(&mut bench, &mut peer, &first, ACK);
    assert!(next.is_empty());
    send(&mut bench, &mut peer, &["b1"], None);
    let next = deliveries(&mut bench, &peer);
    assert_eq!(bodies(&next), [b"b1"]);
    let lasting = QueueOptions { ttl_ms: Some(60_000), ..QueueOptions::default() };
    assert_eq!(refusal(&mut bench, &mut peer, lasting), None);
    send(&mut bench, &mut peer, &["b2"], None);
    assert!(settle_all(&mut bench, &mut peer, &next, RETRY).is_empty());
    bench.pass_ms(501);
    assert_eq!(bodies(&deliveries(&mut bench, &peer)), [b"b2"]);
}

#[test]
fn locks_and_keys_survive_checkpoint_and_death() {
    for checkpoint_bytes_min in [0, 1 << 20] {
        let mut bench = Bench::with(Limits { checkpoint_bytes_min, ..Limits::default() });
        let mut peer = bench.join(1);
        declare(&mut bench, &mut peer, "work", by_key(None));
        send(&mut bench, &mut peer, &["a1", "a2", "b1", "b2", "c1", "c2"], None);
        let first = take(&mut bench, &mut peer, "work", 10);
        assert_eq!(bodies(&first), [b"a1", b"b1", b"c1"]);
        settle(&mut bench, &mut peer, &first[0], RETRY);
        settle(&mut bench, &mut peer, &first[1], ACK);
        assert_eq!(bodies(&deliveries(&mut bench, &peer)), [b"b2"]);
        bench.restart();
        let mut other = bench.join(2);
        assert!(take(&mut bench, &mut other, "work", 10).is_empty());
        bench.pass_ms(1001);
        let again = deliveries(&mut bench, &other);
        assert_eq!((bodies(&again), again[0].attempt), (vec![&b"a1"[..]], 2));
        let next = settle_all(&mut bench, &mut other, &again, ACK);
        assert_eq!(bodies(&next), [b"a2"]);
    }
}

#[test]
fn dead_letters_keep_their_keys_and_come_back_in_order() {
    for checkpoint_bytes_min in [0, 1 << 20] {
        let mut bench = Bench::with(Limits { checkpoint_bytes_min, ..Limits::default() });
        let mut peer = bench.join(1);
        declare(&mut bench, &mut peer, "work", by_key(Some(OnFailure::Skip)));
        send(&mut bench, &mut peer, &["a1", "a2", "-1"], None);
        let first = take(&mut bench, &mut peer, "work", 10);
        let next = settle_all(&mut bench, &mut peer, &first, RETRY);
        settle(&mut bench, &mut peer, &next[0], RETRY);
        bench.restart();
        let mut other = bench.join(2);
        take(&mut bench, &mut other, "work", 10);
        let redrive = Redrive { queue: Some("work.dead"), ..Redrive::default() };
        bench.say(&mut other, &[Frame::Redrive { request: RequestId(9), redrive }]);
        let back = deliveries(&mut bench, &other);
        assert_eq!(bodies(&back), [b"a1", b"-1"]);
        let next = settle_all(&mut bench, &mut other, &back[..1], ACK);
        assert_eq!(bodies(&next), [b"a2"]);
    }
}

#[test]
fn a_queue_that_was_used_before_it_was_declared_orders_what_is_in_it() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    send(&mut bench, &mut peer, &["a1", "a2", "b1", "b2"], None);
    let first = take(&mut bench, &mut peer, "work", 1);
    assert_eq!(bodies(&first), [b"a1"]);
    declare(&mut bench, &mut peer, "work", by_key(None));
    let others = take(&mut bench, &mut peer, "work", 9);
    assert_eq!(bodies(&others), [b"b1"]);
    let next = settle_all(&mut bench, &mut peer, &first, ACK);
    assert_eq!(bodies(&next), [b"a2"]);
}

#[test]
fn many_messages_of_a_blocked_key_do_not_keep_others_waiting() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    declare(&mut bench, &mut peer, "work", by_key(None));
    let many = vec!["a"; 5000];
    send(&mut bench, &mut peer, &many, None);
    let first = take(&mut bench, &mut peer, "work", 10);
    assert_eq!(bodies(&first), [b"a"]);
    send(&mut bench, &mut peer, &["b", "-"], None);
    assert_eq!(bodies(&deliveries(&mut bench, &peer)), [b"b", b"-"]);
}

fn refusal(bench: &mut Bench, peer: &mut Peer, options: QueueOptions) -> Option<(Code, String)> {
    bench.frames(peer);
    bench.say(peer, &[Frame::Declare { request: RequestId(5), queue: "work", options }]);
    match bench.frames(peer).pop() {
        Some(Frame::RequestRefused { code, reason, .. }) => Some((code, reason.to_owned())),
        _ => None,
    }
}

#[test]
fn what_has_no_meaning_is_refused_and_the_order_stays() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let on_failure = Some(OnFailure::Reorder);
    let alone = QueueOptions { on_failure, ..QueueOptions::default() };
    let fifo = QueueOptions { order: Some(Order::Fifo), ..alone.clone() };
    let invalid = Some((Code::Invalid, "on_failure".to_owned()));
    assert_eq!(refusal(&mut bench, &mut peer, alone.clone()), invalid);
    assert_eq!(refusal(&mut bench, &mut peer, fifo), invalid);
    let fifo = QueueOptions { order: Some(Order::Fifo), ..QueueOptions::default() };
    assert_eq!(refusal(&mut bench, &mut peer, fifo.clone()), None);
    assert_eq!(refusal(&mut bench, &mut peer, alone), invalid);
    let differs = Some((Code::DuplicateDeclare, "order".to_owned()));
    assert_eq!(refusal(&mut bench, &mut peer, by_key(None)), differs);
}

#[test]
fn what_a_failure_does_can_change() {
    let (mut bench, mut peer, first) = begun(None, &["a1", "a2", "a3"]);
    settle(&mut bench, &mut peer, &first[0], RETRY);
    assert!(deliveries(&mut bench, &peer).is_empty());
    let reorder = QueueOptions { on_failure: Some(OnFailure::Reorder), ..QueueOptions::default() };
    assert_eq!(refusal(&mut bench, &mut peer, reorder), None);
    let own_grave = QueueOptions {
        dead_letter: Some(DeadLetter::Queue("work".to_owned())),
        ..QueueOptions::default()
    };
    assert!(refusal(&mut bench, &mut peer, own_grave).is_some(), "structural");
    assert_eq!(counts(&mut bench, &mut peer, "work").leased, 1);
}
