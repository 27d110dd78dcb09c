//! Sockets that keep what they are given, because the hub or the network takes no more.

use tabmq::error::Code;
use tabmq::options::ConsumeOptions;
use tabmq::wire::frame::Settlement;

use crate::hub::{deliveries, heard, publish, send, sent};
use crate::hub_world::HubWorld;

/// Bounds as short as the tests.
const WINDOW: u32 = 8 << 10;
const BUFFERED: u32 = 4 << 10;
/// What whoever relays says on the channel of everyone.
const FULL: [u8; 1] = [8];
const DRAINED: [u8; 1] = [9];

fn clogged(remotes: u8) -> HubWorld {
    let mut world = HubWorld::start_limited(remotes, |limits| {
        limits.window_bytes_max = WINDOW;
        limits.socket_buffered_bytes_max = BUFFERED;
        limits.fragment_bytes_max = 1 << 10;
    });
    world.clogged = world.remotes[0].socket;
    world
}

/// A body that says its number, and is 500 bytes long.
fn body(number: usize) -> Vec<u8> {
    format!("{number:0500}").into_bytes()
}

fn ready_bodies(world: &mut HubWorld, count: usize) -> Vec<Vec<u8>> {
    let options = ConsumeOptions::new(u32::try_from(count).expect("a few"), 1 << 20);
    world.verb(1, |client, now| client.consume(now, "q", options)).expect("taken");
    world.pass_ms(1000);
    deliveries(world, 1).into_iter().map(|(_, body)| body).collect()
}

#[test]
fn a_full_socket_is_given_no_more_than_a_window_and_all_arrives_in_order() {
    let mut world = clogged(2);
    for number in 0..200 {
        send(&mut world, 0, &body(number));
    }
    let bound = (WINDOW + BUFFERED) as usize;
    assert!(world.buffered() > BUFFERED as usize, "it is full");
    assert!(world.buffered() <= bound, "{} bytes are kept", world.buffered());
    world.pass_ms(1000);
    assert!(world.buffered() <= bound);
    let mut steps = 0;
    while sent(&world, 0) < 200 {
        world.trickle(1);
        world.pass_ms(20);
        assert!(world.buffered() <= bound);
        steps += 1;
        assert!(steps < 1000, "it goes on as the socket drains");
    }
    world.unclog();
    let bodies = ready_bodies(&mut world, 300);
    assert_eq!(bodies, (0..200).map(body).collect::<Vec<_>>(), "once each, in order");
}

#[test]
fn what_waits_outlives_the_socket_that_was_full() {
    let mut world = clogged(2);
    for number in 0..100 {
        send(&mut world, 0, &body(number));
    }
    // Nothing comes back on it, so it is left after a while. What it kept arrives late.
    world.pass_ms(15_000);
    assert_ne!(world.remotes[0].socket, world.clogged);
    assert_eq!(sent(&world, 0), 100);
    world.unclog();
    world.pass_ms(100);
    let bodies = ready_bodies(&mut world, 200);
    assert_eq!(bodies, (0..100).map(body).collect::<Vec<_>>(), "once each, in order");
}

#[test]
fn what_is_published_into_a_full_socket_reaches_the_hub_later_and_once() {
    let mut world = clogged(2);
    world.verb(1, |client, now| client.subscribe(now, "#", None)).expect("taken");
    world.pass_ms(100);
    let clog = world.clogged.take();
    publish(&mut world, 0, b"before");
    world.pass_ms(100);
    world.clogged = clog;
    for number in 0..100 {
        publish(&mut world, 0, &body(number));
    }
    let bound = (BUFFERED + 2048) as usize;
    assert!(world.buffered() <= bound, "{} bytes are kept", world.buffered());
    world.pass_ms(2000);
    assert!(world.buffered() <= bound, "what is said again is not kept either");
    world.unclog();
    world.pass_ms(3000);
    let mut all = vec![b"before".to_vec()];
    all.extend((0..100).map(body));
    assert_eq!(heard(&world, 1), all);
}

#[test]
fn who_shares_a_full_socket_holds_back_sends_and_settles_all_the_same() {
    let mut world = clogged(1);
    world.clogged = None;
    let options = ConsumeOptions::new(1, 1 << 20);
    world.verb(0, |client, now| client.consume(now, "q", options)).expect("taken");
    send(&mut world, 0, b"first");
    world.pass_ms(100);
    let lease = deliveries(&world, 0)[0].0;
    world.say_on_device(0, &FULL);
    let said = world.remotes[0].said;
    send(&mut world, 0, b"waits");
    assert_eq!(world.remotes[0].said, said, "the send waits");
    world
        .verb(0, |client, now| client.settle(now, lease, Settlement::Ack { value: None }))
        .expect("taken");
    assert_eq!(world.remotes[0].said, said + 1, "the acknowledgement does not");
    world.say_on_device(0, &DRAINED);
    world.pass_ms(100);
    assert_eq!(sent(&world, 0), 2);
}

#[test]
fn nobody_holds_back_for_one_who_is_gone() {
    let mut world = clogged(1);
    world.clogged = None;
    world.say_on_device(0, &FULL);
    send(&mut world, 0, b"waits");
    world.pass_ms(1900);
    assert_eq!(sent(&world, 0), 0);
    world.pass_ms(200);
    assert_eq!(sent(&world, 0), 1, "whoever said so says so again, or is gone");
}

#[test]
fn who_can_send_no_more_can_ask() {
    let mut world = HubWorld::start_limited(1, |limits| limits.requests_max = 2);
    world.clogged = world.remotes[0].socket;
    send(&mut world, 0, b"a");
    send(&mut world, 0, b"b");
    let refused = world.verb(0, |client, now| client.publish(now, "x", b"c", None));
    assert_eq!(refused.expect_err("full").code, Code::Full);
    world.verb(0, |client, now| client.inspect(now, "q")).expect("taken");
    world.verb(0, |client, now| client.flush(now)).expect("taken");
}

#[test]
fn a_tab_that_settles_nothing_is_given_no_more_than_its_credit() {
    let mut world = HubWorld::start(2);
    let options = ConsumeOptions::new(5, 1 << 20);
    world.verb(1, |client, now| client.consume(now, "q", options)).expect("taken");
    for number in 0..200 {
        send(&mut world, 0, &body(number));
    }
    world.pass_ms(5000);
    assert_eq!(deliveries(&world, 1).len(), 5);
}
