use tabmq::broker::io::Input;
use tabmq::id::{ClientId, Epoch, LinkNonce, PublishNumber, SubscriptionId};
use tabmq::limits::Limits;
use tabmq::wire::frame::{Live, Newest, Reached};
use tabmq::wire::{Envelope, Frame, Message, MessageWriter};

use crate::harness::{Bench, Peer, client};

fn live(publisher: ClientId, number: u64, topic: &'static str) -> Live<'static> {
    let (index, number) = (number - 1, PublishNumber(number));
    Live { publisher, number, index, topic, body: b"body", properties: None }
}

fn publish(bench: &mut Bench, peer: &Peer, number: u64, topic: &'static str) {
    let mut writer = MessageWriter::new(1 << 20);
    writer.push(&Frame::Publish(live(peer.id, number, topic)));
    let (client, epoch) = (peer.id, Epoch::default());
    let head = || Envelope { epoch, client, link: LinkNonce(0), position: 0 };
    let bytes = writer.take_message(head).unwrap();
    bench.input(Input::Heard { bytes: &bytes });
}

fn join(bench: &mut Bench, peer: &mut Peer, filter: &str) {
    let (subscription, group) = (SubscriptionId(1), "g");
    bench.say(peer, &[Frame::JoinGroup { subscription, filter, group }]);
    let joined = Frame::GroupJoined { subscription, refused: None };
    assert!(bench.frames(peer).contains(&joined));
}

fn group_messages(bench: &mut Bench, peer: &Peer) -> Vec<u64> {
    let number = |frame| match frame {
        Frame::GroupMessage { live, .. } => Some(live.number.0),
        _ => None,
    };
    bench.frames(peer).into_iter().filter_map(number).collect()
}

#[test]
fn the_receipt_tells_how_far_the_node_has_heard() {
    let mut bench = Bench::new();
    let publisher = bench.join(1);
    publish(&mut bench, &publisher, 1, "a.b");
    publish(&mut bench, &publisher, 2, "a.b");
    let told = bench.frames(&publisher);
    assert_eq!(told.last(), Some(&Frame::Published { number: PublishNumber(2) }));
}

#[test]
fn members_of_a_group_share_the_messages() {
    let mut bench = Bench::new();
    let publisher = bench.join(1);
    let (mut first, mut second) = (bench.join(2), bench.join(3));
    join(&mut bench, &mut first, "a.*");
    join(&mut bench, &mut second, "a.*");
    for number in 1..=4 {
        publish(&mut bench, &publisher, number, "a.b");
    }
    publish(&mut bench, &publisher, 5, "b");
    let (mine, yours) = (group_messages(&mut bench, &first), group_messages(&mut bench, &second));
    assert_eq!((mine.len(), yours.len()), (2, 2));
}

#[test]
fn a_repeated_publish_reaches_a_group_once() {
    let mut bench = Bench::new();
    let publisher = bench.join(1);
    let mut member = bench.join(2);
    join(&mut bench, &mut member, "#");
    publish(&mut bench, &publisher, 1, "a");
    publish(&mut bench, &publisher, 1, "a");
    assert_eq!(group_messages(&mut bench, &member), [1]);
}

#[test]
fn the_node_asks_the_publisher_for_what_it_missed() {
    let mut bench = Bench::new();
    let publisher = bench.join(1);
    publish(&mut bench, &publisher, 1, "a");
    bench.frames(&publisher);
    publish(&mut bench, &publisher, 3, "a");
    let (first, last) = (PublishNumber(2), PublishNumber(3));
    let asked = Frame::Repair { publisher: client(1), first, last };
    assert_eq!(bench.frames(&publisher), [asked]);
}

/// What a publisher has left of a range, and that this is all.
fn say_again(bench: &mut Bench, peer: &mut Peer, numbers: std::ops::RangeInclusive<u64>) {
    let (publisher, messages) = (peer.id, Vec::new());
    let (first, last) = (PublishNumber(*numbers.start()), PublishNumber(*numbers.end()));
    let mut frames: Vec<Frame<'_>> =
        numbers.map(|number| Frame::Publish(live(publisher, number, "a"))).collect();
    frames.push(Frame::Repaired { publisher, first, last, messages });
    bench.say(peer, &frames);
}

#[test]
fn nothing_is_confirmed_that_was_posted_again_and_missed_again() {
    let mut bench = Bench::new();
    let mut publisher = bench.join(1);
    publish(&mut bench, &publisher, 1, "a");
    publish(&mut bench, &publisher, 3, "a");
    publish(&mut bench, &publisher, 3, "a");
    let confirmed = |bench: &mut Bench, peer: &Peer| {
        let number = |frame| match frame {
            Frame::Published { number } => Some(number.0),
            _ => None,
        };
        bench.frames(peer).into_iter().filter_map(number).max()
    };
    assert_eq!(confirmed(&mut bench, &publisher), Some(1));
    say_again(&mut bench, &mut publisher, 2..=3);
    assert_eq!(confirmed(&mut bench, &publisher), Some(3));
}

#[test]
fn a_publisher_that_was_asked_has_nothing_before_what_it_says() {
    let mut bench = Bench::new();
    let (mut publisher, mut member) = (bench.join(1), bench.join(2));
    join(&mut bench, &mut member, "#");
    publish(&mut bench, &publisher, 8, "a");
    assert_eq!(group_messages(&mut bench, &member), []);
    say_again(&mut bench, &mut publisher, 7..=8);
    assert_eq!(group_messages(&mut bench, &member), [7, 8]);
    publish(&mut bench, &publisher, 9, "a");
    assert_eq!(group_messages(&mut bench, &member), [9]);
}

#[test]
fn a_gap_is_repaired_from_the_node() {
    let mut bench = Bench::new();
    let (publisher, mut reader) = (bench.join(1), bench.join(2));
    for number in 1..=3 {
        publish(&mut bench, &publisher, number, "a");
    }
    let (first, last) = (PublishNumber(2), PublishNumber(3));
    bench.say(&mut reader, &[Frame::Repair { publisher: client(1), first, last }]);
    let frames = bench.frames(&reader);
    let Some(Frame::Repaired { messages, .. }) = frames.last() else { panic!("{frames:?}") };
    assert_eq!(messages, &[live(client(1), 2, "a"), live(client(1), 3, "a")]);
}

#[test]
fn a_repair_of_what_the_node_missed_too_waits_for_the_publisher() {
    let mut bench = Bench::new();
    let (publisher, mut reader) = (bench.join(1), bench.join(2));
    publish(&mut bench, &publisher, 1, "a");
    bench.frames(&publisher);
    let (first, last) = (PublishNumber(2), PublishNumber(2));
    let ask = Frame::Repair { publisher: client(1), first, last };
    bench.frames(&reader);
    bench.say(&mut reader, std::slice::from_ref(&ask));
    assert_eq!(bench.frames(&reader), []);
    assert_eq!(bench.frames(&publisher), [ask]);
    publish(&mut bench, &publisher, 2, "a");
    let messages = vec![live(client(1), 2, "a")];
    let answer = Frame::Repaired { publisher: client(1), first, last, messages };
    assert_eq!(bench.frames(&reader), [answer]);
}

#[test]
fn a_repair_does_not_wait_for_long() {
    let mut bench = Bench::new();
    let (publisher, mut reader) = (bench.join(1), bench.join(2));
    publish(&mut bench, &publisher, 1, "a");
    let (first, last) = (PublishNumber(1), PublishNumber(2));
    bench.frames(&reader);
    bench.say(&mut reader, &[Frame::Repair { publisher: client(1), first, last }]);
    bench.pass_ms(bench.limits.newest_repeat_ms);
    let messages = vec![live(client(1), 1, "a")];
    let answer = Frame::Repaired { publisher: client(1), first, last, messages };
    assert!(bench.frames(&reader).contains(&answer));
}

#[test]
fn messages_kept_for_repairs_are_bounded_by_what_they_take_on_the_wire() {
    let mut bench = Bench::with(Limits { repair_bytes_max: 1000, ..Limits::DEFAULTS });
    let (publisher, mut reader) = (bench.join(1), bench.join(2));
    for number in 1..=100 {
        publish(&mut bench, &publisher, number, "a");
    }
    let (first, last) = (PublishNumber(1), PublishNumber(100));
    bench.say(&mut reader, &[Frame::Repair { publisher: client(1), first, last }]);
    let frames = bench.frames(&reader);
    let Some(Frame::Repaired { messages, .. }) = frames.last() else { panic!("{frames:?}") };
    assert_eq!(messages.first().map(|live| live.number), Some(PublishNumber(87)));
}

#[test]
fn the_newest_numbers_are_repeated_after_traffic() {
    let mut bench = Bench::new();
    let publisher = bench.join(1);
    bench.broadcasts.clear();
    publish(&mut bench, &publisher, 1, "a");
    bench.pass_ms(bench.limits.newest_repeat_ms);
    let message = Message::parse(&bench.broadcasts[0]).unwrap();
    let newest = vec![Newest { publisher: client(1), number: PublishNumber(1), index: 0 }];
    assert_eq!(message.frames().next(), Some(Ok(Frame::NewestNumbers { newest })));
}

#[test]
fn a_new_client_learns_where_each_publisher_stands() {
    let mut bench = Bench::new();
    let publisher = bench.join(1);
    publish(&mut bench, &publisher, 1, "a");
    let (_, welcome) = bench.hello(2, |_| {});
    let newest = Newest { publisher: client(1), number: PublishNumber(1), index: 0 };
    assert_eq!(welcome.newest, [newest]);
}

#[test]
fn a_new_node_goes_on_from_what_publishers_say() {
    let mut bench = Bench::new();
    let reached = Reached { number: PublishNumber(6), index: 5 };
    let (publisher, _) = bench.hello(1, |hello| hello.published = Some(reached));
    let newest = Newest { publisher: client(1), number: PublishNumber(6), index: 5 };
    let (_, welcome) = bench.hello(2, |_| {});
    assert_eq!(welcome.newest, [newest]);
    bench.broadcasts.clear();
    bench.pass_ms(bench.limits.newest_repeat_ms);
    let message = Message::parse(&bench.broadcasts[0]).unwrap();
    let repeated = Frame::NewestNumbers { newest: vec![newest] };
    assert_eq!(message.frames().next(), Some(Ok(repeated)), "a tab may have missed them");
    publish(&mut bench, &publisher, 8, "a");
    let (first, last) = (PublishNumber(7), PublishNumber(8));
    let asked = Frame::Repair { publisher: client(1), first, last };
    assert!(bench.frames(&publisher).contains(&asked));
}

#[test]
fn a_message_of_an_unknown_publisher_waits_until_it_says_what_came_before() {
    let mut bench = Bench::new();
    let mut member = bench.join(2);
    join(&mut bench, &mut member, "#");
    let unknown = bench.join(1);
    bench.input(Input::Disconnected { conn: unknown.conn });
    publish(&mut bench, &unknown, 7, "a");
    assert_eq!(group_messages(&mut bench, &member), []);
    let reached = Reached { number: PublishNumber(5), index: 4 };
    let (publisher, _) = bench.hello(1, |hello| hello.published = Some(reached));
    for number in [6, 7] {
        publish(&mut bench, &publisher, number, "a");
    }
    assert_eq!(group_messages(&mut bench, &member), [6, 7]);
}

#[test]
fn the_publisher_heard_longest_ago_is_forgotten() {
    let mut bench = Bench::with(Limits { publishers_max: 2, ..Limits::DEFAULTS });
    let peers = [3, 2, 1].map(|number| bench.join(number));
    for peer in &peers {
        publish(&mut bench, peer, 1, "a");
    }
    let (_, welcome) = bench.hello(4, |_| {});
    let known: Vec<_> = welcome.newest.iter().map(|newest| newest.publisher).collect();
    assert_eq!(known, [client(1), client(2)]);
}
