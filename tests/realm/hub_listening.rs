//! A hub sends a socket what somebody behind it listens to, once, and says what it left out.

use tabmq::client::io::Event;
use tabmq::error::Code;
use tabmq::id::{AudienceId, ClientId, PublishNumber, SubscriptionId};
use tabmq::web::sockets::SocketId;
use tabmq::wire::frame::{Hello, Live, Newest};
use tabmq::wire::{AUDIENCES, Frame, Message};

use crate::handmade::{message, message_under};
use crate::hub::{heard, hello};
use crate::hub_world::HubWorld;

/// A client of a device of which only the messages are there.
struct Tab {
    id: ClientId,
    socket: SocketId,
    link: u64,
    position: u64,
}

impl Tab {
    /// Says Hello on the socket and, unless it is an old one, what it listens to.
    fn enter(world: &mut HubWorld, number: u8, socket: SocketId, filters: &[&str]) -> Self {
        let mut tab = Self::dial(world, number, socket, AUDIENCES);
        for (subscription, filter) in (1..).zip(filters) {
            tab.say(world, &[Frame::Listen { subscription: SubscriptionId(subscription), filter }]);
        }
        tab.say(world, &[Frame::Resumed]);
        tab
    }

    fn dial(world: &mut HubWorld, number: u8, socket: SocketId, features: u64) -> Self {
        let (id, link) = (ClientId([number; 16]), u64::from(socket.0) << 8 | u64::from(number));
        let Frame::Hello(hello) = hello() else { panic!("a Hello") };
        let hello = Frame::Hello(Hello { features, ..hello });
        world.raw_send(socket, message(id, link, 1, &[hello]));
        world.pass_ms(10);
        Self { id, socket, link, position: 1 }
    }

    fn say(&mut self, world: &mut HubWorld, frames: &[Frame<'_>]) {
        self.position += 1;
        let epoch = world.hub_broker().epoch();
        let bytes = message_under(epoch, self.id, self.link, self.position, frames);
        world.raw_send(self.socket, bytes);
        world.pass_ms(1);
    }
}

fn subscribe(world: &mut HubWorld, at: usize, filter: &str) -> SubscriptionId {
    world.verb(at, |client, now| client.subscribe(now, filter, None)).expect("taken")
}

fn publish(world: &mut HubWorld, at: usize, topic: &str, body: &[u8]) {
    world.verb(at, |client, now| client.publish(now, topic, body, None)).expect("taken");
}

/// What of the frames on a socket `read` makes something of.
fn on<T>(world: &HubWorld, socket: SocketId, read: impl Fn(Frame<'_>) -> Option<T>) -> Vec<T> {
    let arrived = world.arrived.get(&socket).into_iter().flatten();
    let read_all = |bytes: &Vec<u8>| -> Vec<T> {
        let message = Message::parse(bytes).expect("a message");
        message.frames().filter_map(|frame| read(frame.expect("a frame"))).collect()
    };
    arrived.flat_map(read_all).collect()
}

fn topics(world: &HubWorld, socket: SocketId) -> Vec<String> {
    on(world, socket, |frame| match frame {
        Frame::Publish(live) => Some(live.topic.to_owned()),
        _ => None,
    })
}

/// The ranges that were skipped, counted from the first number of their run.
fn skipped(world: &HubWorld, socket: SocketId) -> Vec<(u64, u64)> {
    on(world, socket, |frame| match frame {
        Frame::Skipped { first, last, .. } => {
            Some((first.0 - last.first().0, last.number.0 - last.first().0))
        }
        _ => None,
    })
}

fn repaired(world: &HubWorld, socket: SocketId) -> usize {
    on(world, socket, |frame| matches!(frame, Frame::Repaired { .. }).then_some(())).len()
}

fn gaps(world: &HubWorld, at: usize) -> usize {
    world.events(at, |event| matches!(event, Event::Gap { .. }).then_some(())).len()
}

fn socket(world: &HubWorld, at: usize) -> SocketId {
    world.remotes[at].socket.expect("it is connected")
}

#[test]
fn a_socket_is_sent_what_somebody_there_listens_to() {
    let mut world = HubWorld::start(4);
    subscribe(&mut world, 1, "price.*");
    subscribe(&mut world, 2, "stock.#");
    world.pass_ms(100);
    for _ in 0..50 {
        publish(&mut world, 0, "price.tea", b"1");
    }
    publish(&mut world, 0, "stock.tea.green", b"2");
    world.own_verb(|client, now| client.publish(now, "price.milk", b"3", None)).expect("taken");
    world.pass_ms(2000);
    let [prices, stocks, idle] = [1, 2, 3].map(|at| socket(&world, at));
    assert_eq!(topics(&world, prices).len(), 51);
    assert_eq!(topics(&world, stocks), ["stock.tea.green"]);
    assert_eq!(skipped(&world, stocks), [(0, 49)], "in one range");
    assert_eq!((topics(&world, idle).len(), skipped(&world, idle).len()), (0, 0));
    let newest = |socket| {
        on(&world, socket, |frame| matches!(frame, Frame::NewestNumbers { .. }).then_some(()))
    };
    assert_eq!(newest(idle).len(), 0, "nobody there counts");
    for at in 1..3 {
        assert_eq!((gaps(&world, at), repaired(&world, socket(&world, at))), (0, 0), "remote {at}");
    }
    assert_eq!((heard(&world, 1).len(), heard(&world, 2).len()), (51, 1));
}

#[test]
fn what_nobody_listens_to_costs_a_listening_socket_nothing() {
    let mut world = HubWorld::start(2);
    subscribe(&mut world, 1, "price.*");
    world.pass_ms(2000);
    let socket = socket(&world, 1);
    let before = world.arrived[&socket].len();
    for _ in 0..100 {
        publish(&mut world, 0, "stock.tea", b"1");
        world.pass_ms(50);
    }
    assert_eq!(world.arrived[&socket].len(), before);
    publish(&mut world, 0, "price.tea", b"2");
    world.pass_ms(2000);
    assert_eq!((skipped(&world, socket), heard(&world, 1)), (vec![(0, 99)], vec![b"2".to_vec()]));
    assert_eq!((gaps(&world, 1), repaired(&world, socket)), (0, 0));
}

#[test]
fn many_clients_of_a_socket_get_one_copy() {
    let mut world = HubWorld::start(1);
    let device = world.raw_socket();
    let tabs: Vec<Tab> =
        (50..60).map(|number| Tab::enter(&mut world, number, device, &["price.*", "#"])).collect();
    publish(&mut world, 0, "price.tea", b"1");
    world.pass_ms(100);
    assert_eq!(topics(&world, device), ["price.tea"]);
    // One of them is enough, whoever it is.
    for mut tab in tabs.into_iter().skip(1) {
        tab.say(&mut world, &[Frame::Goodbye { park: false }]);
    }
    publish(&mut world, 0, "price.milk", b"2");
    world.pass_ms(100);
    assert_eq!(topics(&world, device), ["price.tea", "price.milk"]);
}

#[test]
fn what_is_published_after_a_subscription_took_effect_is_heard() {
    let mut world = HubWorld::start(2);
    for round in 0..20 {
        let filter = ["price.*", "stock.*"][round % 2];
        let subscription = subscribe(&mut world, 1, filter);
        publish(&mut world, 0, "price.tea", b"early");
        let took_effect = world.events(1, |event| match event {
            Event::Subscribed { subscription: of } => Some(*of == subscription),
            _ => None,
        });
        assert_eq!(took_effect.last(), Some(&true), "the hub has answered");
        let before = heard(&world, 1).len();
        publish(&mut world, 0, "price.tea", b"late");
        publish(&mut world, 0, "stock.tea", b"late");
        assert_eq!(heard(&world, 1).len(), before + 1, "round {round}");
        world.verb(1, |client, now| client.unsubscribe(now, subscription));
        publish(&mut world, 0, "stock.tea", b"after");
        publish(&mut world, 0, "price.tea", b"after");
        assert_eq!(heard(&world, 1).len(), before + 1, "round {round}");
    }
    world.pass_ms(2000);
    assert_eq!((gaps(&world, 1), repaired(&world, socket(&world, 1))), (0, 0));
}

#[test]
fn a_client_that_comes_back_misses_nothing() {
    let mut world = HubWorld::start(2);
    subscribe(&mut world, 1, "price.*");
    world.pass_ms(100);
    for round in 0..5_u8 {
        publish(&mut world, 0, "price.tea", &[round, 0]);
        publish(&mut world, 0, "stock.tea", &[round, 1]);
        world.cut(1);
        publish(&mut world, 0, "stock.tea", &[round, 2]);
        publish(&mut world, 0, "price.tea", &[round, 3]);
        world.pass_ms(2000);
    }
    publish(&mut world, 0, "price.tea", b"last");
    world.pass_ms(2000);
    let rounds = (0..5_u8).flat_map(|round| [vec![round, 0], vec![round, 3]]);
    let expected: Vec<Vec<u8>> = rounds.chain([b"last".to_vec()]).collect();
    assert_eq!((heard(&world, 1), gaps(&world, 1)), (expected, 0));
}

#[test]
fn a_message_that_is_lost_on_its_way_is_repaired() {
    let mut world = HubWorld::start(2);
    subscribe(&mut world, 1, "price.*");
    world.pass_ms(2000);
    let socket = socket(&world, 1);
    publish(&mut world, 0, "stock.tea", b"skipped");
    world.stalled = Some(socket);
    publish(&mut world, 0, "price.tea", b"lost");
    world.stalled = None;
    publish(&mut world, 0, "stock.tea", b"skipped");
    publish(&mut world, 0, "price.tea", b"next");
    world.pass_ms(100);
    assert_eq!(heard(&world, 1), [b"lost".to_vec(), b"next".to_vec()]);
    assert_eq!((gaps(&world, 1), repaired(&world, socket)), (0, 1));
    // With nothing behind it the newest numbers tell.
    world.stalled = Some(socket);
    publish(&mut world, 0, "price.tea", b"tail");
    world.stalled = None;
    world.pass_ms(2000);
    assert_eq!(heard(&world, 1).last().map(Vec::as_slice), Some(&b"tail"[..]));
    assert_eq!((gaps(&world, 1), repaired(&world, socket)), (0, 2));
}

#[test]
fn what_is_lost_for_good_is_told() {
    let mut world = HubWorld::start_limited(2, |limits| limits.repair_bytes_max = 0);
    subscribe(&mut world, 1, "price.*");
    world.pass_ms(2000);
    world.stalled = Some(socket(&world, 1));
    publish(&mut world, 0, "price.tea", b"lost");
    world.stalled = None;
    publish(&mut world, 0, "price.tea", b"next");
    world.pass_ms(100);
    assert_eq!((heard(&world, 1), gaps(&world, 1)), (vec![b"next".to_vec()], 1));
}

#[test]
fn a_client_that_moves_to_another_socket_takes_what_it_listens_to_along() {
    let mut world = HubWorld::start(1);
    let (one, other) = (world.raw_socket(), world.raw_socket());
    let _stays = Tab::enter(&mut world, 50, one, &["stock.*"]);
    let _moves = Tab::enter(&mut world, 51, one, &["price.*"]);
    let audiences = |world: &HubWorld, socket| {
        on(world, socket, |frame| match frame {
            Frame::Audience { audience } => Some(audience),
            Frame::Welcome(welcome) => welcome.audience,
            _ => None,
        })
    };
    publish(&mut world, 0, "stock.tea", b"1");
    let before = audiences(&world, one);
    let moved = Tab::enter(&mut world, 51, other, &["price.*"]);
    publish(&mut world, 0, "price.tea", b"2");
    publish(&mut world, 0, "stock.tea", b"3");
    world.pass_ms(100);
    assert_eq!(topics(&world, one), ["stock.tea", "stock.tea"]);
    assert_eq!(topics(&world, other), ["price.tea"]);
    let after = audiences(&world, one);
    assert_eq!(after.len(), before.len() + 1, "those who stay are told that they are another");
    let told: Vec<AudienceId> = on(&world, one, |frame| match frame {
        Frame::Skipped { audience, .. } => Some(audience),
        _ => None,
    });
    assert_eq!(told, after[after.len() - 1..], "what it does not hear there is no business of it");
    // Nothing is sent on a socket that is gone, and the other goes on.
    world.raw_gone(one);
    world.raw_send(moved.socket, Vec::new());
    world.pass_ms(100);
}

#[test]
fn until_a_client_has_said_what_it_listens_to_it_hears_everything() {
    let mut world = HubWorld::start(1);
    let device = world.raw_socket();
    let mut tab = Tab::dial(&mut world, 50, device, AUDIENCES);
    publish(&mut world, 0, "a", b"1");
    let (subscription, filter) = (SubscriptionId(1), "b");
    tab.say(&mut world, &[Frame::Listen { subscription, filter }]);
    publish(&mut world, 0, "a", b"2");
    tab.say(&mut world, &[Frame::Resumed]);
    publish(&mut world, 0, "a", b"3");
    publish(&mut world, 0, "b", b"4");
    world.pass_ms(10);
    assert_eq!(
        (topics(&world, device), skipped(&world, device)),
        (["a", "a", "b"].map(String::from).to_vec(), vec![(2, 2)],)
    );
}

#[test]
fn an_old_client_hears_everything_and_so_do_its_neighbours() {
    let mut world = HubWorld::start(1);
    let device = world.raw_socket();
    let _tab = Tab::enter(&mut world, 50, device, &["b"]);
    let mut old = Tab::dial(&mut world, 51, device, 0);
    old.say(&mut world, &[Frame::Resumed]);
    publish(&mut world, 0, "a", b"1");
    world.pass_ms(2000);
    assert_eq!((topics(&world, device), skipped(&world, device)), (vec!["a".into()], Vec::new()));
    let (subscription, filter) = (SubscriptionId(1), "a");
    old.say(&mut world, &[Frame::Listen { subscription, filter }]);
    let hung_up = on(&world, device, |frame| match frame {
        Frame::Hangup { code } => Some(code),
        _ => None,
    });
    assert_eq!(hung_up, [Code::Protocol], "it did not say that it can");
    publish(&mut world, 0, "a", b"2");
    world.pass_ms(100);
    assert_eq!(topics(&world, device).len(), 1);
}

#[test]
fn what_is_heard_is_bounded_for_each_client_and_for_each_socket() {
    let mut world = HubWorld::start_limited(0, |limits| limits.handles_max = 2);
    let device = world.raw_socket();
    let mut refused = Vec::new();
    for number in 50..61 {
        let mut tab = Tab::enter(&mut world, number, device, &["a", "b"]);
        if number == 50 {
            let (subscription, filter) = (SubscriptionId(3), "c");
            tab.say(&mut world, &[Frame::Listen { subscription, filter }]);
            tab.say(&mut world, &[Frame::LeaveGroup { subscription: SubscriptionId(1) }]);
            tab.say(&mut world, &[Frame::Listen { subscription, filter }]);
        }
        refused = on(&world, device, |frame| match frame {
            Frame::GroupJoined { refused, .. } => Some(refused),
            _ => None,
        });
    }
    let full = refused.iter().filter(|refused| **refused == Some(Code::Full)).count();
    assert_eq!(full, 1 + 2, "the third of one, and all of the eleventh");
}

#[test]
fn a_repair_shows_what_was_asked_for() {
    let mut world = HubWorld::start(1);
    let device = world.raw_socket();
    let mut tab = Tab::enter(&mut world, 50, device, &["b"]);
    publish(&mut world, 0, "a", b"1");
    publish(&mut world, 0, "b", b"2");
    let last = on(&world, device, |frame| match frame {
        Frame::Publish(Live { publisher, number, index, .. }) => {
            Some(Newest { publisher, number, index })
        }
        _ => None,
    });
    let Newest { publisher, number: last, .. } = last[0];
    let first = PublishNumber(last.0 - 1);
    tab.say(&mut world, &[Frame::Repair { publisher, first, last }]);
    let messages = on(&world, device, |frame| match frame {
        Frame::Repaired { messages, .. } => {
            Some(messages.iter().map(|live| live.is_veiled()).collect::<Vec<_>>())
        }
        _ => None,
    });
    assert_eq!(messages, [vec![true, false]]);
}
