//! The golden vectors: transport messages and frames as bytes that never change, with what they
//! mean. `vectors/frames.json` and `vectors/messages.json` hold, for each, its name, what it says,
//! its bytes in hex, and its CBOR items as JSON: a byte string is `{"bytes": hex}`, an integer
//! above 2^53 is `{"uint": decimal}`.
//!
//! With `UPDATE_VECTORS=1` the test writes the files anew; only a new protocol version may change
//! a vector, and until the first release the contract itself still moves.

use std::path::{Path, PathBuf};

use minicbor::data::Type;
use minicbor::decode::Decoder;
use serde_json::{Value, json};
use tabmq::error::Code;
use tabmq::id::{
    CallId, ClientId, ConsumerId, Epoch, LaneId, LeaseNumber, LinkNonce, LogId, MessageNumber,
    MethodId, PublishNumber, RequestId, Sequence, ServiceId, SubscriptionId, Term,
};
use tabmq::options::{Backoff, ConsumeOptions, DeadLetter, Durability, HostKind, QueueOptions};
use tabmq::time::UnixMillis;
use tabmq::wire::envelope::{decode_frame, encode_frame};
use tabmq::wire::frame::{
    CallKey, Delivery, Hello, Item, Live, Newest, Outcome, PeerEntry, QueueCounts, Reached,
    Settlement, StorageReport, Welcome,
};
use tabmq::wire::{Envelope, Frame, Message, MessageWriter, Summary};

use crate::tags::tag_of;
use crate::{admin, commits, failure, grants, operate, prepared, publishing, roles, schedules};

pub const CLIENT: ClientId = ClientId(*b"client-client-01");
const OTHER: ClientId = ClientId(*b"client-client-02");
const LOG: LogId = LogId(*b"log-log-log-log-");
/// The CBOR of `[2, 3]`.
const ARGUMENTS: &[u8] = &[0x82, 2, 3];
/// The CBOR of 5.
pub const FIVE: &[u8] = &[5];

const KEY: CallKey = CallKey { caller: CLIENT, call: CallId(1) };

const LIVE: Live<'_> = Live {
    publisher: CLIENT,
    number: PublishNumber(7),
    index: 6,
    topic: "price.eu",
    body: FIVE,
    properties: None,
};

/// A frame, its name in the file and what it says.
pub type Golden = (&'static str, &'static str, Frame<'static>);

/// The frame of this name.
pub fn frame(name: &str) -> Frame<'static> {
    let found = goldens().into_iter().find(|golden| golden.0 == name);
    found.expect("a golden frame has this name").2
}

fn goldens() -> Vec<Golden> {
    let services = admin::goldens_of_services();
    let operated = [failure::goldens(), operate::goldens(), admin::goldens(), services].concat();
    let timed = [publishing::goldens(), schedules::goldens(), prepared::goldens()].concat();
    let rest =
        [operated, commits::goldens(), timed, call(), roles::goldens(), grants::goldens()].concat();
    [link(), live(), queue(), delivery(), rest].concat()
}

fn link() -> Vec<Golden> {
    let hello = Hello {
        version_min: 1,
        version_max: 1,
        features: 0,
        log: None,
        lane: LaneId(0),
        confirmed: Sequence(0),
        floor: Sequence(1),
        fresh: true,
        peer: &[0xa0],
        leases: Vec::new(),
        serving: Vec::new(),
        terms: Vec::new(),
        published: None,
    };
    let resuming = Hello {
        log: Some(LOG),
        lane: LaneId(3),
        confirmed: Sequence(40),
        floor: Sequence(41),
        fresh: false,
        leases: vec![LeaseNumber(12), LeaseNumber(300)],
        serving: vec![CallKey { caller: OTHER, call: CallId(9) }],
        terms: vec![Term(2)],
        published: Some(Reached { number: PublishNumber(7), index: 6 }),
        ..hello.clone()
    };
    let storage =
        StorageReport { persistent: true, fenced: true, durability_max: Durability::Strict };
    let welcome = Welcome {
        version: 1,
        features: 0,
        log: LOG,
        lane: LaneId(3),
        position: Sequence(41),
        resumed: true,
        rolled_back: false,
        newest: vec![Newest { publisher: OTHER, number: PublishNumber(70_000), index: 3 }],
        stale: vec![LeaseNumber(12)],
        storage,
        body_bytes_max: 1 << 20,
        host: Some(HostKind::SharedWorker),
        kept: None,
        grant: None,
        audience: None,
    };
    vec![
        ("hello", "a client's first Hello", Frame::Hello(hello)),
        (
            "hello-resuming",
            "a Hello that names lane, leases, calls and live messages",
            Frame::Hello(resuming),
        ),
        ("welcome", "one publisher is ahead and one lease is dead", Frame::Welcome(welcome)),
        ("hangup", "the peer broke the protocol", Frame::Hangup { code: Code::Protocol }),
        ("ping", "answer with pong", Frame::Ping { nonce: 4_000_000_000 }),
        ("pong", "answers ping", Frame::Pong { nonce: 4_000_000_000 }),
        ("goodbye", "the client leaves and keeps its lane", Frame::Goodbye { park: true }),
        ("announce", "a node is up", Frame::Announce { log: LOG }),
        ("fragment", "not the last part", Frame::Fragment { last: false, bytes: b"part" }),
        ("resumed", "everything was said again", Frame::Resumed),
        ("peer-info", "an empty map for name and tags", Frame::PeerInfo { peer: &[0xa0] }),
        (
            "peers",
            "one peer",
            Frame::Peers { peers: vec![PeerEntry { client: CLIENT, peer: &[0xa0] }] },
        ),
    ]
}

fn live() -> Vec<Golden> {
    let subscription = SubscriptionId(2);
    let (first, last) = (PublishNumber(5), PublishNumber(7));
    vec![
        ("publish", "the seventh of this publisher", Frame::Publish(LIVE)),
        (
            "publish-first",
            "of a new run: no message of it came before",
            Frame::Publish(Live { index: 0, ..LIVE }),
        ),
        ("publish-veiled", "one that its reader may not see", Frame::Publish(LIVE.veiled())),
        ("published", "heard up to 7", Frame::Published { number: PublishNumber(7) }),
        (
            "join-group",
            "a group over a filter",
            Frame::JoinGroup { subscription, filter: "price.#", group: "workers" },
        ),
        ("group-joined", "accepted", Frame::GroupJoined { subscription, refused: None }),
        ("leave-group", "", Frame::LeaveGroup { subscription }),
        ("group-message", "for this member", Frame::GroupMessage { subscription, live: LIVE }),
        (
            "newest-numbers",
            "after traffic",
            Frame::NewestNumbers {
                newest: vec![Newest { publisher: CLIENT, number: PublishNumber(7), index: 6 }],
            },
        ),
        ("repair", "5 to 7 are missing", Frame::Repair { publisher: CLIENT, first, last }),
        (
            "repaired",
            "only 7 is left",
            Frame::Repaired { publisher: CLIENT, first, last, messages: vec![LIVE] },
        ),
    ]
}

fn queue() -> Vec<Golden> {
    let request = RequestId(1);
    let options = QueueOptions {
        durability: Some(Durability::Strict),
        lease_ms: Some(3000),
        backoff: Some(Backoff {
            first_ms: 1000,
            factor_percent: 200,
            wait_ms_max: 300_000,
            jitter_percent: 20,
            step_ms: None,
            ladder_ms: None,
        }),
        dead_letter: Some(DeadLetter::Discard),
        ..QueueOptions::default()
    };
    let plain = Item {
        body: FIVE,
        properties: None,
        delay_ms: None,
        track: None,
        past: None,
        ttl_ms: None,
        priority: None,
        prepare: None,
    };
    let (properties, delay_ms) = (Some(&[0x81, 0x61, b'k'][..]), Some(1500));
    let items = vec![plain, Item { properties, delay_ms, priority: Some(9), ..plain }];
    let counts = QueueCounts::default();
    let state = QueueCounts { ready: 10, leased: 2, consumers: 1, sent_total: 12, ..counts };
    vec![
        ("declare", "absent options are null", Frame::Declare { request, queue: "jobs", options }),
        ("inspect", "", Frame::Inspect { request, queue: "jobs" }),
        ("queue-state", "10 ready, 2 leased", Frame::QueueState { request, state, policy: None }),
        (
            "request-refused",
            "",
            Frame::RequestRefused { request, code: Code::Invalid, reason: "name" },
        ),
        (
            "send",
            "two items as one batch",
            Frame::Send {
                sequence: Sequence(41),
                queue: "jobs",
                refusals_seen: Sequence(0),
                durability: None,
                items,
            },
        ),
        ("sent", "used up to 41", Frame::Sent { position: Sequence(41) }),
        (
            "send-refused",
            "",
            Frame::SendRefused { sequence: Sequence(42), code: Code::Full, reason: "" },
        ),
    ]
}

fn delivery() -> Vec<Golden> {
    let (consumer, lease) = (ConsumerId(4), LeaseNumber(300));
    let delivery = Delivery {
        consumer,
        lease,
        attempt: 2,
        number: MessageNumber(1000),
        lane: LaneId(3),
        sequence: Sequence(41),
        index: 1,
        stored_at: UnixMillis(1_764_000_000_000),
        lease_ms: 30_000,
        body: FIVE,
        properties: None,
        dead_reason: None,
        deaths: None,
        body_bytes: None,
        tracked: None,
        sender: None,
        priority: None,
    };
    let retry = Settlement::Retry { after_ms: Some(250), reason: Some("busy") };
    let reject = Settlement::Reject { reason: None };
    vec![
        (
            "consume",
            "at most 16 messages or 1 MiB",
            Frame::Consume { consumer, queue: "jobs", options: ConsumeOptions::new(16, 1 << 20) },
        ),
        (
            "consume-more",
            "served first, without bodies, paused",
            Frame::Consume {
                consumer,
                queue: "jobs",
                options: ConsumeOptions {
                    priority: Some(7),
                    headers_only: Some(true),
                    paused: Some(true),
                    ..ConsumeOptions::new(16, 1 << 20)
                },
            },
        ),
        ("visible", "the page went out of view", Frame::Visible { visible: false }),
        ("consumer-active", "", Frame::ConsumerActive { consumer, active: true }),
        (
            "consuming",
            "accepted",
            Frame::Consuming { consumer, refused: None, single_active: None },
        ),
        ("cancel-consumer", "", Frame::CancelConsumer { consumer }),
        ("deliver", "the second attempt", Frame::Deliver(delivery)),
        ("settle-ack", "", Frame::Settle { lease, settlement: Settlement::Ack { value: None } }),
        ("settle-retry", "again in 250 ms", Frame::Settle { lease, settlement: retry }),
        ("settle-reject", "to the dead letters", Frame::Settle { lease, settlement: reject }),
        ("settle-release", "", Frame::Settle { lease, settlement: Settlement::Release }),
        (
            "settle-extend",
            "for the queue's length",
            Frame::Settle { lease, settlement: Settlement::Extend { lease_ms: None } },
        ),
        ("settled", "stored", Frame::Settled { lease, refused: None }),
        ("settled-stale", "refused", Frame::Settled { lease, refused: Some(Code::StaleLease) }),
    ]
}

fn call() -> Vec<Golden> {
    let (service, method, call) = (ServiceId(1), MethodId(1), CallId(1));
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let calling = |timeout_ms, first_epoch, traceparent| Frame::Call {
        call,
        method,
        timeout_ms,
        arguments: ARGUMENTS,
        first_epoch,
        traceparent,
    };
    let (key, timeout_ms, arguments) = (KEY, 30_000, ARGUMENTS);
    let dispatch = |traceparent| {
        let method = "add";
        Frame::Dispatch { key, service, method, timeout_ms, arguments, traceparent }
    };
    let lost = Outcome::Failed { code: Code::PeerLost, maybe_executed: true };
    vec![
        ("serve", "", Frame::Serve { service, name: "calc@1", concurrency: 8 }),
        ("serving", "accepted", Frame::Serving { service, refused: None }),
        ("unserve", "", Frame::Unserve { service }),
        ("method", "interns calc@1.add", Frame::Method { method, service: "calc@1", name: "add" }),
        ("call", "add(2, 3)", calling(30_000, None, None)),
        ("call-traced", "a part of a trace", calling(30_000, None, Some(trace))),
        ("call-again", "sent first to the node of epoch 3", calling(12_000, Some(3), None)),
        ("dispatch", "", dispatch(None)),
        ("dispatch-traced", "a part of a trace", dispatch(Some(trace))),
        ("reply", "5", Frame::Reply { key: KEY, outcome: Outcome::Value(FIVE) }),
        ("reply-threw", "", Frame::Reply { key: KEY, outcome: Outcome::Threw(&[0xf6]) }),
        ("reply-taken", "", Frame::ReplyTaken { key: KEY }),
        ("call-result", "5", Frame::CallResult { call, outcome: Outcome::Value(FIVE) }),
        ("call-result-lost", "may have run", Frame::CallResult { call, outcome: lost }),
        ("calls-done", "results below 2 are known", Frame::CallsDone { below: CallId(2) }),
        ("cancel-call", "", Frame::CancelCall { call }),
        ("cancel-dispatch", "", Frame::CancelDispatch { key: KEY }),
    ]
}

/// Whole transport messages: name, what it says, bytes.
fn messages() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let first = Envelope {
        epoch: Epoch::default(),
        client: CLIENT,
        link: LinkNonce(0xfeed_beef_dead_cafe),
        position: 1,
    };
    let later = Envelope {
        epoch: Epoch { counter: 3, incarnation: 0x0123_4567_89ab_cdef },
        position: 2,
        ..first
    };
    let everyone = Envelope { link: LinkNonce(0), position: 0, ..later };
    let message = |envelope: Envelope, names: &[&str]| {
        let mut writer = MessageWriter::new(64 << 10);
        for name in names {
            writer.push(&frame(name));
        }
        writer.take_message(|| envelope).unwrap()
    };
    vec![
        ("first-hello", "a client opens a link", message(first, &["hello"])),
        ("batch", "two frames in one message", message(later, &["method", "call"])),
        ("publish-to-everyone", "no link, no position", message(everyone, &["publish"])),
    ]
}

/// CBOR items, one after another, as JSON.
fn items(bytes: &[u8]) -> Value {
    let mut decoder = Decoder::new(bytes);
    let mut items = Vec::new();
    while decoder.position() < bytes.len() {
        items.push(item(&mut decoder));
    }
    items.into()
}

fn item(decoder: &mut Decoder<'_>) -> Value {
    match decoder.datatype().unwrap() {
        Type::U8 | Type::U16 | Type::U32 | Type::U64 => match decoder.u64().unwrap() {
            number @ 0..0x20_0000_0000_0000 => json!(number),
            number => json!({ "uint": number.to_string() }),
        },
        Type::Bool => decoder.bool().unwrap().into(),
        Type::String => decoder.str().unwrap().into(),
        Type::Bytes => json!({ "bytes": hex(decoder.bytes().unwrap()) }),
        Type::Null => {
            decoder.null().unwrap();
            Value::Null
        }
        Type::Array => {
            let length = decoder.array().unwrap().unwrap();
            (0..length).map(|_| item(decoder)).collect()
        }
        other => unreachable!("frames hold no {other}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/vectors").join(name)
}

/// Compares the file with what this build writes, or writes it anew if asked to.
fn check(file: &str, vectors: Vec<(&'static str, &'static str, Vec<u8>)>) -> Vec<Value> {
    let describe = |(name, says, bytes): (&str, &str, Vec<u8>)| {
        let (hex, items) = (hex(&bytes), items(&bytes));
        json!({ "name": name, "says": says, "hex": hex, "items": items })
    };
    let built: Vec<Value> = vectors.into_iter().map(describe).collect();
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        let lines: Vec<String> = built.iter().map(Value::to_string).collect();
        std::fs::write(path(file), format!("[\n{}\n]\n", lines.join(",\n"))).unwrap();
    }
    let text = std::fs::read_to_string(path(file)).unwrap();
    let stored: Vec<Value> = serde_json::from_str(&text).unwrap();
    for (stored, built) in stored.iter().zip(&built) {
        assert_eq!(stored, built);
    }
    assert_eq!(stored.len(), built.len());
    stored
}

#[test]
fn frames_are_the_bytes_they_always_were() {
    let encoded = |frame: &Frame<'_>| {
        let mut bytes = Vec::new();
        encode_frame(frame, &mut bytes);
        bytes
    };
    let vectors = goldens().iter().map(|(name, says, f)| (*name, *says, encoded(f))).collect();
    let stored = check("frames.json", vectors);
    let mut tags: Vec<u64> = Vec::new();
    for (vector, (_, _, frame)) in stored.iter().zip(goldens()) {
        let bytes = unhex(vector["hex"].as_str().unwrap());
        tags.push(vector["items"][0][0].as_u64().unwrap());
        match frame {
            // Fragments do not fill a message on their own.
            Frame::Fragment { .. } => assert!(decode_frame(&bytes).is_err()),
            frame => assert_eq!(decode_frame(&bytes), Ok(frame)),
        }
    }
    tags.sort_unstable();
    tags.dedup();
    let every_tag: Vec<u64> = (1..=crate::tags::TAG_MAX).collect();
    assert_eq!(tags, every_tag, "each frame has a vector");
}

#[test]
fn messages_are_the_bytes_they_always_were() {
    let stored = check("messages.json", messages());
    let frames = |vector: &Value| {
        let bytes = unhex(vector["hex"].as_str().unwrap());
        Message::parse(&bytes).unwrap().frames().map(Result::unwrap).count()
    };
    assert_eq!(stored.iter().map(frames).collect::<Vec<_>>(), [1, 2, 1]);
}

#[test]
fn the_document_names_every_frame_with_its_tag() {
    let text = include_str!("../../docs/protocol.md");
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        Some((cells.next()?.parse::<u64>().ok()?, cells.next()?.to_owned()))
    };
    let documented: Vec<(u64, String)> = text.lines().filter_map(row).collect();
    let name = |frame: &Frame<'_>| {
        let summary = Summary(frame).to_string();
        summary.split(' ').next().unwrap().to_owned()
    };
    let mut frames: Vec<(u64, String)> =
        goldens().iter().map(|(_, _, frame)| (tag_of(frame), name(frame))).collect();
    frames.sort();
    frames.dedup();
    assert_eq!(documented, frames);
}
