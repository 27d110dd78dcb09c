//! Queues as an operator sees them: listed, watched, traced, and filled from elsewhere.

use tabmq::cbor;
use tabmq::error::Code;
use tabmq::id::{ConsumerId, QueueId, RequestId, Sequence, WatchId};
use tabmq::limits::Limits;
use tabmq::options::{ConsumeOptions, QueueOptions};
use tabmq::time::UnixMillis;
use tabmq::wire::Frame;
use tabmq::wire::frame::{
    Death, History, Item, Past, Properties, QueueEntry, QueueStats, Reason, Settlement,
};

use crate::advisories::{listen, told};
use crate::deaths::settle;
use crate::harness::{Bench, Peer, item};
use crate::overflow::{counts, declare, take};

const REQUEST: RequestId = RequestId(40);
const WATCH: WatchId = WatchId(1);

fn ask(bench: &mut Bench, peer: &mut Peer, frame: Frame<'_>) -> Frame<'static> {
    bench.frames(peer);
    bench.say(peer, &[frame]);
    bench.frames(peer).pop().expect("an answer")
}

fn list(
    bench: &mut Bench,
    peer: &mut Peer,
    after: Option<&str>,
    filter: Option<&str>,
) -> (Vec<QueueEntry<'static>>, bool) {
    match ask(bench, peer, Frame::ListQueues { request: REQUEST, after, filter }) {
        Frame::QueueList { request: REQUEST, queues, more } => (queues, more),
        other => panic!("not a list: {other:?}"),
    }
}

fn names(entries: &[QueueEntry<'static>]) -> Vec<&'static str> {
    entries.iter().map(|entry| entry.name).collect()
}

fn refused(code: Code, reason: &'static str) -> Frame<'static> {
    Frame::RequestRefused { request: REQUEST, code, reason }
}

/// What a watcher was told since the last look.
fn stats(bench: &mut Bench, peer: &Peer) -> Vec<Option<QueueStats>> {
    let told = |frame| match frame {
        Frame::QueueStats { stats, refused: None, .. } => Some(stats),
        _ => None,
    };
    bench.frames(peer).into_iter().filter_map(told).collect()
}

fn ready(told: &[Option<QueueStats>]) -> Vec<Option<u64>> {
    told.iter().map(|stats| stats.map(|stats| stats.state.ready)).collect()
}

#[test]
fn queues_are_listed_by_name_with_what_they_hold() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let own = QueueOptions { exclusive: Some(true), ..QueueOptions::default() };
    declare(&mut bench, &mut peer, "b.own", own.clone());
    bench.send(&mut peer, "c", b"four");
    bench.send(&mut peer, "a.x", b"1");
    let pause = Frame::Pause { request: REQUEST, queue: "c", paused: true, for_ms: Some(500) };
    ask(&mut bench, &mut peer, pause);
    let (all, more) = list(&mut bench, &mut peer, None, None);
    assert_eq!((names(&all), more), (vec!["a.x", "b.own", "c"], false));
    assert_eq!((all[2].bytes, all[2].state.ready, all[2].state.paused), (4, 1, true));
    assert_eq!(all[2].paused_until, Some(UnixMillis(bench.now.unix.0 + 500)));
    assert_eq!((&all[1].options, all[1].owner), (&own, Some(peer.id)));
    let mut other = bench.join(2);
    let (some, _) = list(&mut bench, &mut other, Some("a.x"), Some("*.#"));
    assert_eq!(names(&some), ["b.own", "c"]);
    assert_eq!(names(&list(&mut bench, &mut other, None, Some("*.x")).0), ["a.x"]);
    let bad = Frame::ListQueues { request: REQUEST, after: None, filter: Some("a..b") };
    assert_eq!(ask(&mut bench, &mut other, bad), refused(Code::Invalid, "filter"));
}

#[test]
fn a_long_list_comes_in_pages() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    for number in 0..250 {
        declare(&mut bench, &mut peer, &format!("q.{number:03}"), QueueOptions::default());
    }
    let (mut after, mut seen, mut pages) = (None, Vec::new(), 0);
    loop {
        let (entries, more) = list(&mut bench, &mut peer, after, Some("q.*"));
        seen.extend(names(&entries));
        after = seen.last().copied();
        pages += 1;
        if !more {
            break;
        }
    }
    assert_eq!((seen.len(), pages, seen[249]), (250, 3, "q.249"));
    assert_eq!(list(&mut bench, &mut peer, after, None), (Vec::new(), false));
}

#[test]
fn a_watch_tells_of_changes_alone_and_not_too_often() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let mut watcher = bench.join(2);
    bench.pass_ms(3000);
    bench.say(&mut watcher, &[Frame::WatchQueue { watch: WATCH, queue: "q" }]);
    assert_eq!(stats(&mut bench, &watcher), [None], "there is none yet");
    for _ in 0..50 {
        bench.send(&mut peer, "q", b"x");
        bench.pass_ms(10);
    }
    bench.pass_ms(250);
    let told = stats(&mut bench, &watcher);
    assert!((2..=4).contains(&told.len()), "{:?}", ready(&told));
    let last = told[told.len() - 1].expect("it exists");
    assert_eq!((last.state.ready, last.state.sent_total, last.bytes), (50, 50, 50));
    assert!(last.oldest_at.is_some_and(|at| at < bench.now.unix));
    bench.pass_ms(5000);
    bench.send(&mut peer, "another", b"x");
    bench.pass_ms(5000);
    assert_eq!(stats(&mut bench, &watcher), [], "nothing changed");
    bench.say(&mut watcher, &[Frame::UnwatchQueue { watch: WATCH }]);
    bench.send(&mut peer, "q", b"x");
    bench.pass_ms(1000);
    assert_eq!(stats(&mut bench, &watcher), []);
}

#[test]
fn a_watch_does_not_wake_a_node_that_stands_still() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    bench.say(&mut peer, &[Frame::WatchQueue { watch: WATCH, queue: "q" }]);
    bench.pass_ms(10_500);
    // It looks after its sessions each second, watched or not.
    let woken = bench.settle().expect("it looks after its sessions");
    assert_eq!(woken.ms_since(bench.now.mono), 500);
}

#[test]
fn a_watch_tells_what_is_stored_and_is_said_again_to_the_next_node() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    bench.say(&mut peer, &[Frame::WatchQueue { watch: WATCH, queue: "q" }]);
    bench.frames(&peer);
    bench.pass_ms(1000);
    bench.hold_storage = true;
    bench.send(&mut peer, "q", b"x");
    bench.pass_ms(1000);
    assert_eq!(stats(&mut bench, &peer), [], "it is not stored yet");
    bench.release_storage();
    assert_eq!(ready(&stats(&mut bench, &peer)), [Some(1)]);
    bench.restart();
    let mut peer = bench.join(1);
    bench.send(&mut peer, "q", b"x");
    bench.pass_ms(1000);
    assert_eq!(stats(&mut bench, &peer), [], "the new node was not asked");
    bench.say(&mut peer, &[Frame::WatchQueue { watch: WATCH, queue: "q" }]);
    assert_eq!(ready(&stats(&mut bench, &peer)), [Some(2)]);
}

#[test]
fn watches_are_bounded_and_need_a_name() {
    let mut bench = Bench::with(Limits { handles_max: 1, ..Limits::default() });
    let mut peer = bench.join(1);
    let watch = |id, queue| Frame::WatchQueue { watch: WatchId(id), queue };
    bench.say(&mut peer, &[watch(1, "a"), watch(2, "b")]);
    bench.say(&mut peer, &[watch(1, "a"), watch(3, "")]);
    let refusal = |frame: &Frame<'_>| match frame {
        Frame::QueueStats { watch, refused, .. } => refused.map(|code| (watch.0, code)),
        _ => None,
    };
    let told: Vec<_> = bench.frames(&peer).iter().filter_map(refusal).collect();
    assert_eq!(told, [(2, Code::Full), (3, Code::Invalid)]);
}

fn trace(bench: &mut Bench, peer: &mut Peer, traced: bool) -> Frame<'static> {
    ask(bench, peer, Frame::Trace { request: REQUEST, queue: "jobs", traced })
}

#[test]
fn a_trace_tells_of_messages_as_they_are_sent_delivered_and_settled() {
    let mut bench = Bench::with(Limits { checkpoint_bytes_min: 0, ..Limits::default() });
    let mut peer = bench.join(1);
    assert_eq!(trace(&mut bench, &mut peer, true), refused(Code::NotFound, ""));
    declare(&mut bench, &mut peer, "jobs", QueueOptions::default());
    assert!(matches!(trace(&mut bench, &mut peer, true), Frame::QueueState { .. }));
    bench.pass_ms(1000);
    bench.restart();
    let listener = listen(&mut bench, 9, "$tabmq.trace.#");
    let mut peer = bench.join(2);
    assert_eq!(list(&mut bench, &mut peer, None, None).0[0].traced, Some(true));
    let mut properties = Vec::new();
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let named =
        Properties { id: Some("order-7"), traceparent: Some(traceparent), ..Properties::default() };
    cbor::encode(&named, &mut properties);
    let (sequence, refusals_seen) = (peer.next, Sequence(0));
    peer.next = sequence.next();
    let items = vec![Item { properties: Some(&properties), ..item(b"a") }];
    bench.say(
        &mut peer,
        &[Frame::Send { sequence, queue: "jobs", refusals_seen, durability: None, items }],
    );
    let delivery = take(&mut bench, &mut peer, "jobs", 1)[0];
    settle(&mut bench, &mut peer, &delivery, Settlement::Ack { value: None });
    let (lease, message) =
        (delivery.lease.0, format!("number=1 id=order-7 traceparent={traceparent}"));
    let expected = [
        ("$tabmq.trace.sent.jobs", message.clone()),
        (
            "$tabmq.trace.delivered.jobs",
            format!("{message} lease={lease} attempt=1 client=16 bytes"),
        ),
        ("$tabmq.trace.settled.jobs", format!("{message} lease={lease} attempt=1 end=acked")),
    ];
    assert_eq!(told(&mut bench, &listener), expected);
    trace(&mut bench, &mut peer, false);
    bench.send(&mut peer, "jobs", b"b");
    assert_eq!(told(&mut bench, &listener), []);
}

fn import(bench: &mut Bench, peer: &mut Peer, past: Past<'_>) -> Vec<Frame<'static>> {
    let (sequence, refusals_seen) = (peer.next, Sequence(0));
    peer.next = sequence.next();
    let items = vec![Item { past: Some(past), ..item(b"moved house") }];
    bench.frames(peer);
    bench.say(
        peer,
        &[Frame::Send { sequence, queue: "new", refusals_seen, durability: None, items }],
    );
    bench.frames(peer)
}

#[test]
fn a_message_may_bring_its_past_along() {
    let mut bench = Bench::with(Limits { checkpoint_bytes_min: 0, ..Limits::default() });
    let mut peer = bench.join(1);
    let at = UnixMillis(5);
    let (reason, count, attempts) = (Reason::Rejected, 1, 1);
    let death = Death {
        queue: "old",
        reason,
        count,
        attempts,
        first_at: at,
        last_at: at,
        note: Some("no"),
    };
    let mut deaths = Vec::new();
    cbor::encode(&History { recent: 1, deaths: vec![death] }, &mut deaths);
    let past = Past { attempts: 2, stored_at: UnixMillis(4), deaths: Some(&deaths) };
    import(&mut bench, &mut peer, past);
    bench.pass_ms(1000);
    bench.restart();
    let mut peer = bench.join(2);
    let delivery = take(&mut bench, &mut peer, "new", 1)[0];
    assert_eq!(
        (delivery.attempt, delivery.stored_at, delivery.body),
        (3, UnixMillis(4), &b"moved house"[..])
    );
    assert_eq!((delivery.dead_reason, delivery.deaths), (Some("no"), Some(&*deaths)));
}

#[test]
fn a_past_that_can_not_be_is_refused() {
    let mut bench = Bench::with(Limits { deaths_max: 1, ..Limits::default() });
    let mut peer = bench.join(1);
    let mut none = Vec::new();
    cbor::encode(&History { recent: 1, deaths: Vec::new() }, &mut none);
    for deaths in [&b""[..], b"\x80", &none] {
        let past = Past { attempts: 0, stored_at: UnixMillis(4), deaths: Some(deaths) };
        let answers = import(&mut bench, &mut peer, past);
        let refused = answers.iter().any(|frame| {
            matches!(frame, Frame::SendRefused { code: Code::Invalid, reason: "past", .. })
        });
        assert!(refused, "{deaths:x?}: {answers:?}");
        let (sequence, refusals_seen) = (peer.next, peer.next);
        peer.next = sequence.next();
        let items = vec![item(b"x")];
        let seen = Frame::Send { sequence, queue: "other", refusals_seen, durability: None, items };
        bench.say(&mut peer, &[seen]);
    }
    let options = ConsumeOptions::new(1, 1);
    bench.say(&mut peer, &[Frame::Consume { consumer: ConsumerId(1), queue: "new", options }]);
    let state = counts(&mut bench, &mut peer, "new");
    assert_eq!((state.ready, state.sent_total, state.id), (0, 0, QueueId(2)));
}
