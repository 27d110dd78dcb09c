//! Schedules: messages that the node stores by itself, once for each time that is due.

use tabmq::error::Code;
use tabmq::id::{MessageNumber, RequestId, Sequence};
use tabmq::limits::Limits;
use tabmq::options::QueueOptions;
use tabmq::time::UnixMillis;
use tabmq::wire::Frame;
use tabmq::wire::frame::{
    Filter, Firing, Item, Past, Redrive, ScheduleEntry, Scheduling, Task, When,
};

use crate::harness::{Bench, Peer, item};
use crate::overflow::{bodies, counts, declare, take};

const HOUR_MS: u64 = 3_600_000;

pub fn digest(bench: &Bench) -> u64 {
    bench.node.broker().expect("a node that serves").digest()
}

fn order<'a>(key: &'a str, when: When<'a>, body: &'a [u8]) -> Scheduling<'a> {
    Scheduling { key, when, item: item(body), latest: None }
}

pub const fn every(every_ms: u64) -> When<'static> {
    When::Every { every_ms }
}

pub const fn cron(cron: &'static str, zone: &'static str) -> When<'static> {
    When::Cron { cron, zone: Some(zone) }
}

/// Orders a schedule with the next number of the lane; gives the refusal, if it is refused.
pub fn schedule(
    bench: &mut Bench,
    peer: &mut Peer,
    scheduling: Scheduling<'_>,
) -> Option<(Code, &'static str)> {
    bench.frames(peer);
    let (sequence, refusals_seen, durability, queue) = (peer.next, Sequence(0), None, "q");
    peer.next = sequence.next();
    let frame = Frame::Schedule { sequence, queue, refusals_seen, durability, scheduling };
    bench.say(peer, &[frame]);
    let answers = bench.frames(peer);
    assert!(answers.contains(&Frame::Sent { position: sequence }), "{answers:?}");
    answers.iter().find_map(|frame| match frame {
        Frame::SendRefused { code, reason, .. } => Some((*code, *reason)),
        _ => None,
    })
}

pub fn list(
    bench: &mut Bench,
    peer: &mut Peer,
    after: Option<&str>,
) -> Vec<ScheduleEntry<'static>> {
    bench.frames(peer);
    let request = RequestId(40);
    bench.say(peer, &[Frame::ListSchedules { request, queue: "q", after }]);
    match bench.frames(peer).pop() {
        Some(Frame::ScheduleList { schedules, .. }) => schedules,
        other => panic!("not a list: {other:?}"),
    }
}

pub fn unschedule(bench: &mut Bench, peer: &mut Peer, number: MessageNumber) -> Frame<'static> {
    bench.frames(peer);
    bench.say(peer, &[Frame::Unschedule { request: RequestId(41), queue: "q", number }]);
    bench.frames(peer).pop().expect("an answer")
}

pub fn counted(count: u64) -> Frame<'static> {
    Frame::Counted { request: RequestId(41), count }
}

pub fn waiting(bench: &mut Bench, peer: &mut Peer) -> u64 {
    counts(bench, peer, "q").ready
}

/// The real changes of 2026.
pub fn know_zones(bench: &mut Bench) {
    let zones = [
        ("Europe/Berlin", 3600, [(1_774_746_000, 7200), (1_792_890_000, 3600)]),
        ("America/New_York", -18_000, [(1_772_953_200, -14_400), (1_793_512_800, -18_000)]),
        ("Australia/Lord_Howe", 39_600, [(1_775_314_800, 37_800), (1_791_041_400, 39_600)]),
    ];
    for (name, first, [spring, autumn]) in zones {
        bench.zones.insert(name, vec![(0, first), spring, autumn]);
    }
}

/// When what a schedule stored was stored, in seconds around a change, over two days.
fn fired_around(zone: &'static str, change_s: u64, text: &'static str) -> Vec<i64> {
    let mut bench = Bench::new();
    know_zones(&mut bench);
    bench.now.unix = UnixMillis((change_s - 24 * 3600) * 1000);
    let mut peer = bench.join(1);
    assert_eq!(schedule(&mut bench, &mut peer, order("k", cron(text, zone), b"x")), None);
    bench.pass_ms(48 * HOUR_MS);
    let found = take(&mut bench, &mut peer, "q", 500);
    found.iter().map(|found| (found.stored_at.0 / 1000) as i64 - change_s as i64).collect()
}

#[test]
fn a_skipped_time_is_at_the_change_and_a_repeated_one_comes_once() {
    const DAY: i64 = 24 * 3600;
    let (half, hour) = (1800, 3600);
    // Berlin goes from 2:00 to 3:00, and from 3:00 to 2:00.
    let berlin = |change_s| fired_around("Europe/Berlin", change_s, "30 2 * * *");
    assert_eq!(berlin(1_774_746_000), [half - DAY, 0, DAY - half]);
    assert_eq!(berlin(1_792_890_000), [-half]);
    // New York goes from 2:00 to 3:00, and from 2:00 to 1:00.
    let york = |change_s| fired_around("America/New_York", change_s, "30 1,2 * * *");
    assert_eq!(york(1_772_953_200), [half - DAY, -half, 0, DAY - hour - half, DAY - half]);
    assert_eq!(york(1_793_512_800), [half - DAY, -half, hour + half]);
    // Lord Howe: 2:00 is 1:30 again in April, and 2:30 at once in October.
    let howe = |change_s, text| fired_around("Australia/Lord_Howe", change_s, text);
    assert_eq!(howe(1_775_314_800, "45 1 * * *"), [-900]);
    assert_eq!(howe(1_791_041_400, "15 2 * * *"), [900 - DAY, 0, DAY - 900]);
}

#[test]
fn an_interval_keeps_its_times_and_makes_up_for_one_that_was_missed() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let start = bench.now.unix;
    assert_eq!(schedule(&mut bench, &mut peer, order("k", every(10_000), b"tick")), None);
    bench.pass_ms(9_999);
    assert_eq!(waiting(&mut bench, &mut peer), 0);
    bench.pass_ms(20_002);
    let fired = take(&mut bench, &mut peer, "q", 9);
    assert_eq!(bodies(&fired), [b"tick"; 3]);
    let ids: Vec<_> = fired.iter().map(|d| (d.lane.0, d.sequence.0 == d.number.0)).collect();
    assert_eq!(ids, [(0, true); 3]);
    // Nobody hosts for 35 seconds: of the three that were missed one is stored, late.
    bench.now.unix.0 += 35_000;
    bench.restart();
    let mut peer = bench.join(2);
    assert_eq!(waiting(&mut bench, &mut peer), 1);
    let [entry] = list(&mut bench, &mut peer, None)[..] else { panic!("one schedule") };
    let due_at = UnixMillis(start.0 + 40_000);
    let last = Firing { due_at, at: bench.now.unix, count: 4 };
    assert_eq!(entry.last, Some(last));
    assert_eq!(entry.due_at, Some(UnixMillis(start.0 + 70_000)));
    bench.pass_ms(5_000);
    assert_eq!(waiting(&mut bench, &mut peer), 2);
}

#[test]
fn a_time_is_used_once_whenever_the_node_dies() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    schedule(&mut bench, &mut peer, order("k", every(10_000), b"tick"));
    // It dies with the message and the next time not stored: another one is for them.
    bench.hold_storage = true;
    bench.pass_ms(10_000);
    assert!(!bench.held.is_empty());
    bench.hold_storage = false;
    bench.restart();
    let mut peer = bench.join(2);
    assert_eq!(waiting(&mut bench, &mut peer), 1);
    // And it dies once they are stored.
    bench.pass_ms(10_000);
    bench.restart();
    bench.restart();
    let mut peer = bench.join(3);
    assert_eq!(waiting(&mut bench, &mut peer), 2);
}

#[test]
fn what_is_due_once_is_stored_and_gone() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let at = UnixMillis(bench.now.unix.0 + 5000);
    schedule(&mut bench, &mut peer, order("later", When::At { at }, b"later"));
    let over = UnixMillis(bench.now.unix.0 - 5000);
    schedule(&mut bench, &mut peer, order("over", When::At { at: over }, b"over"));
    assert_eq!(waiting(&mut bench, &mut peer), 1);
    bench.pass_ms(4999);
    assert_eq!(waiting(&mut bench, &mut peer), 1);
    bench.pass_ms(1);
    assert_eq!(list(&mut bench, &mut peer, None), []);
    bench.restart();
    let mut peer = bench.join(2);
    bench.pass_ms(60_000);
    assert_eq!(bodies(&take(&mut bench, &mut peer, "q", 5)), [&b"over"[..], b"later"]);
}

#[test]
fn one_of_the_same_key_takes_its_place() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    schedule(&mut bench, &mut peer, order("k", every(10_000), b"one"));
    let first = list(&mut bench, &mut peer, None)[0];
    bench.pass_ms(4_000);
    // The same again, as a page says it at each load, changes nothing.
    schedule(&mut bench, &mut peer, order("k", every(10_000), b"one"));
    assert_eq!(list(&mut bench, &mut peer, None), [first]);
    // With another body it is due when it was.
    schedule(&mut bench, &mut peer, order("k", every(10_000), b"two"));
    let second = list(&mut bench, &mut peer, None)[0];
    assert_eq!(second.due_at, first.due_at);
    assert_ne!(second.number, first.number);
    bench.pass_ms(6_000);
    schedule(&mut bench, &mut peer, order("k", every(60_000), b"three"));
    let third = list(&mut bench, &mut peer, None)[0];
    assert_eq!(third.due_at, Some(UnixMillis(bench.now.unix.0 + 60_000)));
    assert_eq!(third.last, None);
    assert_eq!(unschedule(&mut bench, &mut peer, first.number), counted(0));
    bench.pass_ms(50_000);
    assert_eq!(bodies(&take(&mut bench, &mut peer, "q", 5)), [b"two"]);
}

#[test]
fn an_order_that_comes_again_is_done_once() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let at = bench.now.unix;
    schedule(&mut bench, &mut peer, order("k", When::At { at }, b"now"));
    peer.next = Sequence(peer.next.0 - 1);
    assert_eq!(schedule(&mut bench, &mut peer, order("k", When::At { at }, b"now")), None);
    assert_eq!(waiting(&mut bench, &mut peer), 1);
}

#[test]
fn another_node_knows_them_from_a_checkpoint() {
    let mut bench = Bench::with(Limits { checkpoint_bytes_min: 0, ..Limits::default() });
    know_zones(&mut bench);
    bench.now.unix = UnixMillis(1_774_746_000_000 - HOUR_MS);
    let mut peer = bench.join(1);
    schedule(&mut bench, &mut peer, order("a", cron("0 3 * * *", "Europe/Berlin"), b"at three"));
    schedule(&mut bench, &mut peer, order("b", every(20_000), b"often"));
    bench.pass_ms(20_000);
    for _ in 0..20 {
        bench.send(&mut peer, "other", &[0; 1000]);
    }
    let before = list(&mut bench, &mut peer, None);
    assert_eq!(before[0].due_at, Some(UnixMillis(1_774_746_000_000)));
    assert_eq!(before[1].last.map(|last| last.count), Some(1));
    bench.restart();
    let mut peer = bench.join(2);
    assert_eq!(list(&mut bench, &mut peer, None), before);
    assert_eq!(list(&mut bench, &mut peer, Some("a")), before[1..]);
}

#[test]
fn one_of_a_zone_that_the_host_does_not_know_waits_for_a_host_that_does() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let order = order("k", cron("*/5 * * * *", "Europe/Berlin"), b"x");
    assert_eq!(schedule(&mut bench, &mut peer, order), None);
    assert_eq!(list(&mut bench, &mut peer, None)[0].due_at, None);
    bench.pass_ms(HOUR_MS);
    assert_eq!(waiting(&mut bench, &mut peer), 0);
    know_zones(&mut bench);
    bench.restart();
    let mut peer = bench.join(2);
    let due_at = bench.now.unix.0.next_multiple_of(300_000);
    assert_eq!(list(&mut bench, &mut peer, None)[0].due_at, Some(UnixMillis(due_at)));
    // One that was known and is no more is due a last time.
    bench.zones.clear();
    bench.pass_ms(HOUR_MS);
    assert_eq!(waiting(&mut bench, &mut peer), 1);
    let entry = list(&mut bench, &mut peer, None)[0];
    assert_eq!((entry.due_at, entry.last.map(|last| last.count)), (None, Some(1)));
}

#[test]
fn what_has_no_room_is_held_until_there_is() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    declare(
        &mut bench,
        &mut peer,
        "q",
        QueueOptions { messages_max: Some(1), ..QueueOptions::default() },
    );
    schedule(&mut bench, &mut peer, order("k", every(10_000), b"tick"));
    bench.pass_ms(35_000);
    assert_eq!(waiting(&mut bench, &mut peer), 1);
    let due_at = list(&mut bench, &mut peer, None)[0].due_at;
    let (request, task) = (RequestId(50), Some(Task::Discard));
    let filter = Some(Filter::default());
    let redrive = Redrive { queue: Some("q"), task, filter, ..Redrive::default() };
    bench.say(&mut peer, &[Frame::Redrive { request, redrive }]);
    bench.pass_ms(1_000);
    assert_eq!(waiting(&mut bench, &mut peer), 1);
    let entry = list(&mut bench, &mut peer, None)[0];
    assert_eq!(entry.last.map(|last| Some(last.due_at)), Some(due_at));
}

#[test]
fn it_is_ended_by_its_number_and_goes_with_its_queue() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let idle = QueueOptions { idle_ms_max: Some(5000), ..QueueOptions::default() };
    declare(&mut bench, &mut peer, "q", idle);
    for key in ["a", "b"] {
        schedule(&mut bench, &mut peer, order(key, every(60_000), b"x"));
    }
    // A queue that has schedules is used.
    bench.pass_ms(30_000);
    let [a, b] = list(&mut bench, &mut peer, None)[..] else { panic!("two schedules") };
    assert_eq!((a.key, b.key), ("a", "b"));
    assert_eq!(unschedule(&mut bench, &mut peer, a.number), counted(1));
    assert_eq!(unschedule(&mut bench, &mut peer, a.number), counted(0));
    let id = counts(&mut bench, &mut peer, "q").id;
    let (request, if_unused, if_empty) = (RequestId(42), false, false);
    bench.say(&mut peer, &[Frame::DeleteQueue { request, queue: "q", id, if_unused, if_empty }]);
    bench.send(&mut peer, "q", b"new");
    bench.pass_ms(120_000);
    assert_eq!(list(&mut bench, &mut peer, None), []);
    assert_eq!(waiting(&mut bench, &mut peer), 1);
}

#[test]
fn what_can_not_be_followed_is_refused_and_changes_nothing() {
    let mut bench = Bench::with(Limits { schedules_max: 1, ..Limits::default() });
    let mut peer = bench.join(1);
    schedule(&mut bench, &mut peer, order("k", every(10_000), b"x"));
    let before = list(&mut bench, &mut peer, None);
    let long = "k".repeat(256);
    let fits = order("k", every(1000), b"x");
    let past = Past { attempts: 0, stored_at: UnixMillis(1), deaths: None };
    let with = |item: Item<'static>| Scheduling { item, ..fits };
    let body = vec![0; 2 << 20];
    let cases = [
        (order("", every(1000), b"x"), Code::Invalid, "key"),
        (order(&long, every(1000), b"x"), Code::Invalid, "key"),
        (order("k", every(999), b"x"), Code::Invalid, "every"),
        (order("k", cron("61 * * * *", "UTC"), b"x"), Code::Invalid, "cron"),
        (order("k", cron("0 0 30 2 *", "UTC"), b"x"), Code::Invalid, "cron"),
        (order("k", When::Cron { cron: &long, zone: None }, b"x"), Code::Invalid, "cron"),
        (order("k", cron("* * * * *", ""), b"x"), Code::Invalid, "zone"),
        (with(Item { delay_ms: Some(1), ..item(b"x") }), Code::Invalid, "item"),
        (with(Item { track: Some(true), ..item(b"x") }), Code::Invalid, "item"),
        (with(Item { past: Some(past), ..item(b"x") }), Code::Invalid, "item"),
        (order("k", every(1000), &body), Code::TooLarge, "body_bytes_max"),
        (order("other", every(1000), b"x"), Code::Full, "schedules_max"),
    ];
    for (wrong, code, reason) in cases {
        assert_eq!(schedule(&mut bench, &mut peer, wrong), Some((code, reason)));
        assert_eq!(list(&mut bench, &mut peer, None), before);
    }
    let same = digest(&bench);
    let request = RequestId(43);
    let frames = [
        Frame::ListSchedules { request, queue: "nowhere", after: None },
        Frame::Unschedule { request, queue: "nowhere", number: before[0].number },
    ];
    for frame in frames {
        bench.frames(&peer);
        bench.say(&mut peer, &[frame]);
        let refused = Frame::RequestRefused { request, code: Code::NotFound, reason: "" };
        assert_eq!(bench.frames(&peer), [refused]);
    }
    assert_eq!(digest(&bench), same);
}

#[test]
fn bodies_of_schedules_have_their_own_bound() {
    let mut bench = Bench::with(Limits { schedules_bytes_max: 100, ..Limits::default() });
    let mut peer = bench.join(1);
    assert_eq!(schedule(&mut bench, &mut peer, order("a", every(1000), &[0; 60])), None);
    let full = Some((Code::Full, "schedules_bytes_max"));
    assert_eq!(schedule(&mut bench, &mut peer, order("b", every(1000), &[0; 60])), full);
}
