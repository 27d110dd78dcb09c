//! Devices that are away for longer than the hub keeps what it knows of them.

use tabmq::client::io::Event;
use tabmq::error::Code;
use tabmq::options::ConsumeOptions;

use crate::hub::{deliveries, send, sent};
use crate::hub_world::HubWorld;

const LANE_KEEP_MS: u64 = 60_000;

fn failed(world: &HubWorld, at: usize) -> Vec<(Code, bool)> {
    world.events(at, |event| match event {
        Event::Failed { code, maybe_executed, .. } => Some((*code, *maybe_executed)),
        _ => None,
    })
}

/// Two devices, of which the first is gone with a send on its way, for longer than a lane is kept,
/// and sends more meanwhile.
fn come_back_late(answer_is_lost: bool) -> HubWorld {
    let mut world = HubWorld::start_limited(2, |limits| limits.lane_keep_ms = LANE_KEEP_MS);
    send(&mut world, 0, b"before");
    world.pass_ms(1000);
    assert_eq!(sent(&world, 0), 1);
    world.stalled = world.remotes[0].socket.filter(|_| !answer_is_lost);
    world.deaf = answer_is_lost.then_some(0);
    send(&mut world, 0, b"on its way");
    world.pass_ms(10);
    world.apart = Some(0);
    world.cut(0);
    send(&mut world, 0, b"while away");
    world.pass_ms(10 * LANE_KEEP_MS);
    assert_eq!(sent(&world, 0), 1);
    assert!(!world.is_open(0));
    world.apart = None;
    world.deaf = None;
    world.pass_ms(60_000);
    assert!(world.is_open(0));
    world
        .verb(1, |client, now| client.consume(now, "q", ConsumeOptions::new(10, 1 << 20)))
        .expect("taken");
    world.pass_ms(1000);
    world
}

fn bodies(world: &HubWorld) -> Vec<Vec<u8>> {
    deliveries(world, 1).into_iter().map(|(_, body)| body).collect()
}

#[test]
fn what_was_on_its_way_is_in_doubt_and_what_was_sent_while_away_arrives() {
    let world = come_back_late(false);
    assert_eq!(failed(&world, 0), [(Code::Unavailable, true)]);
    assert_eq!(sent(&world, 0), 2);
    assert_eq!(bodies(&world), [b"before".to_vec(), b"while away".to_vec()]);
}

#[test]
fn what_arrived_while_its_answer_was_lost_is_in_doubt_and_stored_once() {
    let world = come_back_late(true);
    assert_eq!(failed(&world, 0), [(Code::Unavailable, true)]);
    assert_eq!(sent(&world, 0), 2);
    let expected = [b"before".to_vec(), b"on its way".to_vec(), b"while away".to_vec()];
    assert_eq!(bodies(&world), expected);
}
