use tabmq::broker::{Grant, Granting};
use tabmq::cbor;
use tabmq::error::Code;
use tabmq::id::{
    CallId, CandidateId, CheckerId, ConsumerId, MessageNumber, MethodId, QueueId, RequestId,
    Sequence, ServiceId, SubscriptionId, WatchId,
};
use tabmq::limits::{GRANT_PATTERNS_MAX, Limits, USER_BYTES_MAX};
use tabmq::options::{ConsumeOptions, DeadLetter, QueueOptions};
use tabmq::time::UnixMillis;
use tabmq::wire::Frame;
use tabmq::wire::frame::{
    Browse, Filter, History, Item, Outcome, Past, Policy, Redrive, Scheduling, Staged, Task, When,
};

use crate::harness::{Bench, Peer, item};

pub fn grant(granting: &Granting<'_>) -> Grant {
    Grant::new(granting, &Limits::DEFAULTS).expect("a valid grant")
}

/// A part of a grant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum List {
    Publish,
    Subscribe,
    Consume,
    Serve,
    Call,
    Admin,
}

const ALL: [List; 6] =
    [List::Publish, List::Subscribe, List::Consume, List::Serve, List::Call, List::Admin];

/// A grant of these alone, for all names.
fn grant_of(lists: &[List]) -> Grant {
    let every: &[&str] = &["#"];
    let patterns = |list| if lists.contains(&list) { every } else { &[] };
    grant(&Granting {
        user: "ada",
        expires_at: None,
        publish: patterns(List::Publish),
        subscribe: patterns(List::Subscribe),
        consume: patterns(List::Consume),
        serve: patterns(List::Serve),
        call: patterns(List::Call),
        admin: lists.contains(&List::Admin),
    })
}

fn grant_without(lists: &[List]) -> Grant {
    grant_of(&ALL.into_iter().filter(|list| !lists.contains(list)).collect::<Vec<_>>())
}

const REQUEST: RequestId = RequestId(7);
const AT: When<'_> = When::At { at: UnixMillis(u64::MAX >> 12) };

fn send(peer: &Peer, items: Vec<Item<'static>>) -> Frame<'static> {
    let (sequence, refusals_seen) = (peer.next, Sequence(0));
    Frame::Send { sequence, queue: "q", refusals_seen, durability: None, items }
}

fn schedule(peer: &Peer, latest: Option<&'static str>) -> Frame<'static> {
    let item = item(if latest.is_some() { b"" } else { b"x" });
    let scheduling = Scheduling { key: "k", when: AT, item, latest };
    let (sequence, refusals_seen) = (peer.next, Sequence(0));
    Frame::Schedule { sequence, queue: "q", refusals_seen, durability: None, scheduling }
}

fn declare(options: QueueOptions) -> Frame<'static> {
    Frame::Declare { request: REQUEST, queue: "q", options }
}

fn redrive(task: Option<Task>, ids: Option<Vec<&'static str>>) -> Frame<'static> {
    let filter = Some(Filter { ids, ..Filter::default() });
    let redrive = Redrive { queue: Some("q"), filter, task, ..Redrive::default() };
    Frame::Redrive { request: REQUEST, redrive }
}

fn dead_item() -> Item<'static> {
    let mut deaths = Vec::new();
    cbor::encode(&History::default(), &mut deaths);
    let deaths = Some(&*deaths.leak());
    let past = Some(Past { attempts: 0, stored_at: UnixMillis(1), deaths });
    Item { past, ..item(b"x") }
}

/// What a frame needs: all of the lists, or any of them.
enum Needs {
    All(&'static [List]),
    Any(&'static [List]),
}

type Case = (Needs, fn(&Peer) -> Frame<'static>);

fn sending_cases() -> Vec<Case> {
    use List::*;
    vec![
        (Needs::All(&[Publish]), |peer| send(peer, vec![item(b"x")])),
        (Needs::All(&[Publish, Admin]), |peer| send(peer, vec![dead_item()])),
        (Needs::All(&[Publish]), |peer| Frame::Commit {
            sequence: peer.next,
            refusals_seen: Sequence(0),
            durability: None,
            writes: vec![Staged { queue: "q", items: vec![item(b"x")] }],
            acks: Vec::new(),
        }),
        (Needs::All(&[Publish]), |peer| schedule(peer, None)),
        (Needs::All(&[Publish, Subscribe]), |peer| schedule(peer, Some("a.b"))),
    ]
}

fn queue_cases() -> Vec<Case> {
    use List::*;
    vec![
        (Needs::All(&[Publish]), |_| Frame::Decide {
            request: REQUEST,
            queue: "q",
            id: "i",
            commit: true,
            durability: None,
        }),
        (Needs::All(&[Publish]), |_| Frame::Unschedule {
            request: REQUEST,
            queue: "q",
            number: MessageNumber(1),
        }),
        (Needs::All(&[Publish]), |_| Frame::ListSchedules {
            request: REQUEST,
            queue: "q",
            after: None,
        }),
        (Needs::All(&[Publish]), |_| Frame::Track {
            request: REQUEST,
            queue: "q",
            id: "i",
            processed: true,
        }),
        (Needs::Any(&[Publish, Admin]), |_| redrive(Some(Task::Cancel), Some(vec!["i"]))),
        (Needs::All(&[Admin]), |_| redrive(Some(Task::Cancel), None)),
        (Needs::All(&[Admin]), |_| redrive(Some(Task::Discard), Some(vec!["i"]))),
        (Needs::All(&[Admin]), |_| redrive(None, None)),
        (Needs::All(&[Consume]), |_| Frame::Consume {
            consumer: ConsumerId(1),
            queue: "q",
            options: ConsumeOptions::new(1, 1),
        }),
        (Needs::All(&[Consume]), |_| Frame::Browse {
            request: REQUEST,
            queue: "q",
            browse: Browse {
                after: MessageNumber(0),
                messages_max: 1,
                delayed: true,
                leased: true,
                headers_only: false,
            },
        }),
        (Needs::All(&[Consume]), |_| Frame::Checker { checker: CheckerId(1), queue: Some("q") }),
        (Needs::Any(&[Consume, Publish]), |_| declare(QueueOptions::default())),
        (Needs::All(&[Publish]), |_| {
            let dead_letter = Some(DeadLetter::Queue("d".into()));
            declare(QueueOptions { dead_letter, ..QueueOptions::default() })
        }),
        (Needs::All(&[Publish]), |_| {
            declare(QueueOptions { expired: Some("e".into()), ..QueueOptions::default() })
        }),
        (Needs::Any(&[Consume, Publish, Admin]), |_| Frame::Inspect {
            request: REQUEST,
            queue: "q",
        }),
        (Needs::Any(&[Consume, Publish, Admin]), |_| Frame::WatchQueue {
            watch: WatchId(1),
            queue: "q",
        }),
    ]
}

fn other_cases() -> Vec<Case> {
    use List::*;
    vec![
        (Needs::All(&[Subscribe]), |_| Frame::JoinGroup {
            subscription: SubscriptionId(1),
            filter: "a.#",
            group: "g",
        }),
        (Needs::All(&[Serve]), |_| Frame::Serve {
            service: ServiceId(1),
            name: "s",
            concurrency: 1,
        }),
        (Needs::All(&[Serve]), |_| Frame::Stand {
            candidate: CandidateId(1),
            role: "r",
            holds: None,
        }),
        (Needs::All(&[Call]), |_| call(1, None)),
        (Needs::All(&[Admin]), |_| Frame::Pause {
            request: REQUEST,
            queue: "q",
            paused: true,
            for_ms: None,
        }),
        (Needs::All(&[Admin]), |_| Frame::Purge {
            request: REQUEST,
            queue: "q",
            through: MessageNumber(100),
        }),
        (Needs::All(&[Admin]), |_| Frame::DeleteQueue {
            request: REQUEST,
            queue: "q",
            id: QueueId(1),
            if_unused: false,
            if_empty: false,
        }),
        (Needs::All(&[Admin]), |_| Frame::ListQueues {
            request: REQUEST,
            after: None,
            filter: None,
        }),
        (Needs::All(&[Admin]), |_| Frame::SetPolicy {
            request: REQUEST,
            name: "p",
            policy: Some(Policy {
                name: "p",
                pattern: "#",
                priority: 0,
                options: QueueOptions { lease_ms: Some(1), ..QueueOptions::default() },
            }),
        }),
        (Needs::All(&[Admin]), |_| Frame::ListPolicies { request: REQUEST }),
        (Needs::All(&[Admin]), |_| Frame::ListServices { request: REQUEST, after: None }),
        (Needs::All(&[Admin]), |_| Frame::Trace { request: REQUEST, queue: "q", traced: true }),
    ]
}

fn call(number: u32, first_epoch: Option<u64>) -> Frame<'static> {
    Frame::Call {
        call: CallId(number),
        method: MethodId(1),
        timeout_ms: 1000,
        arguments: b"",
        first_epoch,
        traceparent: None,
    }
}

/// A node with the queue `q`, and in it a message of a tab of the device.
fn bench_with_queue() -> Bench {
    let mut bench = Bench::new();
    let mut owner = bench.join(9);
    bench.send(&mut owner, "q", b"theirs");
    bench
}

fn digest(bench: &Bench) -> u64 {
    bench.node.broker().expect("the node serves").digest()
}

/// The code and reason by which the last of these frames refuses something.
pub fn refusal(frames: &[Frame<'static>]) -> Option<(Code, &'static str)> {
    frames.iter().find_map(|frame| match *frame {
        Frame::RequestRefused { code, reason, .. } | Frame::SendRefused { code, reason, .. } => {
            Some((code, reason))
        }
        Frame::GroupJoined { refused, .. }
        | Frame::Consuming { refused, .. }
        | Frame::QueueStats { refused, .. }
        | Frame::Check { refused, .. }
        | Frame::Serving { refused, .. }
        | Frame::Depose { refused, .. } => refused.map(|code| (code, "")),
        Frame::CallResult { outcome: Outcome::Failed { code, .. }, .. } => Some((code, "")),
        _ => None,
    })
}

fn is_refused(frames: &[Frame<'static>]) -> bool {
    refusal(frames).is_some_and(|(code, _)| code == Code::NotAuthorized)
}

/// A peer of that grant says the frame. Gives the answer and whether anything changed.
fn try_out(grant: Grant, frame: fn(&Peer) -> Frame<'static>) -> (Vec<Frame<'static>>, bool) {
    let mut bench = bench_with_queue();
    let mut peer = bench.join_granted(1, grant);
    let method = Frame::Method { method: MethodId(1), service: "s", name: "m" };
    bench.say(&mut peer, &[method]);
    bench.frames(&peer);
    let before = digest(&bench);
    let said = frame(&peer);
    bench.say(&mut peer, &[said]);
    let answer = bench.frames(&peer);
    bench.say(&mut peer, &[Frame::Ping { nonce: 1 }]);
    assert_eq!(bench.frames(&peer), [Frame::Pong { nonce: 1 }], "the link is up");
    (answer, digest(&bench) != before)
}

fn check(cases: Vec<Case>, uses_numbers_up: bool) {
    for (index, (needs, frame)) in cases.into_iter().enumerate() {
        let (sufficient, insufficient) = match needs {
            Needs::All(lists) => {
                let lacking = lists.iter().map(|list| grant_without(&[*list]));
                (vec![grant_of(lists)], lacking.collect::<Vec<_>>())
            }
            Needs::Any(lists) => {
                let single = lists.iter().map(|list| grant_of(&[*list]));
                (single.collect(), vec![grant_without(lists)])
            }
        };
        for grant in sufficient.into_iter().chain([Grant::ALL]) {
            let (answer, _) = try_out(grant, frame);
            assert!(!is_refused(&answer), "case {index}: {answer:?}");
        }
        for grant in insufficient {
            let (answer, changed) = try_out(grant, frame);
            assert!(is_refused(&answer), "case {index}: {answer:?}");
            assert_eq!(changed, uses_numbers_up, "case {index}");
        }
    }
}

#[test]
fn a_send_needs_what_it_does() {
    check(sending_cases(), true);
}

#[test]
fn a_request_about_a_queue_needs_what_it_does() {
    check(queue_cases(), false);
}

#[test]
fn every_other_frame_needs_what_it_does() {
    check(other_cases(), false);
}

#[test]
fn a_refused_send_uses_its_number_up_and_stores_nothing() {
    let mut bench = bench_with_queue();
    let mut peer = bench.join_granted(1, grant_of(&[]));
    let first = send(&peer, vec![item(b"x")]);
    let sequence = peer.next;
    let refused = Frame::SendRefused { sequence, code: Code::NotAuthorized, reason: "publish" };
    bench.say(&mut peer, std::slice::from_ref(&first));
    assert_eq!(bench.frames(&peer), [refused, Frame::Sent { position: sequence }]);
    bench.node.renew(bench.now, peer.conn, grant_of(&[List::Publish]));
    bench.say(&mut peer, &[first]);
    let again = bench.frames(&peer);
    assert_eq!(refusal(&again), Some((Code::NotAuthorized, "refused before")), "it stays refused");
    peer.next = sequence.next();
    bench.send(&mut peer, "q", b"behind");
    let behind = bench.frames(&peer);
    assert_eq!(refusal(&behind), Some((Code::Full, "behind-refused")));
    let (sequence, items) = (peer.next, vec![item(b"y")]);
    let refusals_seen = Sequence(sequence.0 - 1);
    bench.say(
        &mut peer,
        &[Frame::Send { sequence, queue: "q", refusals_seen, durability: None, items }],
    );
    assert_eq!(bench.frames(&peer), [Frame::Sent { position: sequence }]);
}

#[test]
fn patterns_bound_a_grant_word_by_word() {
    let mut bench = bench_with_queue();
    let publish = &["a.*", "b.#", "*"][..];
    let subscribe = &["x.#", "$tabmq.queue.#"][..];
    let granting = Granting { user: "ada", publish, subscribe, ..Granting::default() };
    let mut peer = bench.join_granted(1, grant(&granting));
    for (queue, allowed) in [
        ("a.b", true),
        ("a", true),
        ("a.b.c", false),
        ("b", true),
        ("b.c.d", true),
        ("c.d", false),
        ("$tabmq", false),
        ("$tabmq.queue.full.q", false),
    ] {
        bench.say(&mut peer, &[Frame::Inspect { request: REQUEST, queue }]);
        let code = refusal(&bench.frames(&peer)).map(|(code, _)| code);
        let expected = if allowed { Code::NotFound } else { Code::NotAuthorized };
        assert_eq!(code, Some(expected), "{queue}");
    }
    for (filter, group, allowed) in [
        ("x.y.*", "g", true),
        ("x.#", "g", true),
        ("#", "g", false),
        ("*.y", "g", false),
        ("$tabmq.queue.*.q", "", true),
        ("$tabmq.#", "", false),
    ] {
        let subscription = SubscriptionId(1);
        bench.say(&mut peer, &[Frame::JoinGroup { subscription, filter, group }]);
        let refused = Some(Code::NotAuthorized).filter(|_| !allowed);
        let answer = bench.frames(&peer);
        assert_eq!(answer, [Frame::GroupJoined { subscription, refused }], "{filter}");
        bench.say(&mut peer, &[Frame::LeaveGroup { subscription }]);
    }
    let subscription = SubscriptionId(2);
    bench.say(&mut peer, &[Frame::JoinGroup { subscription, filter: "a..b", group: "g" }]);
    let refused = Some(Code::Invalid);
    assert_eq!(bench.frames(&peer), [Frame::GroupJoined { subscription, refused }]);
}

#[test]
fn a_grant_that_means_nothing_is_refused() {
    let refused = |granting: &Granting<'_>| {
        let refused = Grant::new(granting, &Limits::DEFAULTS).expect_err("it is refused");
        (refused.code, refused.reason)
    };
    let granting = Granting { user: "ada", ..Granting::default() };
    let bad = &["a", "b..c"][..];
    for (granting, list) in [
        (Granting { publish: bad, ..granting }, "publish"),
        (Granting { subscribe: bad, ..granting }, "subscribe"),
        (Granting { consume: bad, ..granting }, "consume"),
        (Granting { serve: bad, ..granting }, "serve"),
        (Granting { call: &[""], ..granting }, "call"),
        (Granting { user: "", ..granting }, "user"),
        (Granting { user: "a\n", ..granting }, "user"),
    ] {
        assert_eq!(refused(&granting), (Code::Invalid, list));
    }
    let many = vec!["a"; GRANT_PATTERNS_MAX + 1];
    let refused_many = refused(&Granting { call: &many, ..granting });
    assert_eq!(refused_many, (Code::TooLarge, "grant_patterns_max"));
    let long = "u".repeat(USER_BYTES_MAX + 1);
    let refused_long = refused(&Granting { user: &long, ..granting });
    assert_eq!(refused_long, (Code::TooLarge, "user_bytes_max"));
    let most = &many[1..];
    let longest = &long[1..];
    let grant = grant(&Granting { user: longest, call: most, ..granting });
    assert_eq!(grant.user(), Some(longest));
    assert_eq!((Grant::ALL.user(), Grant::ALL.expires_at()), (None, None));
}

#[test]
fn who_has_no_business_with_a_queue_is_not_told_that_it_is_gone() {
    let mut bench = bench_with_queue();
    let consume = &["q"][..];
    let granting = Granting { user: "ada", consume, ..Granting::default() };
    let concerned = bench.join_granted(1, grant(&granting));
    let other = bench.join_granted(2, grant(&Granting { consume: &["p"], ..granting }));
    let mut owner = bench.join(9);
    let id = QueueId(1);
    bench.say(
        &mut owner,
        &[Frame::DeleteQueue {
            request: REQUEST,
            queue: "q",
            id,
            if_unused: false,
            if_empty: false,
        }],
    );
    assert_eq!(bench.frames(&concerned), [Frame::QueueDeleted { queue: "q" }]);
    assert_eq!(bench.frames(&other), []);
}
