//! Policies: options for all queues whose names fit a pattern.

use tabmq::error::Code;
use tabmq::id::RequestId;
use tabmq::limits::Limits;
use tabmq::options::{DeadLetter, Overflow, QueueOptions};
use tabmq::wire::Frame;
use tabmq::wire::frame::Policy;

use crate::harness::{Bench, Peer};
use crate::overflow::{counts, declare, ring, take};

const REQUEST: RequestId = RequestId(60);

fn policy(name: &'static str, pattern: &'static str, options: QueueOptions) -> Policy<'static> {
    Policy { name, pattern, priority: 0, options }
}

fn ask(bench: &mut Bench, peer: &mut Peer, frame: Frame<'_>) -> Frame<'static> {
    bench.frames(peer);
    bench.say(peer, &[frame]);
    bench.frames(peer).pop().expect("an answer")
}

fn set(bench: &mut Bench, peer: &mut Peer, policy: Policy<'_>) -> Frame<'static> {
    let (request, name) = (REQUEST, policy.name);
    ask(bench, peer, Frame::SetPolicy { request, name, policy: Some(policy) })
}

fn remove(bench: &mut Bench, peer: &mut Peer, name: &str) -> Frame<'static> {
    ask(bench, peer, Frame::SetPolicy { request: REQUEST, name, policy: None })
}

fn policy_of(bench: &mut Bench, peer: &mut Peer, queue: &str) -> Option<&'static str> {
    match ask(bench, peer, Frame::Inspect { request: REQUEST, queue }) {
        Frame::QueueState { policy, .. } => policy,
        other => panic!("not the state of a queue: {other:?}"),
    }
}

fn counted(count: u64) -> Frame<'static> {
    Frame::Counted { request: REQUEST, count }
}

fn refused(code: Code, reason: &'static str) -> Frame<'static> {
    Frame::RequestRefused { request: REQUEST, code, reason }
}

#[test]
fn a_policy_changes_queues_that_are_there_and_those_to_come() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    for body in [b"1", b"2", b"3"] {
        bench.send(&mut peer, "log.eu", body);
        bench.send(&mut peer, "jobs", body);
    }
    assert_eq!(set(&mut bench, &mut peer, policy("rings", "log.#", ring(2))), counted(1));
    assert_eq!(counts(&mut bench, &mut peer, "log.eu").ready, 2);
    assert_eq!(counts(&mut bench, &mut peer, "jobs").ready, 3);
    for body in [b"1", b"2", b"3"] {
        bench.send(&mut peer, "log.us", body);
    }
    assert_eq!(counts(&mut bench, &mut peer, "log.us").ready, 2);
    assert_eq!(policy_of(&mut bench, &mut peer, "log.us"), Some("rings"));
    assert_eq!(policy_of(&mut bench, &mut peer, "jobs"), None);
    assert_eq!(remove(&mut bench, &mut peer, "rings"), counted(0));
    bench.send(&mut peer, "log.us", b"4");
    assert_eq!(counts(&mut bench, &mut peer, "log.us").ready, 3);
    assert_eq!(policy_of(&mut bench, &mut peer, "log.us"), None);
}

#[test]
fn what_a_queue_declares_goes_before_and_of_policies_one_applies() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let lease = |ms| QueueOptions { lease_ms: Some(ms), ..QueueOptions::default() };
    declare(&mut bench, &mut peer, "a.own", lease(7000));
    declare(&mut bench, &mut peer, "a.other", QueueOptions::default());
    let low = QueueOptions { messages_max: Some(1), ..lease(5000) };
    set(&mut bench, &mut peer, policy("low", "#", low));
    set(&mut bench, &mut peer, Policy { priority: 3, ..policy("high", "a.*", lease(6000)) });
    let tied = Policy { priority: 3, ..policy("zz", "a.*", lease(9000)) };
    assert_eq!(set(&mut bench, &mut peer, tied), counted(0));
    for (queue, expected) in [("a.own", 7000), ("a.other", 6000), ("b", 5000)] {
        bench.send(&mut peer, queue, b"1");
        let delivery = take(&mut bench, &mut peer, queue, u32::try_from(expected).unwrap())[0];
        assert_eq!(delivery.lease_ms, expected, "{queue}");
    }
    // Only the one of the highest priority counts, so `messages_max` of the other does not.
    bench.send(&mut peer, "a.other", b"2");
    bench.send(&mut peer, "a.other", b"3");
    assert_eq!(counts(&mut bench, &mut peer, "a.other").sent_total, 3);
    // A declaration is compared with what was declared, not with what a policy gave.
    declare(&mut bench, &mut peer, "a.other", lease(6000));
    remove(&mut bench, &mut peer, "high");
    remove(&mut bench, &mut peer, "zz");
    assert_eq!(policy_of(&mut bench, &mut peer, "a.other"), Some("low"));
}

#[test]
fn policies_are_listed_and_outlive_their_node() {
    for checkpoint_bytes_min in [0, 1 << 20] {
        let mut bench = Bench::with(Limits { checkpoint_bytes_min, ..Limits::default() });
        let mut peer = bench.join(1);
        set(&mut bench, &mut peer, policy("rings", "log.#", ring(2)));
        let second = Policy { priority: 9, ..policy("also", "log.*", ring(1)) };
        set(&mut bench, &mut peer, second.clone());
        for body in [b"1", b"2", b"3"] {
            bench.send(&mut peer, "log.eu", body);
        }
        bench.pass_ms(1000);
        bench.restart();
        let mut peer = bench.join(2);
        let all = ask(&mut bench, &mut peer, Frame::ListPolicies { request: REQUEST });
        let policies = vec![second, policy("rings", "log.#", ring(2))];
        assert_eq!(all, Frame::PolicyList { request: REQUEST, policies });
        assert_eq!(policy_of(&mut bench, &mut peer, "log.eu"), Some("also"));
        remove(&mut bench, &mut peer, "also");
        bench.send(&mut peer, "log.eu", b"4");
        assert_eq!(counts(&mut bench, &mut peer, "log.eu").ready, 2);
    }
}

#[test]
fn a_policy_that_can_not_be_followed_is_refused() {
    let mut bench = Bench::with(Limits { policies_max: 1, ..Limits::default() });
    let mut peer = bench.join(1);
    let structural = QueueOptions { dead_letter: Some(DeadLetter::Discard), ..ring(1) };
    let cases = [
        (policy("", "a", ring(1)), Code::Invalid, "name"),
        (policy("p", "a..b", ring(1)), Code::Invalid, "filter"),
        (policy("p", "a", structural), Code::Invalid, "structural"),
    ];
    for (wrong, code, reason) in cases {
        assert_eq!(set(&mut bench, &mut peer, wrong), refused(code, reason));
    }
    let other =
        Frame::SetPolicy { request: REQUEST, name: "q", policy: Some(policy("p", "a", ring(1))) };
    assert_eq!(ask(&mut bench, &mut peer, other), refused(Code::Invalid, "name"));
    assert_eq!(set(&mut bench, &mut peer, policy("p", "a", ring(1))), counted(0));
    let more = set(&mut bench, &mut peer, policy("q", "a", ring(1)));
    assert_eq!(more, refused(Code::Full, "policies_max"));
    let changed = policy("p", "b", QueueOptions { overflow: Some(Overflow::Reject), ..ring(1) });
    assert_eq!(set(&mut bench, &mut peer, changed.clone()), counted(0));
    let all = ask(&mut bench, &mut peer, Frame::ListPolicies { request: REQUEST });
    assert_eq!(all, Frame::PolicyList { request: REQUEST, policies: vec![changed] });
    assert_eq!(remove(&mut bench, &mut peer, "unknown"), counted(0));
}
