//! Ways that died without a word, and hubs and clients that have nothing to do.

use tabmq::limits::Limits;
use tabmq::options::ConsumeOptions;
use tabmq::wire::frame::Settlement;

use crate::hub::{deliveries, heard, publish, send, sent};
use crate::hub_world::{FILES, HubWorld, Told};

#[test]
fn a_way_that_died_without_a_word_is_found_by_a_client_with_work() {
    let mut world = HubWorld::start(2);
    let first = world.remotes[0].socket.expect("one");
    world.stalled = Some(first);
    send(&mut world, 0, b"job");
    world.pass_ms(10_000);
    assert_ne!(world.remotes[0].socket, Some(first));
    assert_eq!(sent(&world, 0), 1);
    assert!(world.remotes[0].told.contains(&Told::Unreachable));
}

#[test]
fn a_way_that_died_without_a_word_is_found_by_a_client_that_only_listens() {
    let mut world = HubWorld::start(2);
    world.verb(0, |client, now| client.subscribe(now, "#", None)).expect("taken");
    world.pass_ms(600_000);
    assert_eq!(world.remotes[0].dialed.len(), 1, "a hub that answers is not left");
    let first = world.remotes[0].socket.expect("one");
    world.stalled = Some(first);
    publish(&mut world, 1, b"missed");
    world.pass_ms(45_000);
    assert_ne!(world.remotes[0].socket, Some(first));
    assert_eq!(heard(&world, 0), [b"missed".to_vec()], "it is said again");
}

#[test]
fn an_idle_way_is_probed_without_waking_the_hub() {
    let mut world = HubWorld::start(2);
    world.verb(0, |client, now| client.subscribe(now, "#", Some("group"))).expect("taken");
    world.pass_ms(40_000);
    let (said, probes) = (world.remotes[0].said, world.probes);
    world.pass_ms(600_000);
    assert_eq!(world.remotes[0].said, said, "nothing reaches the hub");
    assert!((30..=42).contains(&(world.probes - probes)), "{} probes", world.probes - probes);
}

#[test]
fn a_hub_that_nobody_needs_wakes_for_nothing() {
    // As a host has it that runs once: a pause is no sign of another.
    let limits = Limits { pause_ms_max: u64::MAX, ..Limits::default() };
    let mut world = HubWorld::start_with(1, FILES, limits);
    world.own_verb(|client, now| client.serve(now, "s", 1)).expect("taken");
    world
        .verb(0, |client, now| client.consume(now, "q", ConsumeOptions::new(1, 1 << 20)))
        .expect("taken");
    send(&mut world, 0, b"job");
    world.pass_ms(5000);
    let settled = deliveries(&world, 0)[0].0;
    world
        .verb(0, |client, now| client.settle(now, settled, Settlement::Ack { value: None }))
        .expect("taken");
    world.pass_ms(5000);
    let wake_at = world.hub.wake_at();
    let far = world.now.mono.after_ms(365 * 24 * 3_600_000);
    assert!(wake_at.is_none_or(|at| at > far), "{wake_at:?}");
}

#[test]
fn who_was_on_a_socket_of_the_node_before_hears_of_the_next_one() {
    let mut world = HubWorld::start(1);
    let socket = world.remotes[0].socket.expect("one");
    send(&mut world, 0, b"before");
    world.sleep_hub();
    world.restart_hub();
    world.pass_ms(1);
    assert_eq!(sent(&world, 0), 1);
    world.adopt(socket);
    send(&mut world, 0, b"after");
    world.pass_ms(1000);
    assert_eq!(sent(&world, 0), 2);
    assert_eq!(world.remotes[0].socket, Some(socket), "on the same socket");
    assert_eq!(world.remotes[0].dialed.len(), 1);
}
