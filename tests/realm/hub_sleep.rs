//! A hub whose host falls asleep with its sockets open and loses its memory: whoever is on them
//! goes on as if nothing had been, and where that can't be, as after a death.

use tabmq::client::io::{CallOutcome, Event};
use tabmq::id::{CallId, Epoch, LeaseNumber};
use tabmq::log::Note;
use tabmq::options::ConsumeOptions;
use tabmq::store::Key;
use tabmq::wire::frame::{Outcome, Settlement};

use crate::hub::{deliveries, heard, publish, send, sent};
use crate::hub_world::HubWorld;

/// More than any host waits before it lets a hub sleep.
const REST_MS: u64 = 5_000;

fn sleepy(remotes: u8) -> HubWorld {
    // As a host has it that runs once: a pause is no sign of another.
    let mut world = HubWorld::start_limited(remotes, |limits| limits.pause_ms_max = u64::MAX);
    world.begin_to_sleep();
    world
}

fn consume(world: &mut HubWorld, at: usize) {
    let options = ConsumeOptions::new(1, 1 << 20);
    world.verb(at, |client, now| client.consume(now, "q", options)).expect("taken");
}

fn ack(world: &mut HubWorld, at: usize, lease: LeaseNumber) {
    let settlement = Settlement::Ack { value: None };
    world.verb(at, |client, now| client.settle(now, lease, settlement)).expect("taken");
}

fn epoch(world: &HubWorld) -> Epoch {
    world.hub_broker().epoch()
}

/// The host takes the memory away for so long.
fn sleep_ms(world: &mut HubWorld, ms: u64) {
    assert!(world.hub.may_sleep(), "it has something to do");
    world.sleep_hub();
    world.pass_ms(ms);
    world.wake_hub();
}

#[test]
fn who_is_on_a_socket_notices_nothing_of_a_sleep() {
    let mut world = sleepy(3);
    world.verb(0, |client, now| client.subscribe(now, "x.*", None)).expect("taken");
    world.verb(1, |client, now| client.subscribe(now, "x.*", Some("group"))).expect("taken");
    world.verb(1, |client, now| client.serve(now, "s", 1)).expect("taken");
    world.verb(2, |client, now| client.watch_queue(now, "q")).expect("taken");
    consume(&mut world, 1);
    send(&mut world, 0, b"one");
    world.pass_ms(100);
    let (lease, _) = deliveries(&world, 1)[0];
    publish(&mut world, 2, b"early");
    world.pass_ms(REST_MS);
    let before = epoch(&world);
    world.arrived.clear();
    sleep_ms(&mut world, 10_000);
    world.pass_ms(REST_MS);
    assert_eq!(epoch(&world), before, "it is the same node");
    assert!(world.arrived.is_empty(), "nobody was told anything");

    ack(&mut world, 1, lease);
    send(&mut world, 0, b"two");
    publish(&mut world, 2, b"late");
    let call = call(&mut world, 5_000);
    world.pass_ms(100);
    assert_eq!(sent(&world, 0), 2);
    let bodies: Vec<_> = deliveries(&world, 1).into_iter().map(|(_, body)| body).collect();
    assert_eq!(bodies, [b"one".to_vec(), b"two".to_vec()]);
    assert_eq!(heard(&world, 0), [b"early".to_vec(), b"late".to_vec()]);
    assert_eq!(heard(&world, 1), [b"early".to_vec(), b"late".to_vec()]);
    answer(&mut world, 1);
    world.pass_ms(100);
    assert_eq!(results(&world, 0), [call]);
    for remote in &world.remotes {
        assert_eq!(remote.dialed.len(), 2, "once to each process that began with nobody");
    }
}

fn call(world: &mut HubWorld, timeout_ms: u64) -> CallId {
    world.verb(0, |client, now| client.call(now, "s", "m", b"", timeout_ms)).expect("taken")
}

/// Answers the last call that the remote was given.
fn answer(world: &mut HubWorld, at: usize) {
    let calls = world.events(at, |event| match event {
        Event::Dispatch { key, .. } => Some(*key),
        _ => None,
    });
    let key = *calls.last().expect("a call");
    world.verb(at, |client, now| client.reply(now, key, Outcome::Value(b"done"))).expect("taken");
}

fn results(world: &HubWorld, at: usize) -> Vec<CallId> {
    world.events(at, |event| match event {
        Event::CallEnded { call, outcome: CallOutcome::Value(_) } => Some(*call),
        _ => None,
    })
}

#[test]
fn a_call_goes_on_over_a_sleep() {
    let mut world = sleepy(2);
    world.verb(1, |client, now| client.serve(now, "s", 1)).expect("taken");
    world.pass_ms(100);
    let calls = [call(&mut world, 60_000), call(&mut world, 60_000)];
    world.pass_ms(2_500);
    // Its caller asks before long whether the hub is there, which wakes it.
    sleep_ms(&mut world, 400);
    answer(&mut world, 1);
    world.pass_ms(100);
    assert_eq!(results(&world, 0), calls[..1]);
    answer(&mut world, 1);
    world.pass_ms(100);
    assert_eq!(results(&world, 0), calls, "the one that waited for a server has it now");
}

#[test]
fn a_lease_runs_on_while_the_hub_sleeps() {
    let mut world = sleepy(2);
    consume(&mut world, 0);
    send(&mut world, 1, b"job");
    world.pass_ms(100);
    assert_eq!(deliveries(&world, 0).len(), 1);
    world.pass_ms(REST_MS);
    consume(&mut world, 1);
    world.pass_ms(REST_MS);
    let wake_at = world.hub.wake_at().expect("for the lease");
    let left_ms = wake_at.ms_since(world.now.mono);
    sleep_ms(&mut world, left_ms / 2);
    world.pass_ms(REST_MS);
    assert!(deliveries(&world, 1).is_empty(), "it is not over yet");
    let left_ms = world.hub.wake_at().expect("for the lease").ms_since(world.now.mono);
    sleep_ms(&mut world, left_ms + 1);
    world.pass_ms(100);
    assert_eq!(deliveries(&world, 1).len(), 1, "it had so much time in all");
}

#[test]
fn whose_socket_ended_while_the_hub_slept_is_waited_for_and_given_up() {
    let mut world = sleepy(2);
    consume(&mut world, 0);
    send(&mut world, 1, b"job");
    world.pass_ms(100);
    assert_eq!(deliveries(&world, 0).len(), 1);
    consume(&mut world, 1);
    world.pass_ms(REST_MS);
    let before = epoch(&world);
    world.sleep_hub();
    world.apart = Some(0);
    world.cut(0);
    world.pass_ms(100);
    world.wake_hub();
    assert_eq!(epoch(&world), before);
    world.pass_ms(100);
    assert!(deliveries(&world, 1).is_empty(), "it may come back");
    let park_ms = world.limits.park_ms;
    world.pass_ms(park_ms + 2_000);
    assert!(!deliveries(&world, 1).is_empty());
}

#[test]
fn who_has_not_come_back_to_the_node_keeps_its_lease_over_a_sleep() {
    let mut world = sleepy(2);
    consume(&mut world, 0);
    send(&mut world, 1, b"job");
    world.pass_ms(100);
    assert_eq!(deliveries(&world, 0).len(), 1);
    world.apart = Some(0);
    world.kill_hub();
    world.wake_hub();
    consume(&mut world, 1);
    world.pass_ms(REST_MS);
    sleep_ms(&mut world, 100);
    world.pass_ms(REST_MS);
    assert!(deliveries(&world, 1).is_empty(), "it may come back");
    world.pass_ms(30_000);
    assert!(!deliveries(&world, 1).is_empty(), "its time is over");
}

/// Every client says Hello on the socket that it has, and all is as after a death.
fn check_another_node(world: &mut HubWorld, before: Epoch) {
    check_all_work(world, before);
    for remote in &world.remotes {
        assert_eq!(remote.dialed.len(), 2, "it has the socket that it had");
    }
}

fn check_all_work(world: &mut HubWorld, before: Epoch) {
    world.pass_ms(REST_MS);
    assert!(epoch(world) > before, "it is another node");
    for at in 0..world.remotes.len() {
        let had = sent(world, at);
        send(world, at, b"after");
        world.pass_ms(100);
        assert_eq!(sent(world, at), had + 1);
    }
}

#[test]
fn a_process_that_ends_awake_is_followed_by_another_node() {
    let mut world = sleepy(2);
    world.pass_ms(REST_MS);
    let before = epoch(&world);
    assert!(world.hub.may_sleep());
    publish(&mut world, 0, b"unlogged");
    assert!(!world.hub.may_sleep(), "what it left is void");
    world.sleep_hub();
    world.wake_hub();
    check_another_node(&mut world, before);
}

#[test]
fn a_note_that_is_damaged_is_as_good_as_none() {
    let damages: [fn(&mut Vec<u8>); 4] = [
        |note| note.truncate(9),
        // Another format.
        |note| note[1] ^= 1,
        // Another epoch.
        |note| note[3] ^= 1,
        |note| *note.last_mut().expect("a byte") ^= 1,
    ];
    for damage in damages {
        let mut world = sleepy(2);
        world.pass_ms(REST_MS);
        let before = epoch(&world);
        world.sleep_hub();
        let note = world.store().values_mut().get_mut(&Key::Note).expect("it is there");
        damage(note);
        world.wake_hub();
        check_another_node(&mut world, before);
    }
}

#[test]
fn what_nobody_can_read_is_given_up_and_not_tried_again() {
    let mut world = sleepy(2);
    world.pass_ms(REST_MS);
    let broker = world.hub_broker();
    let (before, log, through) = (broker.epoch(), broker.log_id(), broker.stored_through());
    world.sleep_hub();
    let note = Note::new(before, log, through, b"of a build that keeps other things").encode();
    world.store().values_mut().insert(Key::Note, note);
    world.wake_hub();
    // It begins anew, and so do all sockets.
    check_all_work(&mut world, before);
}

#[test]
fn a_note_is_void_once_another_node_has_claimed() {
    let mut world = sleepy(2);
    world.pass_ms(REST_MS);
    let before = epoch(&world);
    world.sleep_hub();
    // One that knows nothing of notes.
    world.restart_hub();
    world.pass_ms(100);
    let between = epoch(&world);
    assert!(between > before);
    world.sleep_hub();
    world.wake_hub();
    check_another_node(&mut world, between);
    assert!(world.store().values_mut().get(&Key::Note).is_none() || world.hub.may_sleep());
}

#[test]
fn a_note_is_believed_once() {
    let mut world = sleepy(2);
    world.pass_ms(REST_MS);
    let before = epoch(&world);
    sleep_ms(&mut world, 1);
    assert_eq!(epoch(&world), before);
    // It dies before it has come to rest again.
    world.sleep_hub();
    world.wake_hub();
    check_another_node(&mut world, before);
}
