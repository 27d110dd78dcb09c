//! A tab dies at each step of its sends, and whoever goes on with them at each of its own: what was
//! accepted is stored once, and in its order.

use tabmq::client::io::Event;
use tabmq::id::{ClientId, RequestId};
use tabmq::limits::Limits;
use tabmq::options::ConsumeOptions;

use crate::harness::item;
use crate::world::{ShelfPace, World};

const SENDS: u8 = 4;

/// How a run goes on.
#[derive(Clone, Copy, Debug)]
struct Plan {
    pace: ShelfPace,
    /// The steps at which the node dies, the tab does, and whoever goes on with its sends.
    node_dies_at: Option<u64>,
    tab_dies_at: u64,
    sweeper_dies_after: Option<u64>,
}

/// A tab that sends, the first before any node has answered.
fn begin(plan: Plan) -> (World, ClientId, Vec<RequestId>) {
    // All is written down at once.
    let limits = Limits { outbox_after_ms: 0, log_reserve_bytes: 0, ..Limits::default() };
    let mut world = World::with(limits);
    world.pace = plan.pace;
    let tab = world.open(1);
    world.kill_at = plan.node_dies_at.map(|at| world.steps + at);
    world.die_at = Some((world.steps + plan.tab_dies_at, tab));
    world.ask(tab, |client, now| client.keep_sends(now));
    let mut requests = Vec::new();
    for number in 0..SENDS {
        let body = [number];
        let request = world.ask(tab, |client, now| client.send(now, "q", &[item(&body)], None));
        requests.push(request.expect("taken"));
    }
    (world, tab, requests)
}

/// Runs the plan; gives how many steps it took, what was accepted, and what is stored.
fn run(plan: Plan) -> (u64, usize, Vec<u8>) {
    let (mut world, tab, requests) = begin(plan);
    let first = world.steps;
    // Time enough for links that were lost.
    world.pass_ms(4000);
    let mut confirmed = 0;
    for event in world.events(tab) {
        if let Event::Sent { request, .. } = event {
            assert_eq!(request, requests[confirmed], "{plan:?}");
            confirmed += 1;
        }
    }
    let last = world.shelf.get(&tab).and_then(|left| left.last_key_value());
    let left = last.map_or(0, |(place, _)| *place as usize + 1);
    let steps = world.steps - first;
    world.tell_gone(tab);
    world.die_at = plan.sweeper_dies_after.map(|after| (world.steps + after, tab));
    for _ in 0..2 {
        if world.sweep(tab) {
            world.pass_ms(4000);
            world.tell_gone(tab);
        }
    }
    assert_eq!(world.shelf.get(&tab).map_or(0, |left| left.len()), 0, "{plan:?}: all is sent");
    (steps, confirmed.max(left), stored(&mut world))
}

/// The bodies in the queue.
fn stored(world: &mut World) -> Vec<u8> {
    let reader = world.open(9);
    let consume = ConsumeOptions::new(100, 1 << 20);
    world.ask(reader, |client, now| client.consume(now, "q", consume)).expect("consumes");
    let body = |event: Event| match event {
        Event::Delivery { body, .. } => Some(body[0]),
        _ => None,
    };
    world.events(reader).into_iter().filter_map(body).collect()
}

fn check(plan: Plan) -> u64 {
    let (steps, accepted, stored) = run(plan);
    let count = stored.len();
    let expected: Vec<u8> = (0..SENDS).take(count).collect();
    assert_eq!(stored, expected, "{plan:?}: once, in order and without a hole");
    assert!(count >= accepted, "{plan:?}: {accepted} were accepted, {count} are stored");
    steps
}

#[test]
fn a_tab_dies_at_each_step_of_its_sends() {
    for pace in [ShelfPace::First, ShelfPace::InTurn, ShelfPace::Last] {
        for node_dies_at in [None, Some(2), Some(4), Some(7)] {
            for tab_dies_at in 1..40 {
                let plan = Plan { pace, node_dies_at, tab_dies_at, sweeper_dies_after: None };
                check(plan);
            }
        }
    }
}

#[test]
fn whoever_goes_on_with_them_dies_at_each_step_as_well() {
    for pace in [ShelfPace::First, ShelfPace::Last] {
        for node_dies_at in [None, Some(3)] {
            for tab_dies_at in [3, 5, 8, 11, 14] {
                for after in 1..25 {
                    let sweeper_dies_after = Some(after);
                    check(Plan { pace, node_dies_at, tab_dies_at, sweeper_dies_after });
                }
            }
        }
    }
}
