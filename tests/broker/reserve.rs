//! A store with no room for more: what still works, and how it is emptied.

use tabmq::broker::io::Event;
use tabmq::error::Code;
use tabmq::id::{ConsumerId, LeaseNumber, Sequence};
use tabmq::limits::Limits;
use tabmq::log::RESERVE;
use tabmq::options::ConsumeOptions;
use tabmq::wire::frame::Settlement;
use tabmq::wire::{Frame, Message};

use crate::harness::{Bench, Peer, item, stored_bytes};

const FULL: Event = Event::StorageFull { full: true };
const ROOM: Event = Event::StorageFull { full: false };

fn limits() -> Limits {
    Limits {
        chunk_bytes_max: 4 << 10,
        checkpoint_bytes_min: 32 << 10,
        log_reserve_bytes: 32 << 10,
        ..Limits::default()
    }
}

/// What the peer was told since it last looked.
#[derive(Debug, Default)]
struct Told {
    leases: Vec<LeaseNumber>,
    bodies: Vec<Vec<u8>>,
    sent: Option<Sequence>,
    refused: Vec<(Code, String)>,
    hung_up: bool,
}

fn told(bench: &mut Bench, peer: &Peer) -> Told {
    let mut told = Told::default();
    for bytes in bench.take_messages(peer) {
        let message = Message::parse(&bytes).expect("the node writes transport messages");
        for frame in message.frames() {
            match frame.expect("the node writes frames") {
                Frame::Deliver(delivery) => {
                    told.leases.push(delivery.lease);
                    told.bodies.push(delivery.body.to_vec());
                }
                Frame::Sent { position } => told.sent = Some(position),
                Frame::SendRefused { code, reason, .. } => {
                    told.refused.push((code, reason.to_owned()));
                }
                Frame::Hangup { .. } => told.hung_up = true,
                _ => {}
            }
        }
    }
    told
}

fn send(bench: &mut Bench, peer: &mut Peer, body: &[u8], refusals_seen: Sequence) {
    let (sequence, durability) = (peer.next, None);
    peer.next = sequence.next();
    let (queue, items) = ("work", vec![item(body)]);
    bench.say(peer, &[Frame::Send { sequence, queue, refusals_seen, durability, items }]);
}

fn consume(bench: &mut Bench, peer: &mut Peer) {
    let (consumer, queue, options) = (ConsumerId(1), "work", ConsumeOptions::new(16, u32::MAX));
    bench.say(peer, &[Frame::Consume { consumer, queue, options }]);
}

/// Sends numbered messages until one is refused; gives how many were confirmed.
fn fill(bench: &mut Bench, producer: &mut Peer) -> u32 {
    for number in 0.. {
        let mut body = vec![7; 1000];
        body[..4].copy_from_slice(&u32::to_le_bytes(number));
        send(bench, producer, &body, Sequence(0));
        let told = told(bench, producer);
        assert!(!told.hung_up, "the links stay");
        if let Some((code, reason)) = told.refused.first() {
            assert_eq!((*code, &**reason), (Code::Storage, "quota"));
            return number;
        }
        assert_eq!(told.sent, Some(Sequence(u64::from(number) + 1)));
    }
    unreachable!("the numbers have no end")
}

/// Takes all that there is and settles it as `ack` says; gives the numbers.
fn work_off(bench: &mut Bench, worker: &mut Peer, ack: impl Fn(u32) -> bool) -> Vec<u32> {
    let mut numbers = Vec::new();
    loop {
        let told = told(bench, worker);
        if told.leases.is_empty() {
            return numbers;
        }
        for (lease, body) in told.leases.into_iter().zip(told.bodies) {
            let number = u32::from_le_bytes(body[..4].try_into().unwrap());
            numbers.push(number);
            let later = Settlement::Retry { after_ms: Some(3_600_000), reason: None };
            let settlement = if ack(number) { Settlement::Ack { value: None } } else { later };
            bench.say(worker, &[Frame::Settle { lease, settlement }]);
        }
    }
}

fn with_room(room_bytes: usize) -> Bench {
    let mut bench = Bench::with(limits());
    bench.room_bytes = Some(room_bytes);
    bench
}

#[test]
fn a_full_store_keeps_what_was_confirmed_is_emptied_by_acks_and_takes_sends_again() {
    let mut bench = with_room(500 << 10);
    let (mut producer, mut worker) = (bench.join(1), bench.join(2));
    bench.take_events();
    let sent = fill(&mut bench, &mut producer);
    assert!(sent > 350, "{sent} messages fit");
    assert_eq!(bench.take_events(), [FULL]);
    assert!(!bench.store.values_mut().contains_key(&RESERVE));
    let refused = Sequence(u64::from(sent) + 1);
    consume(&mut bench, &mut worker);
    assert!(work_off(&mut bench, &mut worker, |_| true).into_iter().eq(0..sent));
    assert_eq!(bench.take_events(), [ROOM]);
    assert!(bench.store.values_mut().contains_key(&RESERVE));
    let stored = stored_bytes(&mut bench.store);
    assert!(stored < 100 << 10, "{stored} bytes are left");
    send(&mut bench, &mut producer, b"more", refused);
    assert_eq!(told(&mut bench, &producer).sent, Some(refused.next()));
    bench.restart();
    assert_eq!(bench.node.broker().unwrap().state().queues.values().next().unwrap().messages(), 1);
}

#[test]
fn what_stays_on_a_full_store_is_moved_together() {
    let mut bench = with_room(500 << 10);
    let (mut producer, mut worker) = (bench.join(1), bench.join(2));
    let sent = fill(&mut bench, &mut producer);
    bench.take_events();
    consume(&mut bench, &mut worker);
    // One stays in about every other chunk.
    let numbers = work_off(&mut bench, &mut worker, |number| number % 10 > 0);
    assert!(numbers.into_iter().eq(0..sent));
    assert_eq!(bench.take_events(), [ROOM]);
    let stored = stored_bytes(&mut bench.store);
    assert!(stored < 250 << 10, "{stored} bytes are stored for {} messages", sent / 10);
}

#[test]
fn a_store_may_be_filled_and_emptied_many_times() {
    let mut bench = with_room(300 << 10);
    let (mut producer, mut worker) = (bench.join(1), bench.join(2));
    consume(&mut bench, &mut worker);
    let mut seen = Sequence(0);
    let epoch = bench.node.epoch();
    for _ in 0..10 {
        // Nothing is settled until the store is full.
        let mut held = Vec::new();
        loop {
            send(&mut bench, &mut producer, &[7; 5000], seen);
            held.extend(told(&mut bench, &worker).leases);
            let told = told(&mut bench, &producer);
            assert!(!told.hung_up);
            if !told.refused.is_empty() {
                seen = Sequence(producer.next.0 - 1);
                break;
            }
        }
        assert!(held.len() > 10, "{} messages fit", held.len());
        for lease in held {
            bench.say(
                &mut worker,
                &[Frame::Settle { lease, settlement: Settlement::Ack { value: None } }],
            );
        }
        work_off(&mut bench, &mut worker, |_| true);
        let events = bench.take_events();
        assert_eq!(events.last(), Some(&ROOM), "{events:?}");
    }
    assert_eq!(bench.node.epoch(), epoch, "no broker was made anew");
}

#[test]
fn room_that_others_make_is_found_without_a_write() {
    let mut bench = with_room(100 << 10);
    let (mut producer, _) = (bench.join(1), bench.join(2));
    let sent = fill(&mut bench, &mut producer);
    assert!(sent > 30);
    bench.room_bytes = Some(200 << 10);
    bench.take_events();
    bench.pass_ms(9_999);
    assert_eq!(bench.take_events(), []);
    bench.pass_ms(1);
    assert_eq!(bench.take_events(), [ROOM]);
}

#[test]
fn a_node_that_starts_on_a_full_store_refuses_sends_and_hands_out_what_is_there() {
    let mut bench = with_room(300 << 10);
    let mut producer = bench.join(1);
    let sent = fill(&mut bench, &mut producer);
    bench.restart();
    bench.take_events();
    let (mut producer, mut worker) = (bench.join(3), bench.join(2));
    assert!(bench.take_events().contains(&FULL), "the reserve found no room");
    producer.next = Sequence(1);
    send(&mut bench, &mut producer, b"more", Sequence(0));
    assert_eq!(told(&mut bench, &producer).refused[0].0, Code::Storage);
    consume(&mut bench, &mut worker);
    assert!(work_off(&mut bench, &mut worker, |_| true).into_iter().eq(0..sent));
    assert!(bench.take_events().contains(&ROOM));
}

#[test]
fn a_commit_that_not_even_the_reserve_makes_room_for_is_thrown_away() {
    let mut bench = with_room(100 << 10);
    let mut producer = bench.join(1);
    let (lane, log) = (producer.lane, producer.log);
    bench.take_events();
    send(&mut bench, &mut producer, &[7; 200 << 10], Sequence(0));
    let events = bench.take_events();
    assert!(events.contains(&FULL), "{events:?}");
    assert!(told(&mut bench, &producer).hung_up);
    let (_, welcome) = bench.hello(1, |hello| {
        hello.lane = lane;
        hello.log = log;
    });
    assert!(welcome.resumed);
    assert_eq!(welcome.position, Sequence(0), "nothing of it is there");
    bench.pass_ms(10_000);
    assert_eq!(bench.take_events().last(), Some(&ROOM));
}

#[test]
fn without_a_reserve_no_room_is_kept() {
    let mut bench = Bench::with(Limits { log_reserve_bytes: 0, ..limits() });
    let mut producer = bench.join(1);
    bench.send(&mut producer, "work", b"kept");
    assert!(!bench.store.values_mut().contains_key(&RESERVE));
    let store = bench.store.clone();
    let mut bench = Bench::cold(store, limits());
    bench.settle();
    bench.join(1);
    assert!(bench.store.values_mut().contains_key(&RESERVE), "with one it is");
    let mut bench = Bench::cold(bench.store, Limits { log_reserve_bytes: 0, ..limits() });
    bench.settle();
    bench.join(1);
    assert!(!bench.store.values_mut().contains_key(&RESERVE), "and goes again");
}
