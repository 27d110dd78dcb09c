//! Hubs that are not the one that is meant.

use tabmq::client::io::Event;
use tabmq::id::{Epoch, LogId};

use crate::hub_world::{HubWorld, Told};

const NEXT_DOOR: u8 = 7;

fn foreign(world: &HubWorld, at: usize) -> usize {
    world.events(at, |event| matches!(event, Event::ForeignLog { .. }).then_some(())).len()
}

#[test]
fn a_client_that_means_another_log_leaves_the_door_until_it_takes_that_one() {
    let mut world = HubWorld::start(1);
    let meant = Some(LogId([7; 16]));
    world.verb(0, |client, now| client.bind(now, meant, None));
    world.cut(0);
    world.pass_ms(20_000);
    assert!(!world.is_open(0));
    assert!(world.remotes[0].told.contains(&Told::Unreachable));
    let (left, told) = (world.remotes[0].left_doors, foreign(&world, 0));
    assert_eq!(left, told);
    assert!((3..=10).contains(&left), "{left} in twenty seconds");
    world.verb(0, |client, now| client.bind(now, None, None));
    world.pass_ms(5000);
    assert!(world.is_open(0));
}

#[test]
fn a_relay_leaves_the_door_of_the_hub_that_is_named_alone() {
    let mut world = HubWorld::start(1);
    let epoch = world.hub_broker().epoch();
    let named = |Epoch { counter, incarnation }: Epoch| {
        [&[NEXT_DOOR][..], &counter.to_be_bytes(), &incarnation.to_be_bytes()].concat()
    };
    let other = Epoch { incarnation: epoch.incarnation ^ 1, ..epoch };
    world.say_on_device(0, &named(other));
    world.say_on_device(0, &[NEXT_DOOR]);
    assert_eq!(world.remotes[0].left_doors, 0);
    world.say_on_device(0, &named(epoch));
    // What others say of the same door comes late.
    world.say_on_device(0, &named(epoch));
    assert_eq!(world.remotes[0].left_doors, 1);
    world.pass_ms(5000);
    assert!(world.is_open(0));
}
