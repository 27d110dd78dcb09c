//! Messages that are picked by hand: moved to another queue, or taken away.

use tabmq::error::Code;
use tabmq::id::{MessageNumber, RequestId, Sequence};
use tabmq::limits::Limits;
use tabmq::options::QueueOptions;
use tabmq::store::{StorageAction, StorageFault};
use tabmq::wire::Frame;
use tabmq::wire::frame::{Filter, Item, Redrive, Settlement, Task, Tracking};

use crate::advisories::{listen, told};
use crate::deaths::{reject, settle};
use crate::harness::{Bench, Peer, item};
use crate::overflow::{bodies, counts, declare, ring, take};

fn order(queue: &'static str, into: Option<&'static str>) -> Redrive<'static> {
    let task = if into.is_some() { Task::Move } else { Task::Discard };
    Redrive { queue: Some(queue), into, task: Some(task), ..Redrive::default() }
}

fn of(numbers: &[u64], order: Redrive<'static>) -> Redrive<'static> {
    let numbers = numbers.iter().map(|number| MessageNumber(*number)).collect();
    let filter = Filter { numbers: Some(numbers), ..Filter::default() };
    Redrive { filter: Some(filter), ..order }
}

fn do_so(
    bench: &mut Bench,
    peer: &mut Peer,
    request: u32,
    redrive: Redrive<'_>,
) -> Vec<Frame<'static>> {
    let request = RequestId(request);
    bench.frames(peer);
    bench.say(peer, &[Frame::Redrive { request, redrive }]);
    bench.frames(peer)
}

fn counted(request: u32, count: u64) -> Frame<'static> {
    Frame::Counted { request: RequestId(request), count }
}

#[test]
fn messages_move_to_another_queue_and_keep_their_time_and_history() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let listener = listen(&mut bench, 9, "$tabmq.queue.moved.#");
    declare(&mut bench, &mut peer, "into", QueueOptions::default());
    bench.send(&mut peer, "from", b"a");
    let (sequence, refusals_seen, durability) = (peer.next, Sequence(0), None);
    peer.next = sequence.next();
    let items = vec![Item { delay_ms: Some(5000), ..item(b"later") }];
    bench.say(
        &mut peer,
        &[Frame::Send { sequence, queue: "from", refusals_seen, durability, items }],
    );
    let held = take(&mut bench, &mut peer, "from", 1)[0];
    settle(&mut bench, &mut peer, &held, Settlement::Retry { after_ms: Some(9000), reason: None });
    bench.send(&mut peer, "from", b"held");
    let answers = do_so(&mut bench, &mut peer, 1, order("from", Some("into")));
    assert!(answers.contains(&counted(1, 2)), "{answers:?}");
    assert_eq!(
        told(&mut bench, &listener),
        [("$tabmq.queue.moved.from", "moved=2 into=into".to_string())]
    );
    bench.restart();
    let mut peer = bench.join(2);
    let state = counts(&mut bench, &mut peer, "into");
    assert_eq!((state.ready, state.delayed, state.sent_total), (0, 2, 2));
    assert_eq!(take(&mut bench, &mut peer, "into", 5), []);
    bench.pass_ms(5001);
    let first = crate::overflow::deliveries(&mut bench, &peer);
    assert_eq!(bodies(&first), [b"later"]);
    bench.pass_ms(4001);
    let second = crate::overflow::deliveries(&mut bench, &peer);
    assert_eq!((bodies(&second), second[0].attempt), (vec![&b"a"[..]], 1));
}

#[test]
fn a_dead_letter_that_is_moved_is_dead_no_more() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    declare(&mut bench, &mut peer, "hospital", ring(9));
    bench.send(&mut peer, "jobs", b"a");
    bench.send(&mut peer, "jobs", b"b");
    for delivery in take(&mut bench, &mut peer, "jobs", 2) {
        reject(&mut bench, &mut peer, &delivery, "no");
    }
    let moved = do_so(&mut bench, &mut peer, 1, of(&[2], order("jobs.dead", Some("hospital"))));
    assert!(moved.contains(&counted(1, 1)));
    let delivery = take(&mut bench, &mut peer, "hospital", 5)[0];
    assert_eq!((delivery.body, delivery.dead_reason), (&b"b"[..], None));
    assert!(delivery.deaths.is_some());
    assert_eq!(counts(&mut bench, &mut peer, "jobs.dead").ready, 1);
}

#[test]
fn one_message_is_taken_away_and_its_producer_hears_of_it() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let listener = listen(&mut bench, 9, "$tabmq.queue.discarded.#");
    for body in [b"a", b"b", b"c"] {
        let (sequence, refusals_seen, durability) = (peer.next, Sequence(0), None);
        peer.next = sequence.next();
        let items = vec![Item { track: Some(true), ..item(body) }];
        bench.say(
            &mut peer,
            &[Frame::Send { sequence, queue: "q", refusals_seen, durability, items }],
        );
    }
    let id = format!("{}-2-0", peer.lane.0);
    let track = Frame::Track { request: RequestId(5), queue: "q", id: &id, processed: true };
    bench.say(&mut peer, &[track]);
    let answers = do_so(&mut bench, &mut peer, 1, of(&[2], order("q", None)));
    assert!(answers.contains(&counted(1, 1)), "{answers:?}");
    let outcome = Tracking::Failed { code: Code::Discarded, reason: "removed" };
    assert!(answers.contains(&Frame::Tracked { request: RequestId(5), outcome }), "{answers:?}");
    let discarded = ("$tabmq.queue.discarded.q", "number=2 reason=removed".to_string());
    assert_eq!(told(&mut bench, &listener), [discarded]);
    // Asked again, as after a resume, it is answered with the same.
    let again = do_so(&mut bench, &mut peer, 1, of(&[2], order("q", None)));
    assert_eq!(again, [counted(1, 1)]);
    assert_eq!(do_so(&mut bench, &mut peer, 2, of(&[2], order("q", None))), [counted(2, 0)]);
    bench.restart();
    let mut peer = bench.join(2);
    let state = counts(&mut bench, &mut peer, "q");
    assert_eq!((state.ready, state.discarded_total, state.sent_total), (2, 1, 3));
    assert_eq!(bodies(&take(&mut bench, &mut peer, "q", 5)), [b"a", b"c"]);
}

#[test]
fn what_is_delivered_stays() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    bench.send(&mut peer, "q", b"a");
    let held = take(&mut bench, &mut peer, "q", 1)[0];
    assert_eq!(do_so(&mut bench, &mut peer, 1, of(&[1], order("q", None))), [counted(1, 0)]);
    settle(&mut bench, &mut peer, &held, Settlement::Release);
    assert_eq!(counts(&mut bench, &mut peer, "q").discarded_total, 0);
}

#[test]
fn what_can_not_be_picked_is_refused() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    bench.send(&mut peer, "q", b"a");
    let cases = [
        (Redrive { queue: None, ..order("q", None) }, Code::Invalid, "queue"),
        (Redrive { task: Some(Task::Move), ..order("q", None) }, Code::Invalid, "into"),
        (Redrive { into: Some("x"), ..order("q", None) }, Code::Invalid, "into"),
        (order("q", Some("q")), Code::Invalid, "into"),
        (order("q", Some("nowhere")), Code::NotFound, "into"),
        (order("nowhere", None), Code::NotFound, ""),
    ];
    for (request, (wrong, code, reason)) in (1..).zip(cases) {
        let expected = Frame::RequestRefused { request: RequestId(request), code, reason };
        assert_eq!(do_so(&mut bench, &mut peer, request, wrong), [expected]);
    }
    assert_eq!(counts(&mut bench, &mut peer, "q").ready, 1);
}

#[test]
fn a_full_disk_still_lets_messages_be_taken_away() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    declare(&mut bench, &mut peer, "other", QueueOptions::default());
    for body in [b"a", b"b", b"c"] {
        bench.send(&mut peer, "q", body);
    }
    let used = crate::harness::stored_bytes(&mut bench.store);
    bench.room_bytes = Some(used);
    bench.send(&mut peer, "q", b"d");
    let answers = do_so(&mut bench, &mut peer, 1, order("q", Some("other")));
    let (code, reason) = (Code::Storage, "quota");
    let refused = Frame::RequestRefused { request: RequestId(1), code, reason };
    assert!(answers.contains(&refused), "{answers:?}");
    let answers = do_so(&mut bench, &mut peer, 2, of(&[1, 3], order("q", None)));
    assert!(answers.contains(&counted(2, 2)), "{answers:?}");
    assert_eq!(bench.fault, None::<StorageFault>);
}

#[test]
fn a_message_is_cancelled_by_its_id_without_reading_others() {
    let mut bench =
        Bench::with(Limits { chunk_bytes_max: 256, resident_bytes_max: 0, ..Limits::default() });
    let mut peer = bench.join(1);
    let listener = listen(&mut bench, 9, "$tabmq.queue.discarded.#");
    for (index, body) in [[b'a'; 300], [b'b'; 300], [b'c'; 300], [b'd'; 300]].iter().enumerate() {
        let (sequence, refusals_seen, durability) = (peer.next, Sequence(0), None);
        peer.next = sequence.next();
        let (track, delay_ms) = (Some(index != 3), (index == 2).then_some(60_000));
        let items = vec![Item { track, delay_ms, ..item(body) }];
        bench.say(
            &mut peer,
            &[Frame::Send { sequence, queue: "q", refusals_seen, durability, items }],
        );
    }
    let cancel = |id: &str| {
        let ids = Some(vec![&*id.to_string().leak()]);
        let filter = Some(Filter { ids, ..Filter::default() });
        Redrive { task: Some(Task::Cancel), messages_max: Some(1), filter, ..order("q", None) }
    };
    let [waits, delayed, plain] = [2, 3, 4].map(|n| format!("{}-{n}-0", peer.lane.0));
    let track = Frame::Track { request: RequestId(5), queue: "q", id: &delayed, processed: true };
    bench.say(&mut peer, &[track]);
    bench.performed = Some(Vec::new());
    let answers = do_so(&mut bench, &mut peer, 1, cancel(&delayed));
    assert!(answers.contains(&counted(1, 1)), "{answers:?}");
    let outcome = Tracking::Failed { code: Code::Discarded, reason: "cancelled" };
    assert!(answers.contains(&Frame::Tracked { request: RequestId(5), outcome }), "{answers:?}");
    let read = |action: &&StorageAction| matches!(action, StorageAction::Read { .. });
    let reads = bench.performed.take().unwrap_or_default().iter().filter(read).count();
    assert!(reads <= 1, "{reads} chunks were read");
    let discarded = ("$tabmq.queue.discarded.q", "number=3 reason=cancelled".to_string());
    assert_eq!(told(&mut bench, &listener), [discarded]);

    // Who holds one keeps it, and what is gone is gone.
    assert_eq!(take(&mut bench, &mut peer, "q", 2).len(), 2);
    assert!(do_so(&mut bench, &mut peer, 2, cancel(&waits)).contains(&counted(2, 0)));
    assert!(do_so(&mut bench, &mut peer, 3, cancel(&delayed)).contains(&counted(3, 0)));
    // One that nobody tracks is looked for.
    assert!(do_so(&mut bench, &mut peer, 4, cancel(&plain)).contains(&counted(4, 1)));
    bench.restart();
    let mut other = bench.join(2);
    let state = counts(&mut bench, &mut other, "q");
    assert_eq!((state.delayed, state.discarded_total), (0, 2));
}
