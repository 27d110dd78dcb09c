use tabmq::client::io::{CallOutcome, Event};
use tabmq::error::Code;
use tabmq::id::{ClientId, LeaseNumber, PublishNumber};
use tabmq::options::ConsumeOptions;
use tabmq::web::io::{Effect, Fact};
use tabmq::wire::Frame;
use tabmq::wire::frame::{Hello, Item, Live, Outcome, Settlement};
use tabmq::wire::{Message, VERSION, VERSION_MIN};

use crate::handmade::{message, message_under};
use crate::hub_world::{HUB, HubWorld, Told};

/// The signal that has clients say Hello.
const DIAL: &[u8] = &[1];
/// The first byte of the signal that tells for whom was relayed.
const CLIENTS: u8 = 4;
const STRANGER: ClientId = ClientId([0xee; 16]);

fn item(body: &[u8]) -> Item<'_> {
    Item {
        body,
        properties: None,
        delay_ms: None,
        track: None,
        past: None,
        ttl_ms: None,
        priority: None,
        prepare: None,
    }
}

fn live(publisher: ClientId) -> Frame<'static> {
    let (number, topic, body) = (PublishNumber(1), "x.y", &b"body"[..]);
    Frame::Publish(Live { publisher, number, index: 0, topic, body, properties: None })
}

pub fn hello() -> Frame<'static> {
    Frame::Hello(Hello {
        version_min: VERSION_MIN,
        version_max: VERSION,
        features: 0,
        log: None,
        lane: tabmq::id::LaneId(0),
        confirmed: tabmq::id::Sequence(0),
        floor: tabmq::id::Sequence(0),
        fresh: true,
        peer: b"",
        leases: Vec::new(),
        serving: Vec::new(),
        terms: Vec::new(),
        published: None,
    })
}

pub fn send(world: &mut HubWorld, at: usize, body: &[u8]) {
    world.verb(at, |client, now| client.send(now, "q", &[item(body)], None)).expect("taken");
}

pub fn sent(world: &HubWorld, at: usize) -> usize {
    world.events(at, |event| matches!(event, Event::Sent { .. }).then_some(())).len()
}

pub fn heard(world: &HubWorld, at: usize) -> Vec<Vec<u8>> {
    world.events(at, |event| match event {
        Event::Live { body, .. } => Some(body.clone()),
        _ => None,
    })
}

pub fn deliveries(world: &HubWorld, at: usize) -> Vec<(LeaseNumber, Vec<u8>)> {
    world.events(at, |event| match event {
        Event::Delivery { lease, body, .. } => Some((*lease, body.clone())),
        _ => None,
    })
}

pub fn publish(world: &mut HubWorld, at: usize, body: &[u8]) {
    world.verb(at, |client, now| client.publish(now, "x.y", body, None)).expect("taken");
}

/// Everything passes, so nobody was disturbed.
fn check_all_work(world: &mut HubWorld) {
    for at in 0..world.remotes.len() {
        let before = sent(world, at);
        send(world, at, b"check");
        world.pass_ms(100);
        assert_eq!(sent(world, at), before + 1, "remote {at}");
    }
}

#[test]
fn a_live_message_goes_to_everyone_but_its_publisher_and_is_answered() {
    let mut world = HubWorld::start(3);
    for at in 0..3 {
        world.verb(at, |client, now| client.subscribe(now, "x.*", None)).expect("taken");
    }
    world.own_verb(|client, now| client.subscribe(now, "#", None)).expect("taken");
    world.pass_ms(100);
    publish(&mut world, 0, b"one");
    world.own_verb(|client, now| client.publish(now, "x.hub", b"two", None)).expect("taken");
    world.pass_ms(100);
    // A realm hears what it publishes from itself.
    for at in 0..3 {
        assert_eq!(heard(&world, at), [b"one".to_vec(), b"two".to_vec()], "remote {at}");
    }
    let own = world.own.iter().filter(|event| matches!(event, Event::Live { .. })).count();
    assert_eq!(own, 2);
    let published = world.events(0, |event| matches!(event, Event::Published { .. }).then_some(()));
    assert_eq!(published.len(), 1);
}

#[test]
fn queues_and_calls_pass_between_remotes_and_the_hub() {
    let mut world = HubWorld::start(2);
    let options = ConsumeOptions::new(1, 1 << 20);
    world.verb(1, |client, now| client.consume(now, "q", options)).expect("taken");
    send(&mut world, 0, b"job");
    world.own_verb(|client, now| client.send(now, "q", &[item(b"own")], None)).expect("taken");
    world.pass_ms(100);
    for body in [b"job", b"own"] {
        let (lease, got) = deliveries(&world, 1).last().cloned().expect("one");
        assert_eq!(got, body);
        world
            .verb(1, |client, now| client.settle(now, lease, Settlement::Ack { value: None }))
            .expect("taken");
        world.pass_ms(100);
    }
    world.verb(1, |client, now| client.serve(now, "calc", 4)).expect("taken");
    world.pass_ms(10);
    world.verb(0, |client, now| client.call(now, "calc", "add", b"3", 1000)).expect("taken");
    world.pass_ms(10);
    let key = world.events(1, |event| match event {
        Event::Dispatch { key, arguments, .. } if arguments == b"3" => Some(*key),
        _ => None,
    });
    world.verb(1, |client, now| client.reply(now, key[0], Outcome::Value(b"4"))).expect("taken");
    world.pass_ms(10);
    let ended = world.events(0, |event| match event {
        Event::CallEnded { outcome, .. } => Some(outcome.clone()),
        _ => None,
    });
    assert_eq!(ended, [CallOutcome::Value(b"4".to_vec())]);
}

#[test]
fn what_breaks_the_protocol_ends_its_socket_and_changes_nothing_else() {
    let mut world = HubWorld::start(2);
    world.verb(1, |client, now| client.subscribe(now, "#", None)).expect("taken");
    send(&mut world, 0, b"before");
    world.pass_ms(1000);
    let announce = Frame::Announce { log: tabmq::id::LogId([1; 16]) };
    let mut cut_short = message(STRANGER, 0, 0, &[live(STRANGER)]);
    cut_short.truncate(cut_short.len() - 2);
    let bad = [
        b"".to_vec(),
        b"GET / HTTP/1.1".to_vec(),
        vec![0xff; 70_000],
        message(HUB, 7, 1, &[hello()]),
        message(HUB, 0, 0, &[live(HUB)]),
        message(STRANGER, 0, 0, &[live(world.remotes[0].id)]),
        message(STRANGER, 0, 0, &[announce]),
        message(STRANGER, 0, 0, &[live(world.remotes[0].id), live(STRANGER)]),
        message(STRANGER, 0, 0, &[Frame::NewestNumbers { newest: Vec::new() }]),
        message(STRANGER, 0, 0, &[hello()]),
        cut_short,
    ];
    for (case, bytes) in bad.into_iter().enumerate() {
        let (socket, link) = (world.raw_socket(), 100 + case as u64);
        world.raw_send(socket, message(STRANGER, link, 1, &[hello()]));
        world.pass_ms(10);
        assert_eq!(world.hub.reached_by(), (3, 4), "case {case}");
        let digest = world.digest();
        world.raw_send(socket, bytes);
        world.pass_ms(10);
        assert_eq!(world.closed.get(&socket), Some(&Code::Protocol), "case {case}");
        assert_eq!((world.hub.reached_by(), world.digest()), ((2, 3), digest), "case {case}");
        assert!(heard(&world, 1).is_empty(), "case {case}");
    }
    check_all_work(&mut world);
}

#[test]
fn who_did_not_say_hello_publishes_nothing() {
    let mut world = HubWorld::start(2);
    world.verb(1, |client, now| client.subscribe(now, "#", None)).expect("taken");
    world.pass_ms(10);
    let socket = world.raw_socket();
    let other = world.remotes[0].id;
    for client in [STRANGER, other] {
        world.raw_send(socket, message(client, 0, 0, &[live(client)]));
    }
    world.pass_ms(10);
    assert_eq!((heard(&world, 1).len(), world.hub.reached_by()), (0, (2, 3)));
    assert_eq!(world.closed.get(&socket), None, "it may be late");
}

#[test]
fn clients_share_a_socket_and_end_with_it() {
    let mut world = HubWorld::start(1);
    let socket = world.raw_socket();
    for number in 0..10 {
        world.raw_send(socket, message(ClientId([0xd0 + number; 16]), 5, 1, &[hello()]));
    }
    assert_eq!(world.hub.reached_by(), (11, 12));
    let another = world.raw_socket();
    world.raw_send(another, message(ClientId([0xd0; 16]), 6, 1, &[hello()]));
    assert_eq!(world.hub.reached_by(), (11, 12), "one went on elsewhere");
    world.raw_gone(socket);
    assert_eq!(world.hub.reached_by(), (2, 3));
    // A device tells who of it is gone, and of nobody else.
    world.raw_send(another, message(ClientId([0xd0; 16]), 0, 0, &[]));
    assert_eq!(world.hub.reached_by(), (1, 2));
    world.raw_send(another, message(world.remotes[0].id, 0, 0, &[]));
    assert_eq!(world.hub.reached_by(), (1, 2));
    check_all_work(&mut world);
}

#[test]
fn bad_frames_behind_a_good_head_end_their_link_alone() {
    let mut world = HubWorld::start(1);
    let socket = world.raw_socket();
    let other = ClientId([0xdd; 16]);
    world.raw_send(socket, message(STRANGER, 5, 1, &[hello()]));
    world.raw_send(socket, message(other, 5, 1, &[hello()]));
    world.pass_ms(10);
    let epoch = world.hub.broker().expect("it serves").epoch();
    let mut bad = message_under(epoch, STRANGER, 5, 2, &[Frame::Ping { nonce: 1 }]);
    bad.pop();
    world.raw_send(socket, bad);
    world.pass_ms(10);
    assert_eq!(world.hub.reached_by(), (2, 3));
    check_all_work(&mut world);
}

#[test]
fn a_socket_names_no_more_clients_than_there_is_room_for() {
    let mut world = HubWorld::start_limited(1, |limits| limits.sessions_max = 10);
    let socket = world.raw_socket();
    for number in 0..1000u32 {
        let mut id = [0xcc; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        let position = u64::from(1 + number % 2);
        world.raw_send(socket, message(ClientId(id), 9, position, &[hello()]));
    }
    assert_eq!(world.hub.reached_by(), (9, 10));
}

#[test]
fn a_second_socket_of_a_client_takes_over() {
    let mut world = HubWorld::start(2);
    let first = world.remotes[0].socket.expect("one");
    let digest = world.digest();
    // The client lost its way without anybody knowing, and dials again.
    world.stalled = Some(first);
    world.remotes[0].socket = None;
    send(&mut world, 0, b"lost");
    world.pass_ms(30_000);
    assert_ne!(world.remotes[0].socket, Some(first));
    assert_eq!((world.is_open(0), sent(&world, 0)), (true, 1));
    assert_eq!(world.hub.reached_by(), (2, 3));
    assert_ne!(world.digest(), digest);
    let second = world.remotes[0].socket.expect("one");
    world.raw_gone(first);
    world.pass_ms(1000);
    assert_eq!(world.remotes[0].socket, Some(second), "that the old one is gone is no news");
    check_all_work(&mut world);
}

#[test]
fn a_client_whose_socket_is_gone_resumes_on_another_with_its_leases() {
    let mut world = HubWorld::start(2);
    let options = ConsumeOptions::new(10, 1 << 20);
    world.verb(0, |client, now| client.consume(now, "q", options)).expect("taken");
    world.pass_ms(10);
    send(&mut world, 1, b"job");
    world.pass_ms(100);
    let (lease, _) = deliveries(&world, 0)[0].clone();
    for _ in 0..5 {
        world.cut(0);
        assert_eq!(world.hub.reached_by(), (1, 2), "the session waits without a link");
        world.pass_ms(2000);
        assert!(world.is_open(0));
    }
    assert_eq!(deliveries(&world, 0).len(), 1, "it never left");
    world
        .verb(0, |client, now| client.settle(now, lease, Settlement::Ack { value: None }))
        .expect("taken");
    world.pass_ms(100);
    let lost = world.events(0, |event| match event {
        Event::Failed { code, .. } => Some(*code),
        Event::LeaseLost { .. } => Some(Code::StaleLease),
        _ => None,
    });
    assert_eq!(lost, []);
    let settled = world.events(0, |event| matches!(event, Event::Settled { .. }).then_some(()));
    assert_eq!(settled.len(), 1);
}

#[test]
fn a_hub_that_hands_over_closes_its_sockets_and_clients_come_to_the_next() {
    let mut world = HubWorld::start(2);
    let sockets: Vec<_> = world.remotes.iter().filter_map(|remote| remote.socket).collect();
    world.close_hub();
    for socket in sockets {
        assert_eq!(world.closed.get(&socket), Some(&Code::Unavailable));
    }
    assert!(world.hub.is_closed());
    world.kill_hub();
    send(&mut world, 0, b"meanwhile");
    world.pass_ms(3000);
    assert!(world.remotes[0].told.contains(&Told::Unreachable));
    let told_why = |told: &Told| matches!(told, Told::Error(..));
    assert!(!world.remotes[0].told.iter().any(told_why), "a hub that goes is no mistake");
    world.restart_hub();
    world.pass_ms(6000);
    assert_eq!(sent(&world, 0), 1);
    check_all_work(&mut world);
}

#[test]
fn a_hub_in_memory_that_begins_anew_is_followed_again_and_again() {
    let mut world = HubWorld::start_in_memory(3);
    for _ in 0..10 {
        world.kill_hub();
        world.pass_ms(1000);
        world.restart_hub();
        // The longest wait between two tries, and a quarter of it.
        world.pass_ms(5500);
        assert!((0..3).all(|at| world.is_open(at)));
        check_all_work(&mut world);
    }
}

#[test]
fn a_hub_over_files_that_dies_confirms_each_send_once() {
    let mut world = HubWorld::start(2);
    for round in 0..10 {
        for _ in 0..20 {
            send(&mut world, 0, b"job");
            send(&mut world, 1, b"job");
        }
        world.kill_hub();
        world.pass_ms(200);
        world.restart_hub();
        world.pass_ms(6000);
        for at in 0..2 {
            assert_eq!(sent(&world, at), (round + 1) * 20);
        }
    }
}

#[test]
fn a_hub_with_no_room_tells_so_once_and_is_not_hammered() {
    // The hub's own client is one of them.
    let mut world = HubWorld::start_limited(2, |limits| limits.sessions_max = 3);
    let late = world.add();
    world.pass_ms(60_000);
    assert_eq!(
        world.remotes[late]
            .told
            .iter()
            .filter(|told| **told == Told::Error(Code::Full, "hub"))
            .count(),
        1
    );
    assert!(!world.is_open(late));
    let (dialed, said) = (world.remotes[late].dialed.len(), world.remotes[late].said);
    assert_eq!(dialed, 1, "others may be on the socket");
    assert!((10..25).contains(&said), "said Hello {said} times in a minute");
    world.verb(0, |client, now| client.close(now, false));
    world.pass_ms(10_000);
    assert!(world.is_open(late), "who is refused today may be let in tomorrow");
}

#[test]
fn a_hub_that_is_down_is_dialed_ever_less_often_and_told_about() {
    let mut world = HubWorld::start(1);
    world.kill_hub();
    world.pass_ms(60_000);
    let told = &world.remotes[0].told;
    let after = told.iter().position(|told| *told == Told::Event(Event::Lost)).expect("told");
    assert_eq!(told[after + 1], Told::Unreachable, "in this order");
    let dialed = world.remotes[0].dialed.len();
    assert!((10..25).contains(&dialed), "dialed {dialed} times in a minute");
}

#[test]
fn nothing_stays_of_sockets_that_came_and_went() {
    let mut world = HubWorld::start_limited(1, |limits| limits.park_ms = 1000);
    for number in 0..1000u32 {
        let mut id = [0xcc; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        let (client, socket) = (ClientId(id), world.raw_socket());
        let position = u64::from(number % 3);
        world.raw_send(socket, message(client, 9, position, &[hello()]));
        if number % 5 == 0 {
            world.raw_send(socket, b"garbage".to_vec());
        }
        if number % 2 == 0 {
            world.raw_gone(socket);
            continue;
        }
        let second = world.raw_socket();
        world.raw_send(second, message(client, 0, 0, &[live(client)]));
        world.raw_gone(socket);
        world.raw_gone(second);
    }
    assert_eq!(world.hub.reached_by(), (1, 2));
    world.pass_ms(3000);
    assert_eq!(world.hub.broker().expect("it serves").session_count(), 2);
    check_all_work(&mut world);
}

/// Whether the relay tells the hub that a client is gone of which it knows no more than the id,
/// which is not in the list of those that are there.
fn is_said_to_be_gone(comes_back: Option<Back>) -> bool {
    let mut world = HubWorld::start(1);
    let (other, own) = (STRANGER, world.remotes[0].id);
    let mut effects = Vec::new();
    let mut give = |world: &mut HubWorld, fact: Fact| {
        let now = world.now;
        let realm = &mut world.remotes[0].realm;
        realm.handle(now, fact);
        effects.extend(realm.take_effects(now));
        effects.iter().rev().find_map(|effect| match effect {
            Effect::ListPresent(tenure) => Some(*tenure),
            _ => None,
        })
    };
    let signal = [&[CLIENTS][..], &other.0].concat();
    let tenure = give(&mut world, Fact::AtAll(signal)).expect("it asks who is there");
    let says_hello = || Fact::AtNode(message(other, 7, 1, &[hello()]));
    if comes_back == Some(Back::BeforeTheList) {
        give(&mut world, says_hello());
    }
    give(&mut world, Fact::Present { tenure, clients: [own].into() });
    if comes_back == Some(Back::AfterTheList) {
        give(&mut world, says_hello());
    }
    world.now.mono = world.now.mono.after_ms(200);
    give(&mut world, Fact::Tick);
    effects.iter().any(|effect| match effect {
        Effect::ToHub(bytes) => Message::parse(bytes)
            .is_ok_and(|message| message.envelope.client == other && message.is_empty()),
        _ => false,
    })
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Back {
    BeforeTheList,
    AfterTheList,
}

#[test]
fn a_client_that_begins_anew_while_its_relay_changes_is_not_said_to_be_gone() {
    assert!(is_said_to_be_gone(None));
    assert!(!is_said_to_be_gone(Some(Back::AfterTheList)));
    assert!(!is_said_to_be_gone(Some(Back::BeforeTheList)));
}

#[test]
fn a_relay_that_is_robbed_of_its_lock_has_the_clients_of_its_device_begin_anew() {
    let mut world = HubWorld::start(1);
    let now = world.now;
    let realm = &mut world.remotes[0].realm;
    assert!(realm.client.is_open());
    realm.handle(now, Fact::LockLost);
    assert!(!realm.client.is_open(), "nor does its own one go on as if it had a socket");
    let told = realm.take_effects(now);
    let dials = |effect: &&Effect| matches!(effect, Effect::ToAll(bytes) if bytes == DIAL);
    assert_eq!(told.iter().filter(dials).count(), 1);
}
