//! Queues as a whole: paused, emptied, deleted, looked into, kept by one client, given up.

use tabmq::broker::io::Input;
use tabmq::error::Code;
use tabmq::id::{ConsumerId, MessageNumber, RequestId};
use tabmq::limits::Limits;
use tabmq::options::{ConsumeOptions, QueueOptions};
use tabmq::wire::Frame;
use tabmq::wire::frame::{Browse, Delivery, QueueCounts, QueueMessage, QueuePlace, Settlement};

use crate::harness::{Bench, Peer, client, item};

const ONE: ConsumerId = ConsumerId(1);
const REQUEST: RequestId = RequestId(9);

fn ask(bench: &mut Bench, peer: &mut Peer, frame: Frame<'_>) -> Frame<'static> {
    bench.frames(peer);
    bench.say(peer, &[frame]);
    let answer = |frame: &Frame<'_>| !matches!(frame, Frame::QueueDeleted { .. });
    bench.frames(peer).into_iter().rfind(answer).expect("an answer")
}

fn declare(bench: &mut Bench, peer: &mut Peer, options: QueueOptions) -> Frame<'static> {
    ask(bench, peer, Frame::Declare { request: REQUEST, queue: "q", options })
}

fn state(bench: &mut Bench, peer: &mut Peer) -> QueueCounts {
    match ask(bench, peer, Frame::Inspect { request: REQUEST, queue: "q" }) {
        Frame::QueueState { state, .. } => state,
        other => panic!("not the state of a queue: {other:?}"),
    }
}

fn consume(bench: &mut Bench, peer: &mut Peer, prefetch: u32) -> Vec<Delivery<'static>> {
    let options = ConsumeOptions::new(prefetch, 1 << 20);
    bench.say(peer, &[Frame::Consume { consumer: ONE, queue: "q", options }]);
    deliveries(bench, peer)
}

fn deliveries(bench: &mut Bench, peer: &Peer) -> Vec<Delivery<'static>> {
    let delivery = |frame| if let Frame::Deliver(delivery) = frame { Some(delivery) } else { None };
    bench.frames(peer).into_iter().filter_map(delivery).collect()
}

fn pause(bench: &mut Bench, peer: &mut Peer, paused: bool, for_ms: Option<u64>) -> Frame<'static> {
    ask(bench, peer, Frame::Pause { request: REQUEST, queue: "q", paused, for_ms })
}

fn purge(bench: &mut Bench, peer: &mut Peer, through: MessageNumber) -> Frame<'static> {
    ask(bench, peer, Frame::Purge { request: REQUEST, queue: "q", through })
}

fn counted(count: u64) -> Frame<'static> {
    Frame::Counted { request: REQUEST, count }
}

fn refused(code: Code, reason: &'static str) -> Frame<'static> {
    Frame::RequestRefused { request: REQUEST, code, reason }
}

fn page(bench: &mut Bench, peer: &mut Peer, browse: Browse) -> (Vec<QueueMessage<'static>>, bool) {
    match ask(bench, peer, Frame::Browse { request: REQUEST, queue: "q", browse }) {
        Frame::Browsed { messages, more, .. } => (messages, more),
        other => panic!("not a page: {other:?}"),
    }
}

fn from_start(messages_max: u32) -> Browse {
    let after = MessageNumber(0);
    Browse { after, messages_max, delayed: false, leased: false, headers_only: false }
}

#[test]
fn a_paused_queue_takes_sends_and_serves_nobody_until_it_is_started() {
    let mut bench = Bench::new();
    let (mut producer, mut worker) = (bench.join(1), bench.join(2));
    bench.send(&mut producer, "q", b"1");
    pause(&mut bench, &mut producer, true, None);
    assert_eq!(consume(&mut bench, &mut worker, 9).len(), 0);
    bench.restart();
    let (mut producer, mut worker) = (bench.join(1), bench.join(2));
    bench.send(&mut producer, "q", b"2");
    assert_eq!(consume(&mut bench, &mut worker, 9).len(), 0, "a pause outlives its node");
    assert!(state(&mut bench, &mut producer).paused);
    pause(&mut bench, &mut producer, false, None);
    assert_eq!(deliveries(&mut bench, &worker).len(), 2);
}

#[test]
fn a_pause_may_end_by_itself() {
    let mut bench = Bench::new();
    let (mut producer, mut worker) = (bench.join(1), bench.join(2));
    bench.send(&mut producer, "q", b"1");
    pause(&mut bench, &mut producer, true, Some(1000));
    assert_eq!(consume(&mut bench, &mut worker, 9).len(), 0);
    bench.pass_ms(999);
    assert_eq!(deliveries(&mut bench, &worker).len(), 0);
    bench.pass_ms(1);
    assert_eq!(deliveries(&mut bench, &worker).len(), 1);
    assert!(!state(&mut bench, &mut producer).paused);
}

#[test]
fn a_purge_takes_what_was_there_and_is_not_delivered() {
    let mut bench = Bench::new();
    let (mut producer, mut worker) = (bench.join(1), bench.join(2));
    for body in [b"1", b"2", b"3"] {
        bench.send(&mut producer, "q", body);
    }
    assert_eq!(consume(&mut bench, &mut worker, 1).len(), 1);
    let through = state(&mut bench, &mut producer).newest;
    bench.send(&mut producer, "q", b"4");
    assert_eq!(purge(&mut bench, &mut producer, through), counted(2));
    // Asked again, as after a lost answer, it takes nothing that came since.
    assert_eq!(purge(&mut bench, &mut producer, through), counted(0));
    let now = state(&mut bench, &mut producer);
    assert_eq!((now.ready, now.leased, now.discarded_total), (1, 1, 2));
    bench.restart();
    let mut producer = bench.join(1);
    let now = state(&mut bench, &mut producer);
    assert_eq!((now.ready, now.leased, now.discarded_total), (1, 1, 2));
}

#[test]
fn a_deleted_queue_ends_its_consumers_and_leases_and_everyone_is_told() {
    let mut bench = Bench::new();
    let (mut producer, mut worker) = (bench.join(1), bench.join(2));
    bench.send(&mut producer, "q", b"1");
    bench.send(&mut producer, "q", b"2");
    let lease = consume(&mut bench, &mut worker, 1)[0].lease;
    let id = state(&mut bench, &mut producer).id;
    let delete = |if_unused, if_empty| {
        let request = REQUEST;
        Frame::DeleteQueue { request, queue: "q", id, if_unused, if_empty }
    };
    let in_use = refused(Code::Invalid, "if_unused");
    assert_eq!(ask(&mut bench, &mut producer, delete(true, false)), in_use);
    let not_empty = refused(Code::Invalid, "if_empty");
    assert_eq!(ask(&mut bench, &mut producer, delete(false, true)), not_empty);
    let before = bench.node.broker().unwrap().digest();
    assert_eq!(ask(&mut bench, &mut producer, delete(true, true)), in_use);
    assert_eq!(bench.node.broker().unwrap().digest(), before, "a refusal changes nothing");

    assert_eq!(ask(&mut bench, &mut producer, delete(false, false)), counted(2));
    let told = bench.frames(&worker);
    let gone = Some(Code::NotFound);
    assert!(told.contains(&Frame::Consuming { consumer: ONE, refused: gone, single_active: None }));
    assert!(told.contains(&Frame::QueueDeleted { queue: "q" }));
    bench.say(&mut worker, &[Frame::Settle { lease, settlement: Settlement::Ack { value: None } }]);
    let stale = Some(Code::StaleLease);
    assert_eq!(bench.frames(&worker), [Frame::Settled { lease, refused: stale }]);

    // Another queue of that name is another queue.
    bench.send(&mut producer, "q", b"3");
    assert_eq!(ask(&mut bench, &mut producer, delete(false, false)), counted(0));
    assert_eq!(state(&mut bench, &mut producer).ready, 1);
    bench.restart();
    let mut producer = bench.join(1);
    let now = state(&mut bench, &mut producer);
    assert_eq!((now.ready, now.leased, now.sent_total), (1, 0, 1));
}

#[test]
fn a_browser_sees_pages_in_order_and_takes_nothing() {
    let mut bench = Bench::new();
    let (mut producer, mut worker) = (bench.join(1), bench.join(2));
    for body in [b"1", b"2", b"3", b"4"] {
        bench.send(&mut producer, "q", body);
    }
    let late = tabmq::wire::frame::Item { delay_ms: Some(60_000), ..item(b"5") };
    let sequence = producer.next;
    bench.say(
        &mut producer,
        &[Frame::Send {
            sequence,
            queue: "q",
            refusals_seen: tabmq::id::Sequence(0),
            durability: None,
            items: vec![late],
        }],
    );
    assert_eq!(consume(&mut bench, &mut worker, 1).len(), 1);
    let bodies = |page: &[QueueMessage<'static>]| page.iter().map(|m| m.body).collect::<Vec<_>>();
    let (first, more) = page(&mut bench, &mut producer, from_start(2));
    assert_eq!((bodies(&first), more), (vec![&b"2"[..], b"3"], true));
    let next = Browse { after: first[1].number, ..from_start(2) };
    let (second, more) = page(&mut bench, &mut producer, next);
    assert_eq!((bodies(&second), more), (vec![&b"4"[..]], false));

    let all = Browse { delayed: true, leased: true, headers_only: true, ..from_start(100) };
    let (all, _) = page(&mut bench, &mut producer, all);
    let places: Vec<QueuePlace> = all.iter().map(|message| message.place).collect();
    let ready = QueuePlace::Ready;
    assert_eq!(places, [QueuePlace::Leased, ready, ready, ready, QueuePlace::Delayed]);
    assert_eq!((all[0].body, all[0].body_bytes), (&b""[..], 1));
    assert_eq!(all[4].due_at.map(|at| at.0), Some(bench.now.unix.0 + 60_000));
    let now = state(&mut bench, &mut producer);
    assert_eq!((now.ready, now.delayed, now.leased, now.redelivered_total), (3, 1, 1, 0));
}

#[test]
fn a_browser_reads_bodies_back_that_are_in_storage_alone() {
    let limits = Limits { chunk_bytes_max: 1024, resident_bytes_max: 2048, ..Limits::default() };
    let mut bench = Bench::with(limits);
    let mut producer = bench.join(1);
    let bodies: Vec<Vec<u8>> = (0..40).map(|number| vec![number; 200]).collect();
    for body in &bodies {
        bench.send(&mut producer, "q", body);
    }
    let mut seen = Vec::new();
    let mut after = MessageNumber(0);
    loop {
        let browse = Browse { after, ..from_start(7) };
        let (messages, more) = page(&mut bench, &mut producer, browse);
        after = messages.last().expect("a page that is not the end is not empty").number;
        seen.extend(messages.iter().map(|message| message.body.to_vec()));
        if !more {
            break;
        }
    }
    assert_eq!(seen, bodies);
}

#[test]
fn an_exclusive_queue_serves_its_owner_alone_and_goes_with_it() {
    let limits = Limits { park_ms: 5000, ..Limits::default() };
    let mut bench = Bench::with(limits);
    bench.pass_ms(2000);
    let (mut owner, mut other) = (bench.join(1), bench.join(2));
    let options = QueueOptions { exclusive: Some(true), ..QueueOptions::default() };
    declare(&mut bench, &mut owner, options.clone());
    bench.send(&mut other, "q", b"anyone may send");
    bench.frames(&other);
    let locked = refused(Code::NotAuthorized, "exclusive");
    assert_eq!(declare(&mut bench, &mut other, options), locked);
    assert_eq!(purge(&mut bench, &mut other, MessageNumber(9)), locked);
    let browse = Frame::Browse { request: REQUEST, queue: "q", browse: from_start(1) };
    assert_eq!(ask(&mut bench, &mut other, browse), locked);
    consume(&mut bench, &mut other, 1);
    assert_eq!(consume(&mut bench, &mut owner, 1).len(), 1);

    // A reload is not the end: the client is back in time.
    bench.input(Input::Gone { client: client(1) });
    bench.pass_ms(3000);
    assert_eq!(state(&mut bench, &mut other).sent_total, 1);
    let mut owner = bench.dial(1, |hello| hello.fresh = true);
    bench.pass_ms(9000);
    assert_eq!(state(&mut bench, &mut owner).sent_total, 1);
    bench.input(Input::Gone { client: client(1) });
    bench.pass_ms(7000);
    let missing = refused(Code::NotFound, "");
    let inspect = Frame::Inspect { request: REQUEST, queue: "q" };
    assert_eq!(ask(&mut bench, &mut other, inspect), missing);
}

#[test]
fn a_queue_that_nobody_uses_goes_when_it_says_so_but_never_with_messages() {
    let mut bench = Bench::new();
    bench.pass_ms(2000);
    let (mut producer, mut worker) = (bench.join(1), bench.join(2));
    let idle_ms_max = Some(3000);
    declare(&mut bench, &mut producer, QueueOptions { idle_ms_max, ..QueueOptions::default() });
    bench.send(&mut producer, "q", b"1");
    bench.pass_ms(60_000);
    let lease = consume(&mut bench, &mut worker, 1)[0].lease;
    bench.say(&mut worker, &[Frame::Settle { lease, settlement: Settlement::Ack { value: None } }]);
    bench.pass_ms(60_000);
    assert_eq!(state(&mut bench, &mut producer).consumers, 1);
    bench.say(&mut worker, &[Frame::CancelConsumer { consumer: ONE }]);
    bench.pass_ms(2000);
    assert_eq!(state(&mut bench, &mut producer).consumers, 0);
    bench.pass_ms(2500);
    let inspect = Frame::Inspect { request: REQUEST, queue: "q" };
    assert_eq!(ask(&mut bench, &mut producer, inspect), refused(Code::NotFound, ""));
}

#[test]
fn what_is_not_there_is_not_found() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let missing = refused(Code::NotFound, "");
    assert_eq!(pause(&mut bench, &mut peer, true, None), missing);
    assert_eq!(purge(&mut bench, &mut peer, MessageNumber(1)), missing);
    let browse = Frame::Browse { request: REQUEST, queue: "q", browse: from_start(1) };
    assert_eq!(ask(&mut bench, &mut peer, browse), missing);
}
