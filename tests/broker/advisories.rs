//! What the node says of queues on topics of its own.

use minicbor::Decoder;
use minicbor::data::Type;
use tabmq::error::Code;
use tabmq::id::{ClientId, ConsumerId, LinkNonce, PublishNumber, RequestId, SubscriptionId};
use tabmq::limits::Limits;
use tabmq::options::{ConsumeOptions, DeadLetter, QueueOptions};
use tabmq::wire::frame::{Live, Redrive, Settlement};
use tabmq::wire::{Envelope, Frame, MessageWriter};

use crate::deaths::{reject, settle};
use crate::harness::{Bench, Peer};
use crate::overflow::{declare, ring, take};

const SUBSCRIPTION: SubscriptionId = SubscriptionId(1);

pub fn listen(bench: &mut Bench, number: u8, filter: &str) -> Peer {
    let mut listener = bench.join(number);
    let join = Frame::JoinGroup { subscription: SUBSCRIPTION, filter, group: "" };
    // Twice, as it may come.
    bench.say(&mut listener, &[join.clone(), join]);
    let joined = Frame::GroupJoined { subscription: SUBSCRIPTION, refused: None };
    assert_eq!(bench.frames(&listener), [joined.clone(), joined]);
    listener
}

/// What was told since the last look: the topic, and the body as text.
pub fn told(bench: &mut Bench, listener: &Peer) -> Vec<(&'static str, String)> {
    let live = |frame| if let Frame::GroupMessage { live, .. } = frame { Some(live) } else { None };
    let lives = bench.frames(listener).into_iter().filter_map(live);
    lives.map(|live| (live.topic, text(live.body))).collect()
}

/// The entries of a map, but for the time and the queue.
fn text(body: &[u8]) -> String {
    let mut decoder = Decoder::new(body);
    let mut entries = Vec::new();
    for _ in 0..decoder.map().unwrap().unwrap() {
        let key = decoder.str().unwrap();
        let value = match decoder.datatype().unwrap() {
            Type::String => decoder.str().unwrap().to_string(),
            Type::Bool => decoder.bool().unwrap().to_string(),
            Type::Bytes => format!("{} bytes", decoder.bytes().unwrap().len()),
            _ => decoder.u64().unwrap().to_string(),
        };
        if key != "at" && key != "queue" {
            entries.push(format!("{key}={value}"));
        }
    }
    entries.join(" ")
}

fn advisory(what: &str, body: &str) -> (&'static str, String) {
    (["$tabmq.queue.", what].concat().leak(), body.to_string())
}

#[test]
fn the_life_of_dead_letters_is_told() {
    let mut bench = Bench::new();
    let listener = listen(&mut bench, 9, "$tabmq.queue.#");
    let mut peer = bench.join(1);
    for body in [b"a", b"b"] {
        bench.send(&mut peer, "jobs", body);
    }
    let held = take(&mut bench, &mut peer, "jobs", 2);
    reject(&mut bench, &mut peer, &held[0], "no");
    bench.pass_ms(30_000);
    bench.frames(&peer);
    let redrive = Redrive { queue: Some("jobs.dead"), ..Redrive::default() };
    bench.say(&mut peer, &[Frame::Redrive { request: RequestId(1), redrive }]);
    let mut told = told(&mut bench, &listener);
    told.retain(|(topic, _)| !topic.contains("consumer"));
    let expected = [
        advisory("dead-lettered.jobs", "number=1 into=jobs.dead reason=rejected note=no"),
        advisory("lease-expired.jobs", "number=2 attempt=1 client=16 bytes"),
        advisory("redriven.jobs.dead", "moved=1"),
    ];
    assert_eq!(told, expected);
}

#[test]
fn full_queues_are_told_of_once_until_they_take_something() {
    let mut bench = Bench::new();
    let listener = listen(&mut bench, 9, "$tabmq.queue.*.small");
    let mut peer = bench.join(1);
    let small = QueueOptions { messages_max: Some(1), ..QueueOptions::default() };
    declare(&mut bench, &mut peer, "small", small);
    for _ in 0..3 {
        bench.send(&mut peer, "small", b"x");
    }
    assert_eq!(told(&mut bench, &listener), [advisory("full.small", "limit=messages_max")]);
    let mut other = bench.join(2);
    let delivery = take(&mut bench, &mut other, "small", 1)[0];
    settle(&mut bench, &mut other, &delivery, Settlement::Ack { value: None });
    bench.say(&mut other, &[Frame::CancelConsumer { consumer: ConsumerId(1) }]);
    for _ in 0..3 {
        bench.send(&mut other, "small", b"x");
    }
    let mut again = told(&mut bench, &listener);
    again.retain(|(topic, _)| topic.contains("full"));
    assert_eq!(again.len(), 1);
}

#[test]
fn what_is_discarded_is_told() {
    let mut bench = Bench::new();
    let listener = listen(&mut bench, 9, "$tabmq.queue.discarded.#");
    let mut peer = bench.join(1);
    declare(&mut bench, &mut peer, "ring", ring(1));
    let gone = QueueOptions { dead_letter: Some(DeadLetter::Discard), ..QueueOptions::default() };
    declare(&mut bench, &mut peer, "gone", gone);
    for queue in ["ring", "ring", "gone"] {
        bench.send(&mut peer, queue, b"x");
    }
    let delivery = take(&mut bench, &mut peer, "gone", 1)[0];
    reject(&mut bench, &mut peer, &delivery, "bad");
    let expected = [
        advisory("discarded.ring", "number=1 reason=overflow"),
        advisory("discarded.gone", "number=3 reason=bad"),
    ];
    assert_eq!(told(&mut bench, &listener), expected);
}

#[test]
fn consumers_are_told_of_once_a_second_and_not_when_they_resume() {
    let mut bench = Bench::new();
    let listener = listen(&mut bench, 9, "$tabmq.queue.#");
    let mut peer = bench.join(1);
    let consume = |consumer| Frame::Consume {
        consumer: ConsumerId(consumer),
        queue: "jobs",
        options: ConsumeOptions::new(1, 100),
    };
    bench.pass_ms(3000);
    assert_eq!(told(&mut bench, &listener), []);
    bench.say(&mut peer, &[consume(1), consume(2)]);
    bench.pass_ms(1500);
    let started = advisory("consumer-started.jobs", "consumers=2 before=0");
    assert_eq!(told(&mut bench, &listener), [started]);
    let (mut peer, _) = bench.hello(1, |hello| hello.lane = peer.lane);
    bench.say(&mut peer, &[consume(1), consume(2)]);
    bench.pass_ms(1500);
    assert_eq!(told(&mut bench, &listener), []);
    bench.say(&mut peer, &[Frame::Goodbye { park: false }]);
    bench.pass_ms(1500);
    let expected = [
        advisory("consumer-stopped.jobs", "consumers=0 before=2"),
        advisory("no-consumers.jobs", "consumers=0 before=2"),
    ];
    assert_eq!(told(&mut bench, &listener), expected);
}

#[test]
fn nothing_is_told_before_it_is_stored() {
    let mut bench = Bench::new();
    let listener = listen(&mut bench, 9, "$tabmq.queue.#");
    let mut peer = bench.join(1);
    bench.send(&mut peer, "jobs", b"a");
    let delivery = take(&mut bench, &mut peer, "jobs", 1)[0];
    bench.hold_storage = true;
    reject(&mut bench, &mut peer, &delivery, "no");
    assert_eq!(told(&mut bench, &listener), []);
    bench.release_storage();
    assert_eq!(told(&mut bench, &listener).len(), 1);
}

#[test]
fn they_are_bounded_and_tell_what_was_left_out() {
    let limits = Limits { advisories_max: 2, ..Limits::default() };
    let mut bench = Bench::with(limits);
    let listener = listen(&mut bench, 9, "$tabmq.queue.discarded.#");
    let mut peer = bench.join(1);
    declare(&mut bench, &mut peer, "ring", ring(1));
    for _ in 0..6 {
        bench.send(&mut peer, "ring", b"x");
    }
    assert_eq!(told(&mut bench, &listener).len(), 2);
    bench.pass_ms(1000);
    bench.send(&mut peer, "ring", b"x");
    let [(_, body)] = &told(&mut bench, &listener)[..] else { panic!("one is told") };
    assert_eq!(body, "missed=3 number=6 reason=overflow");
}

#[test]
fn names_that_are_no_topics_are_in_the_body_alone() {
    let mut bench = Bench::new();
    let listener = listen(&mut bench, 9, "$tabmq.queue.discarded.#");
    let mut peer = bench.join(1);
    let long = "x".repeat(250);
    for queue in ["a..b", "*", &long, "a.b"] {
        declare(&mut bench, &mut peer, queue, ring(0));
        bench.send(&mut peer, queue, b"x");
    }
    let topics: Vec<&str> = told(&mut bench, &listener).iter().map(|(topic, _)| *topic).collect();
    let plain = "$tabmq.queue.discarded";
    assert_eq!(topics, [plain, plain, plain, "$tabmq.queue.discarded.a.b"]);
}

#[test]
fn nobody_else_speaks_on_topics_of_the_system_and_no_wildcard_hears_them() {
    let mut bench = Bench::new();
    let listener = listen(&mut bench, 9, "$tabmq.#");
    let mut peer = bench.join(1);
    let (subscription, filter) = (SubscriptionId(2), "#");
    bench.say(&mut peer, &[Frame::JoinGroup { subscription, filter, group: "" }]);
    let refused = Frame::GroupJoined { subscription, refused: Some(Code::Invalid) };
    assert_eq!(bench.frames(&peer), [refused]);
    bench.say(&mut peer, &[Frame::JoinGroup { subscription, filter, group: "all" }]);
    let live = Live {
        publisher: peer.id,
        number: PublishNumber(1),
        index: 0,
        topic: "$tabmq.queue.full.jobs",
        body: b"",
        properties: None,
    };
    let mut writer = MessageWriter::new(64 << 10);
    writer.push(&Frame::Publish(live));
    let head = || Envelope {
        epoch: tabmq::id::Epoch::default(),
        client: peer.id,
        link: LinkNonce(0),
        position: 0,
    };
    let bytes = writer.take_message(head).expect("a message");
    bench.input(tabmq::broker::io::Input::Heard { bytes: &bytes });
    declare(&mut bench, &mut peer, "ring", ring(0));
    bench.send(&mut peer, "ring", b"x");
    assert_eq!(told(&mut bench, &listener).len(), 1);
    assert_eq!(told(&mut bench, &peer), []);
    assert_ne!(peer.id, ClientId::default());
}
