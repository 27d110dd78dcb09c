//! Messages that outlive their time.

use tabmq::error::Code;
use tabmq::id::{ConsumerId, MessageNumber, RequestId, Sequence};
use tabmq::limits::Limits;
use tabmq::options::QueueOptions;
use tabmq::time::UnixMillis;
use tabmq::wire::Frame;
use tabmq::wire::frame::{
    Browse, Filter, Item, Policy, QueueMessage, Reason, Redrive, Settlement, Task, Tracking,
};

use crate::advisories::{listen, told};
use crate::deaths::settle;
use crate::harness::{Bench, Peer, item};
use crate::overflow::{bodies, counts, declare, deliveries, ring, take};

const REQUEST: RequestId = RequestId(70);

fn send(bench: &mut Bench, peer: &mut Peer, queue: &str, items: Vec<Item<'_>>) {
    let sequence = peer.next;
    peer.next = sequence.next();
    let (refusals_seen, durability) = (Sequence(0), None);
    bench.say(peer, &[Frame::Send { sequence, queue, refusals_seen, durability, items }]);
}

fn mortal(body: &[u8], ttl_ms: u64) -> Item<'_> {
    Item { ttl_ms: Some(ttl_ms), ..item(body) }
}

fn expiring(ttl_ms: u64, expired: Option<&str>) -> QueueOptions {
    let expired = expired.map(Into::into);
    QueueOptions { ttl_ms: Some(ttl_ms), expired, ..QueueOptions::default() }
}

fn browse(bench: &mut Bench, peer: &mut Peer, queue: &str) -> Vec<QueueMessage<'static>> {
    bench.frames(peer);
    let after = MessageNumber(0);
    let browse =
        Browse { after, messages_max: 9, delayed: true, leased: true, headers_only: false };
    bench.say(peer, &[Frame::Browse { request: REQUEST, queue, browse }]);
    match bench.frames(peer).pop() {
        Some(Frame::Browsed { messages, .. }) => messages,
        other => panic!("not a page: {other:?}"),
    }
}

fn is_there(bench: &mut Bench, peer: &mut Peer, queue: &str) -> Vec<&'static [u8]> {
    browse(bench, peer, queue).iter().map(|message| message.body).collect()
}

#[test]
fn a_message_expires_anywhere_in_its_queue_and_not_before_its_time() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let listener = listen(&mut bench, 9, "$tabmq.queue.#");
    let delayed = Item { delay_ms: Some(60_000), ..mortal(b"delayed", 300) };
    let items = vec![item(b"stays"), mortal(b"long", 500), mortal(b"short", 200), delayed];
    send(&mut bench, &mut peer, "jobs", items);
    bench.pass_ms(199);
    assert_eq!(counts(&mut bench, &mut peer, "jobs").ready, 3, "not before its time");
    bench.pass_ms(1);
    assert_eq!(is_there(&mut bench, &mut peer, "jobs"), [b"stays", &b"long"[..], b"delayed"]);
    let wake_at = bench.settle().expect("there is more to expire");
    assert!(wake_at <= bench.now.mono.after_ms(100), "it wakes for that by itself");
    bench.pass_ms(300);
    let state = counts(&mut bench, &mut peer, "jobs");
    assert_eq!((state.ready, state.delayed, state.discarded_total), (1, 0, 3));
    let told: Vec<String> = told(&mut bench, &listener).into_iter().map(|(_, body)| body).collect();
    assert_eq!(told, ["number=3", "number=4", "number=2"], "in the order of their times");
    assert_eq!(bodies(&take(&mut bench, &mut peer, "jobs", 9)), [b"stays"]);
}

#[test]
fn the_shorter_time_of_message_and_queue_counts_and_a_policy_may_give_one() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    declare(&mut bench, &mut peer, "jobs", expiring(400, None));
    let items = vec![item(b"queue"), mortal(b"own", 100), mortal(b"longer", 9000)];
    send(&mut bench, &mut peer, "jobs", items);
    let now = bench.now.unix.0;
    let found = browse(&mut bench, &mut peer, "jobs");
    let times: Vec<_> = found.iter().map(|message| message.expires_at).collect();
    assert_eq!(times, [400, 100, 400].map(|ms| Some(UnixMillis(now + ms))));

    let policy =
        Policy { name: "brief", pattern: "log.#", priority: 0, options: expiring(50, None) };
    let set = Frame::SetPolicy { request: REQUEST, name: "brief", policy: Some(policy) };
    bench.say(&mut peer, &[set]);
    bench.send(&mut peer, "log.a", b"x");
    bench.pass_ms(50);
    let state = counts(&mut bench, &mut peer, "log.a");
    assert_eq!((state.ready, state.discarded_total), (0, 1));
    assert_eq!(is_there(&mut bench, &mut peer, "jobs"), [b"queue", &b"own"[..], b"longer"]);
}

#[test]
fn who_holds_a_message_keeps_it_and_one_that_comes_back_late_goes() {
    for settlement in [
        Settlement::Release,
        Settlement::Retry { after_ms: Some(0), reason: None },
        Settlement::Retry { after_ms: Some(5000), reason: None },
    ] {
        let mut bench = Bench::new();
        let mut peer = bench.join(1);
        send(&mut bench, &mut peer, "jobs", vec![mortal(b"a", 100), mortal(b"b", 100)]);
        let held = take(&mut bench, &mut peer, "jobs", 2);
        assert_eq!(bodies(&held), [b"a", b"b"]);
        bench.pass_ms(1000);
        let state = counts(&mut bench, &mut peer, "jobs");
        assert_eq!((state.leased, state.discarded_total), (2, 0));
        let ack = Settlement::Ack { value: None };
        settle(&mut bench, &mut peer, &held[0], ack);
        let refused = None;
        let settled = Frame::Settled { lease: held[0].lease, refused };
        assert!(bench.frames(&peer).contains(&settled), "it could still be processed");
        settle(&mut bench, &mut peer, &held[1], settlement);
        assert!(deliveries(&mut bench, &peer).is_empty(), "it is not delivered again");
        let state = counts(&mut bench, &mut peer, "jobs");
        assert_eq!((state.ready, state.delayed, state.leased), (0, 0, 0), "{settlement:?}");
        assert_eq!((state.acked_total, state.discarded_total), (1, 1));
    }
}

#[test]
fn what_waits_for_its_next_attempt_keeps_its_time() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    send(&mut bench, &mut peer, "jobs", vec![mortal(b"a", 1000)]);
    let held = take(&mut bench, &mut peer, "jobs", 1);
    let retry = Settlement::Retry { after_ms: Some(5000), reason: None };
    settle(&mut bench, &mut peer, &held[0], retry);
    bench.pass_ms(999);
    assert_eq!(counts(&mut bench, &mut peer, "jobs").delayed, 1);
    bench.pass_ms(1);
    let state = counts(&mut bench, &mut peer, "jobs");
    assert_eq!((state.delayed, state.discarded_total), (0, 1));
}

#[test]
fn a_queue_may_move_what_expired_to_another_where_it_stays() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let listener = listen(&mut bench, 9, "$tabmq.queue.#");
    declare(&mut bench, &mut peer, "jobs", expiring(100, Some("late")));
    // What is sent to it expires; what came by expiring does not.
    declare(&mut bench, &mut peer, "late", expiring(100, None));
    bench.send(&mut peer, "jobs", b"a");
    bench.pass_ms(1000);
    let state = counts(&mut bench, &mut peer, "jobs");
    let totals = (state.ready, state.dead_lettered_total, state.discarded_total);
    assert_eq!(totals, (0, 1, 0));
    let topic = "$tabmq.queue.expired.jobs";
    assert_eq!(told(&mut bench, &listener), [(topic, "number=1 into=late".to_string())]);
    let found = browse(&mut bench, &mut peer, "late");
    assert_eq!((found[0].dead_reason, found[0].expires_at), (Some("expired"), None));

    // From there it can go back, for good.
    let filter = Filter { reason: Some(Reason::Expired), ..Filter::default() };
    let redrive = Redrive { queue: Some("late"), filter: Some(filter), ..Redrive::default() };
    bench.say(&mut peer, &[Frame::Redrive { request: REQUEST, redrive }]);
    bench.pass_ms(1000);
    assert_eq!(bodies(&take(&mut bench, &mut peer, "jobs", 9)), [b"a"]);
}

#[test]
fn the_queue_for_what_expired_is_made_on_first_use_and_one_that_names_itself_has_none() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    declare(&mut bench, &mut peer, "jobs", expiring(100, Some("late")));
    let options = expiring(100, Some("log"));
    let policy = Policy { name: "p", pattern: "log", priority: 0, options };
    let set = Frame::SetPolicy { request: REQUEST, name: "p", policy: Some(policy) };
    bench.say(&mut peer, &[set]);
    bench.send(&mut peer, "jobs", b"a");
    bench.send(&mut peer, "log", b"b");
    bench.pass_ms(100);
    assert_eq!(counts(&mut bench, &mut peer, "late").ready, 1);
    let state = counts(&mut bench, &mut peer, "log");
    assert_eq!((state.ready, state.discarded_total), (0, 1));
}

#[test]
fn what_dies_does_not_expire_and_what_is_moved_by_hand_does() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    declare(&mut bench, &mut peer, "other", QueueOptions::default());
    let items = vec![mortal(b"dies", 500), mortal(b"moves", 500)];
    send(&mut bench, &mut peer, "jobs", items);
    let held = take(&mut bench, &mut peer, "jobs", 1);
    settle(&mut bench, &mut peer, &held[0], Settlement::Reject { reason: None });
    let held = deliveries(&mut bench, &peer);
    bench.say(&mut peer, &[Frame::CancelConsumer { consumer: ConsumerId(1) }]);
    settle(&mut bench, &mut peer, &held[0], Settlement::Release);
    let (queue, into, task) = (Some("jobs"), Some("other"), Some(Task::Move));
    let redrive = Redrive { queue, into, task, ..Redrive::default() };
    bench.say(&mut peer, &[Frame::Redrive { request: REQUEST, redrive }]);
    bench.pass_ms(499);
    assert_eq!(is_there(&mut bench, &mut peer, "other"), [b"moves"]);
    bench.pass_ms(1);
    assert_eq!(counts(&mut bench, &mut peer, "other").discarded_total, 1);
    assert_eq!(is_there(&mut bench, &mut peer, "jobs.dead"), [b"dies"]);
}

#[test]
fn the_producer_is_told_and_so_is_who_watches_by_the_id() {
    for (expired, into) in [(None, ""), (Some("late"), " into=late")] {
        let mut bench = Bench::new();
        let mut peer = bench.join(1);
        let listener = listen(&mut bench, 9, "$tabmq.queue.expired.#");
        declare(&mut bench, &mut peer, "jobs", expiring(100, expired));
        send(&mut bench, &mut peer, "jobs", vec![Item { track: Some(true), ..item(b"a") }]);
        let id = format!("{}-1-0", peer.lane.0);
        bench.frames(&peer);
        let track = Frame::Track { request: REQUEST, queue: "jobs", id: &id, processed: true };
        bench.say(&mut peer, &[track]);
        bench.pass_ms(100);
        let (code, reason) = (Code::Expired, "expired");
        let outcome = Tracking::Failed { code, reason };
        assert_eq!(bench.frames(&peer), [Frame::Tracked { request: REQUEST, outcome }]);
        let body = format!("number=1 id={id}{into}");
        assert_eq!(told(&mut bench, &listener), [("$tabmq.queue.expired.jobs", body)]);
    }
}

#[test]
fn another_node_knows_the_times_from_the_log_and_from_a_checkpoint() {
    for checkpoint_bytes_min in [0, 1 << 20] {
        let mut bench = Bench::with(Limits { checkpoint_bytes_min, ..Limits::default() });
        let mut peer = bench.join(1);
        let items = vec![mortal(b"held", 500), mortal(b"waits", 500), item(b"stays")];
        send(&mut bench, &mut peer, "jobs", items);
        let held = take(&mut bench, &mut peer, "jobs", 1);
        assert_eq!(bodies(&held), [b"held"]);
        for _ in 0..20 {
            send(&mut bench, &mut peer, "rest", vec![mortal(&[0; 500], 1)]);
            bench.pass_ms(1);
        }
        bench.restart();
        let mut other = bench.join(2);
        assert_eq!(is_there(&mut bench, &mut other, "jobs").len(), 3);
        assert_eq!(counts(&mut bench, &mut other, "rest").discarded_total, 20);
        bench.pass_ms(480);
        assert!(!is_there(&mut bench, &mut other, "jobs").contains(&&b"waits"[..]));
        // Whoever held it is gone, and so is its time.
        bench.pass_ms(120_000);
        assert_eq!(is_there(&mut bench, &mut other, "jobs"), [b"stays"]);
        assert_eq!(counts(&mut bench, &mut other, "jobs").discarded_total, 2);
    }
}

#[test]
fn what_expired_while_no_node_ran_is_not_shown_and_not_delivered() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    send(&mut bench, &mut peer, "jobs", vec![mortal(b"a", 500)]);
    bench.now.unix.0 += 500;
    bench.restart();
    let mut other = bench.join(2);
    assert!(is_there(&mut bench, &mut other, "jobs").is_empty());
    assert!(take(&mut bench, &mut other, "jobs", 9).is_empty());
}

#[test]
fn purged_deleted_and_dropped_messages_do_not_expire_any_more() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let listener = listen(&mut bench, 9, "$tabmq.queue.expired.#");
    declare(&mut bench, &mut peer, "ring", ring(1));
    for queue in ["purged", "deleted", "ring"] {
        send(&mut bench, &mut peer, queue, vec![mortal(b"a", 100)]);
    }
    let state = counts(&mut bench, &mut peer, "deleted");
    bench.send(&mut peer, "ring", b"b");
    let (request, through) = (REQUEST, state.newest);
    let purge = Frame::Purge { request, queue: "purged", through };
    let (queue, id, if_unused, if_empty) = ("deleted", state.id, false, false);
    let delete = Frame::DeleteQueue { request, queue, id, if_unused, if_empty };
    bench.say(&mut peer, &[purge, delete]);
    bench.pass_ms(1000);
    assert_eq!(told(&mut bench, &listener), []);
    assert_eq!(counts(&mut bench, &mut peer, "ring").discarded_total, 1);
}

#[test]
fn times_and_names_that_can_not_be_followed_are_refused() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    send(&mut bench, &mut peer, "jobs", vec![item(b"a"), mortal(b"b", 0)]);
    let (sequence, code, reason) = (Sequence(1), Code::Invalid, "ttl");
    assert!(bench.frames(&peer).contains(&Frame::SendRefused { sequence, code, reason }));
    let digest = |bench: &Bench| bench.node.broker().expect("it serves").digest();
    let before = digest(&bench);
    for (options, reason) in [
        (expiring(0, None), "ttl"),
        (expiring(1, Some("jobs")), "expired"),
        (expiring(1, Some("")), "name"),
    ] {
        let declare = Frame::Declare { request: REQUEST, queue: "jobs", options };
        bench.say(&mut peer, &[declare]);
        let answer = bench.frames(&peer).pop();
        let refused = Frame::RequestRefused { request: REQUEST, code: Code::Invalid, reason };
        assert_eq!(answer, Some(refused));
    }
    let policy = Policy { name: "p", pattern: "#", priority: 0, options: expiring(0, None) };
    let set = Frame::SetPolicy { request: REQUEST, name: "p", policy: Some(policy) };
    bench.say(&mut peer, &[set]);
    let reason = "ttl";
    let refused = Frame::RequestRefused { request: REQUEST, code: Code::Invalid, reason };
    assert_eq!(bench.frames(&peer), [refused]);
    assert_eq!(digest(&bench), before, "nothing changed");
}

#[test]
fn a_time_beyond_all_clocks_never_comes() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    send(&mut bench, &mut peer, "jobs", vec![mortal(b"a", u64::MAX)]);
    bench.pass_ms(1_000_000);
    assert_eq!(bodies(&take(&mut bench, &mut peer, "jobs", 1)), [b"a"]);
}
