use tabmq::client::io::{CallOutcome, Event};
use tabmq::error::Code;
use tabmq::id::{ClientId, LeaseNumber, RequestId};
use tabmq::options::{ConsumeOptions, QueueOptions};
use tabmq::wire::frame::{Outcome, Settlement};

use crate::harness::item;
use crate::world::World;

fn send(world: &mut World, tab: ClientId, body: &[u8]) -> RequestId {
    world.ask(tab, |client, now| client.send(now, "q", &[item(body)], None)).expect("taken")
}

fn ack(world: &mut World, tab: ClientId, lease: LeaseNumber) -> RequestId {
    world
        .ask(tab, |client, now| client.settle(now, lease, Settlement::Ack { value: None }))
        .expect("taken")
}

/// The leases and bodies of deliveries.
fn deliveries(events: &[Event]) -> Vec<(LeaseNumber, Vec<u8>)> {
    let delivery = |event: &Event| match event {
        Event::Delivery { lease, body, .. } => Some((*lease, body.clone())),
        _ => None,
    };
    events.iter().filter_map(delivery).collect()
}

fn live_bodies(events: &[Event]) -> Vec<Vec<u8>> {
    let body = |event: &Event| match event {
        Event::Live { body, .. } => Some(body.clone()),
        Event::Gap { .. } => Some(b"gap".to_vec()),
        _ => None,
    };
    events.iter().filter_map(body).collect()
}

/// Answers every dispatch with its arguments; gives how many there were.
fn serve(world: &mut World, tab: ClientId) -> usize {
    let mut served = 0;
    for event in world.events(tab) {
        if let Event::Dispatch { key, arguments, .. } = event {
            served += 1;
            let outcome = Outcome::Value(&arguments);
            world.ask(tab, |client, now| client.reply(now, key, outcome)).expect("taken");
        }
    }
    world.run();
    served
}

#[test]
fn two_tabs_exchange_all_three_kinds() {
    let mut world = World::new();
    let (a, b) = (world.open(1), world.open(2));
    world.ask(b, |client, now| client.subscribe(now, "news.*", None)).expect("subscribes");
    world
        .ask(b, |client, now| client.consume(now, "q", ConsumeOptions::new(10, 1000)))
        .expect("consumes");
    world.ask(b, |client, now| client.serve(now, "calc", 1)).expect("serves");
    world.run();
    let published =
        world.ask(a, |client, now| client.publish(now, "news.x", b"hi", None)).expect("taken");
    let sent = send(&mut world, a, b"job");
    let call =
        world.ask(a, |client, now| client.call(now, "calc", "id", b"5", 1000)).expect("taken");
    world.run();
    let events = world.events(b);
    assert_eq!(live_bodies(&events), [b"hi"]);
    let delivered = deliveries(&events);
    assert_eq!(delivered[0].1, b"job");
    for event in &events {
        if let Event::Dispatch { key, arguments, .. } = event {
            let outcome = Outcome::Value(arguments);
            world.ask(b, |client, now| client.reply(now, *key, outcome)).expect("taken");
        }
    }
    let acked = ack(&mut world, b, delivered[0].0);
    assert_eq!(world.events(b), [Event::Settled { request: acked }]);
    let events = world.events(a);
    assert!(events.contains(&Event::Published { request: published }));
    assert!(matches!(events.iter().find(|event| matches!(event, Event::Sent { .. })),
        Some(Event::Sent { request, .. }) if *request == sent));
    let outcome = CallOutcome::Value(b"5".to_vec());
    assert!(events.contains(&Event::CallEnded { call, outcome }));
    assert!(world.tab(a).is_idle() && world.tab(b).is_idle());
}

/// Sends, consumes, publishes and calls while one thing goes wrong; everything must come to its
/// end, and nothing stored may be lost or doubled. Gives the live messages in order, and how many
/// steps it took.
fn survive(breaks: impl FnOnce(&mut World)) -> (Vec<Vec<u8>>, u64) {
    let mut world = World::new();
    let (a, b) = (world.open(1), world.open(2));
    world
        .ask(b, |client, now| client.consume(now, "q", ConsumeOptions::new(4, 1000)))
        .expect("consumes");
    world.ask(b, |client, now| client.subscribe(now, "#", None)).expect("subscribes");
    world.ask(b, |client, now| client.serve(now, "calc", 2)).expect("serves");
    world.run();
    world.steps = 0;
    breaks(&mut world);
    let many_faults = world.chaos.is_some();
    let sends: Vec<RequestId> = (0..10).map(|body| send(&mut world, a, &[body])).collect();
    let publishes: Vec<RequestId> = (0..5)
        .map(|body| world.ask(a, |client, now| client.publish(now, "a", &[body], None)))
        .map(|request| request.expect("taken"))
        .collect();
    world.ask(a, |client, now| client.call(now, "calc", "id", b"5", 20_000)).expect("taken");
    let (mut done, mut lives, mut from_a, mut dispatched) = (Vec::new(), Vec::new(), Vec::new(), 0);
    let rounds = if many_faults { 300 } else { 40 };
    for round in 0..rounds {
        if round == 40 {
            world.chaos = None;
        }
        let events = world.events(b);
        lives.extend(live_bodies(&events));
        for (lease, body) in deliveries(&events) {
            ack(&mut world, b, lease);
            done.push(body[0]);
        }
        for event in events {
            if let Event::Dispatch { key, .. } = event {
                dispatched += 1;
                let outcome = Outcome::Value(b"6");
                world.ask(b, |client, now| client.reply(now, key, outcome)).expect("taken");
            }
        }
        from_a.extend(world.events(a));
        world.pass_ms(200);
    }
    assert_eq!(done, (0..10).collect::<Vec<u8>>(), "each once, in order");
    assert!(dispatched <= 1);
    let answered = |wanted: RequestId| {
        from_a
            .iter()
            .filter(|event| match event {
                Event::Sent { request, .. } | Event::Published { request } => *request == wanted,
                _ => false,
            })
            .count()
    };
    assert!(sends.iter().chain(&publishes).all(|request| answered(*request) == 1));
    let ends: Vec<&Event> =
        from_a.iter().filter(|event| matches!(event, Event::CallEnded { .. })).collect();
    assert_eq!(ends.len(), 1);
    let unknown = CallOutcome::Failed { code: Code::PeerLost, maybe_executed: true };
    match ends[0] {
        Event::CallEnded { outcome: CallOutcome::Value(_), .. } => {}
        Event::CallEnded { outcome, .. } if many_faults && *outcome == unknown => {}
        other => assert_eq!(dispatched, 0, "{other:?}"),
    }
    assert!(world.tab(a).is_idle() && world.tab(b).is_idle());
    (lives, world.steps)
}

fn all_lives() -> Vec<Vec<u8>> {
    (0..5).map(|body| vec![body]).collect()
}

#[test]
fn nothing_is_lost_or_doubled_when_nothing_breaks() {
    assert_eq!(survive(|_| {}).0, all_lives());
}

#[test]
fn nothing_is_lost_or_doubled_wherever_the_node_dies() {
    let (_, steps) = survive(|_| {});
    for kill_at in 1..=steps {
        let (lives, _) = survive(|world| world.kill_at = Some(kill_at));
        assert_eq!(lives, all_lives(), "killed at step {kill_at}");
    }
}

#[test]
fn nothing_is_lost_or_doubled_whichever_message_is_lost() {
    let (_, steps) = survive(|_| {});
    let mut gaps = 0;
    for lose_at in 1..=steps {
        let (lives, _) = survive(|world| world.lose_at = Some(lose_at));
        let in_place = |(live, body): &(&Vec<u8>, &Vec<u8>)| live == body || *live == b"gap";
        assert_eq!(lives.len(), 5, "lost step {lose_at}");
        assert!(lives.iter().zip(&all_lives()).all(|pair| in_place(&pair)));
        gaps += lives.iter().filter(|live| *live == b"gap").count();
    }
    assert!(gaps <= 5, "only what nobody heard is a gap");
}

#[test]
fn nothing_is_lost_or_doubled_while_much_goes_wrong() {
    let mut gaps = 0;
    for seed in 0..240 {
        let (lives, _) = survive(|world| {
            let rng = tabmq::rng::Rng::new([seed; 32]);
            let rarity = u64::from(seed % 60);
            world.chaos = Some((rng, 8 + rarity, 15 + rarity));
        });
        let all = all_lives();
        let bodies: Vec<&Vec<u8>> = lives.iter().filter(|live| *live != b"gap").collect();
        assert!(bodies.is_sorted() && bodies.windows(2).all(|two| two[0] != two[1]));
        let short = bodies.len() < all.len();
        assert!(!short || bodies.len() < lives.len(), "seed {seed}: {lives:?} is silently short");
        gaps += lives.len() - bodies.len();
    }
    assert!(gaps > 0, "the faults reach live messages");
}

#[test]
fn refused_sends_fail_and_later_ones_wait_for_nobody() {
    let mut world = World::new();
    let a = world.open(1);
    let options = QueueOptions { messages_max: Some(1), ..QueueOptions::default() };
    world.ask(a, |client, now| client.declare(now, "q", options)).expect("taken");
    let requests =
        [send(&mut world, a, b"1"), send(&mut world, a, b"2"), send(&mut world, a, b"3")];
    let events = world.events(a);
    let failed: Vec<RequestId> = events
        .iter()
        .filter_map(|event| match event {
            Event::Failed { request, code: Code::Full, maybe_executed: false, .. } => {
                Some(*request)
            }
            _ => None,
        })
        .collect();
    assert_eq!(failed, requests[1..]);
    world.ask(a, |client, now| client.send(now, "r", &[item(b"x")], None)).expect("taken");
    assert!(matches!(world.events(a)[..], [Event::Sent { .. }]));
    world.kill_node();
    world.ask(a, |client, now| client.send(now, "r", &[item(b"y")], None)).expect("taken");
    world.pass_ms(5000);
    assert!(world.events(a).iter().any(|event| matches!(event, Event::Sent { .. })));
    assert!(world.tab(a).is_idle());
}

#[test]
fn a_reloaded_tab_goes_on_with_its_lane_and_is_heard_without_a_gap() {
    let mut world = World::new();
    let (a, b) = (world.open(1), world.open(2));
    world.ask(b, |client, now| client.subscribe(now, "#", None)).expect("subscribes");
    send(&mut world, a, b"1");
    for body in [b"1", b"2"] {
        world.ask(a, |client, now| client.publish(now, "a", body, None)).expect("taken");
    }
    world.run();
    let lane = world.tab(a).lane().0;
    let kept = world.close_tab(a);
    world.pass_ms(50);
    let a = world.open_with(1, Some(kept));
    assert_eq!(world.tab(a).lane().0, lane);
    send(&mut world, a, b"2");
    world.ask(a, |client, now| client.publish(now, "a", b"3", None)).expect("taken");
    world.run();
    assert!(world.tab(a).is_idle());
    assert_eq!(live_bodies(&world.events(b)), [b"1", b"2", b"3"]);
}

#[test]
fn a_reload_together_with_the_node_is_heard_without_a_gap() {
    let mut world = World::new();
    let (a, b) = (world.open(1), world.open(2));
    world.ask(b, |client, now| client.subscribe(now, "#", None)).expect("subscribes");
    world.ask(a, |client, now| client.publish(now, "a", b"1", None)).expect("taken");
    world.run();
    let kept = world.close_tab(a);
    world.kill_node();
    world.pass_ms(50);
    let a = world.open_with(1, Some(kept));
    let published = world.ask(a, |client, now| client.publish(now, "a", b"2", None));
    world.pass_ms(3000);
    let request = published.expect("taken");
    assert!(world.events(a).contains(&Event::Published { request }));
    assert_eq!(live_bodies(&world.events(b)), [b"1", b"2"]);
}

#[test]
fn a_parked_tab_gives_its_messages_back_and_learns_what_it_missed() {
    let mut world = World::new();
    let (a, b) = (world.open(1), world.open(2));
    for tab in [a, b] {
        world
            .ask(tab, |client, now| client.consume(now, "q", ConsumeOptions::new(10, 1000)))
            .expect("consumes");
        world.ask(tab, |client, now| client.subscribe(now, "#", None)).expect("subscribes");
    }
    world.run();
    send(&mut world, a, b"1");
    send(&mut world, a, b"2");
    let mine = deliveries(&world.events(a));
    world.events(b);
    assert_eq!(mine.len(), 1);
    world.ask(a, |client, now| client.park(now));
    assert_eq!(deliveries(&world.events(b)).len(), 1, "its message goes to the other");
    for body in [b"1", b"2"] {
        world.ask(b, |client, now| client.publish(now, "a", body, None)).expect("taken");
    }
    world.pass_ms(1000);
    world.events(a);
    world.ask(a, |client, now| client.unpark(now));
    assert_eq!(live_bodies(&world.events(a)), [b"1", b"2"]);
    assert!(world.tab(a).is_open());
}

#[test]
fn a_leader_keeps_its_term_over_the_death_of_the_node() {
    let mut world = World::new();
    let (a, b) = (world.open(1), world.open(2));
    world.ask(a, |client, now| client.stand(now, "role")).expect("stands");
    world.run();
    world.ask(b, |client, now| client.stand(now, "role")).expect("stands");
    assert!(world.events(a).iter().any(|event| matches!(event, Event::Leading { .. })));
    world.kill_node();
    world.pass_ms(5000);
    let role = |events: Vec<Event>| {
        events.into_iter().filter(|e| matches!(e, Event::Leading { .. } | Event::Deposed { .. }))
    };
    assert_eq!(role(world.events(a)).count(), 0);
    assert_eq!(role(world.events(b)).count(), 0);
    world.close_tab(a);
    world.tell_gone(a);
    assert_eq!(role(world.events(b)).count(), 1);
}

#[test]
fn a_group_member_gets_each_message_and_joins_again_at_the_next_node() {
    let mut world = World::new();
    let (a, b, c) = (world.open(1), world.open(2), world.open(3));
    for tab in [b, c] {
        world.ask(tab, |client, now| client.subscribe(now, "a", Some("g"))).expect("joins");
    }
    world.run();
    let mut heard = 0;
    for round in 0..2 {
        for body in 0..6 {
            world.ask(a, |client, now| client.publish(now, "a", &[body], None)).expect("taken");
        }
        world.pass_ms(3000);
        let each = [b, c].map(|tab| live_bodies(&world.events(tab)).len());
        heard += each[0] + each[1];
        assert_eq!(each, [3, 3], "round {round}");
        world.kill_node();
        world.pass_ms(3000);
    }
    assert_eq!(heard, 12);
}

#[test]
fn a_call_whose_server_is_gone_fails_with_what_is_known() {
    let mut world = World::new();
    let (a, b) = (world.open(1), world.open(2));
    world.ask(b, |client, now| client.serve(now, "calc", 1)).expect("serves");
    world.run();
    let call =
        world.ask(a, |client, now| client.call(now, "calc", "id", b"", 60_000)).expect("taken");
    world.run();
    world.close_tab(b);
    world.tell_gone(b);
    let outcome = CallOutcome::Failed { code: Code::PeerLost, maybe_executed: true };
    assert!(world.events(a).contains(&Event::CallEnded { call, outcome }));
    let call =
        world.ask(a, |client, now| client.call(now, "calc", "id", b"", 60_000)).expect("taken");
    world.pass_ms(5000);
    let outcome = CallOutcome::Failed { code: Code::Unavailable, maybe_executed: false };
    assert!(world.events(a).contains(&Event::CallEnded { call, outcome }));
}

#[test]
fn many_calls_leave_nothing_behind() {
    let mut world = World::new();
    let (a, b) = (world.open(1), world.open(2));
    world.ask(b, |client, now| client.serve(now, "calc", 8)).expect("serves");
    world.run();
    let mut served = 0;
    for _ in 0..100 {
        world.ask(a, |client, now| client.call(now, "calc", "id", b"1", 1000)).expect("taken");
        served += serve(&mut world, b);
    }
    assert_eq!(served, 100);
    let ended = world.events(a).into_iter();
    assert_eq!(ended.filter(|event| matches!(event, Event::CallEnded { .. })).count(), 100);
    assert!(world.tab(a).is_idle() && world.tab(b).is_idle());
}
