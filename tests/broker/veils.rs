use std::borrow::Cow;

use tabmq::broker::Granting;
use tabmq::broker::io::Input;
use tabmq::id::{ClientId, Epoch, LinkNonce, PublishNumber, SocketId, SubscriptionId};
use tabmq::wire::frame::Live;
use tabmq::wire::{Envelope, Frame, Message, MessageWriter};

use crate::grants::grant;
use crate::harness::{Bench, Peer, client};

fn live(publisher: ClientId, number: u64, topic: &'static str) -> Live<'static> {
    let (number, index) = (PublishNumber(number), number - 1);
    Live { publisher, number, index, topic, body: topic.as_bytes(), properties: None }
}

fn to_everyone(client: ClientId, frames: &[Frame<'_>]) -> Vec<u8> {
    let mut writer = MessageWriter::new(64 << 10);
    for frame in frames {
        writer.push(frame);
    }
    let (epoch, link) = (Epoch::default(), LinkNonce(0));
    writer.take_message(|| Envelope { epoch, client, link, position: 0 }).expect("a message")
}

fn publishes(client: ClientId, from: u64, topics: &[&'static str]) -> Vec<u8> {
    let frames = (from..).zip(topics).map(|(n, topic)| Frame::Publish(live(client, n, topic)));
    to_everyone(client, &frames.collect::<Vec<_>>())
}

/// The topics of a message; an empty one where there is a veil.
fn topics(bytes: &[u8]) -> Vec<String> {
    let message = Message::parse(bytes).expect("a transport message");
    let topic = |frame| match frame {
        Ok(Frame::Publish(live)) if live.is_veiled() => String::new(),
        Ok(Frame::Publish(live)) => live.topic.to_owned(),
        other => panic!("a publish: {other:?}"),
    };
    message.frames().map(topic).collect()
}

fn join(bench: &mut Bench, number: u8, publish: &[&str], subscribe: &[&str]) -> Peer {
    let granting = Granting { user: "ada", publish, subscribe, ..Granting::default() };
    bench.join_granted(number, grant(&granting))
}

/// What the host does with a message to everyone from this peer.
fn publish(bench: &mut Bench, peer: &Peer, bytes: &[u8]) -> Option<Vec<u8>> {
    let broker = bench.node.broker().expect("the node serves");
    let heard = broker.publishable(peer.conn, bytes)?.into_owned();
    bench.input(Input::Heard { bytes: &heard });
    Some(heard)
}

#[test]
fn what_may_not_be_published_is_counted_and_not_shown() {
    let mut bench = Bench::new();
    let mut listener = bench.join(2);
    let subscription = SubscriptionId(1);
    bench.say(&mut listener, &[Frame::JoinGroup { subscription, filter: "#", group: "g" }]);
    bench.frames(&listener);
    let peer = join(&mut bench, 1, &["a.#"], &[]);
    let bytes = publishes(peer.id, 1, &["a.b", "b", "a"]);
    let heard = publish(&mut bench, &peer, &bytes).expect("it is passed on");
    assert_eq!(topics(&heard), ["a.b", "", "a"]);
    let number = PublishNumber(3);
    assert_eq!(bench.frames(&peer), [Frame::Published { number }], "nothing has to come again");
    let shown = |live| Frame::GroupMessage { subscription, live };
    let expected = [shown(live(peer.id, 1, "a.b")), shown(live(peer.id, 3, "a"))];
    assert_eq!(bench.frames(&listener), expected);
    let (publisher, first, last) = (peer.id, PublishNumber(1), number);
    bench.say(&mut listener, &[Frame::Repair { publisher, first, last }]);
    let messages =
        vec![live(peer.id, 1, "a.b"), live(peer.id, 2, "b").veiled(), live(peer.id, 3, "a")];
    assert_eq!(bench.frames(&listener), [Frame::Repaired { publisher, first, last, messages }]);
}

#[test]
fn a_host_that_does_not_ask_shows_no_more() {
    let mut bench = Bench::new();
    let mut listener = bench.join(2);
    let subscription = SubscriptionId(1);
    bench.say(&mut listener, &[Frame::JoinGroup { subscription, filter: "#", group: "g" }]);
    bench.frames(&listener);
    let mut peer = join(&mut bench, 1, &["a"], &[]);
    let bytes = publishes(peer.id, 1, &["b"]);
    bench.input(Input::Heard { bytes: &bytes });
    bench.say(&mut peer, &[Frame::Publish(live(client(1), 2, "c"))]);
    assert_eq!(bench.frames(&listener), []);
    let heard = [1, 2].map(|number| Frame::Published { number: PublishNumber(number) });
    assert_eq!(bench.frames(&peer), heard);
    bench.input(Input::Disconnected { conn: peer.conn });
    let bytes = publishes(peer.id, 3, &["a"]);
    bench.input(Input::Heard { bytes: &bytes });
    assert_eq!(bench.frames(&listener), [], "a user who is not here says nothing");
}

#[test]
fn what_may_not_be_heard_is_veiled() {
    let mut bench = Bench::new();
    let publisher = bench.join(1);
    let socket = SocketId(1);
    let granting = Granting { user: "ada", subscribe: &["a.#"], ..Granting::default() };
    let listener = bench.dial_on(Some(socket), client(2), grant(&granting), |_| {});
    let (mut listener, _) = bench.welcomed(listener);
    let bytes = publishes(publisher.id, 1, &["a.b", "b"]);
    publish(&mut bench, &publisher, &bytes);
    let (to, audible) = bench.multicasts.pop().expect("it is passed on");
    assert_eq!((to, topics(&audible)), (socket, vec!["a.b".into(), String::new()]));
    let broker = bench.node.broker().expect("the node serves");
    assert!(broker.may_hear(listener.conn, "a") && !broker.may_hear(listener.conn, "b"));
    let all_of_it = publishes(publisher.id, 3, &["a", "a.c"]);
    publish(&mut bench, &publisher, &all_of_it);
    assert_eq!(bench.multicasts.pop(), Some((socket, all_of_it)));
    let (publisher, first, last) = (publisher.id, PublishNumber(1), PublishNumber(2));
    bench.say(&mut listener, &[Frame::Repair { publisher, first, last }]);
    let messages = vec![live(publisher, 1, "a.b"), live(publisher, 2, "b").veiled()];
    assert_eq!(bench.frames(&listener), [Frame::Repaired { publisher, first, last, messages }]);
}

#[test]
fn nobody_publishes_for_another() {
    let mut bench = Bench::new();
    let peer = join(&mut bench, 1, &["#"], &["#"]);
    let unnamed = bench.node.accept_granted(
        bench.now,
        None,
        grant(&Granting { user: "ada", publish: &["#"], subscribe: &["#"], ..Granting::default() }),
    );
    let broker = bench.node.broker().expect("the node serves");
    let own = publishes(peer.id, 1, &["a"]);
    let others = publishes(client(2), 1, &["a"]);
    let inside = to_everyone(peer.id, &[Frame::Publish(live(client(2), 1, "a"))]);
    let no_publish = to_everyone(peer.id, &[Frame::Published { number: PublishNumber(1) }]);
    assert!(broker.publishable(peer.conn, &own).is_some());
    for bytes in [&others[..], &inside, &no_publish, b"", &own[..own.len() - 1]] {
        assert_eq!(broker.publishable(peer.conn, bytes), None);
    }
    assert_eq!(broker.publishable(unnamed, &own), None, "it has said no Hello");
    assert!(!broker.may_publish(unnamed, "a") && !broker.may_hear(unnamed, "a"));
    assert!(broker.may_publish(peer.conn, "a"));
    assert!(!broker.may_publish(peer.conn, "$tabmq.a"), "a wildcard is not for the system");
}

#[test]
fn a_tab_of_the_device_says_and_hears_everything() {
    let mut bench = Bench::new();
    let peer = bench.join(1);
    let bytes = publishes(peer.id, 1, &["a"]);
    let broker = bench.node.broker().expect("the node serves");
    assert!(matches!(broker.publishable(peer.conn, &bytes), Some(Cow::Borrowed(_))));
    bench.input(Input::Disconnected { conn: peer.conn });
    let broker = bench.node.broker().expect("the node serves");
    assert_eq!(broker.publishable(peer.conn, &bytes), None);
}
