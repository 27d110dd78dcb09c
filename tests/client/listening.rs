//! A client whose link shares a socket of a hub: it says what it listens to, and is told what the
//! socket was not sent.

use tabmq::client::io::{Event, Handle};
use tabmq::error::Code;
use tabmq::id::{AudienceId, PublishNumber, SubscriptionId};
use tabmq::wire::Frame;
use tabmq::wire::frame::{Live, Newest, Welcome};

use crate::harness::{OTHER, Tab, config, epoch, first_welcome, resumed_at};

const AUDIENCE: AudienceId = AudienceId(7);

fn live(number: u64) -> Live<'static> {
    let (publisher, topic) = (OTHER, "a.b");
    let (index, number) = (number - 1, PublishNumber(number));
    Live { publisher, number, index, topic, body: b"body", properties: None }
}

const fn newest(number: u64) -> Newest {
    Newest { publisher: OTHER, number: PublishNumber(number), index: number - 1 }
}

fn skip(tab: &mut Tab, audience: AudienceId, first: u64, last: u64) {
    let (first, last) = (PublishNumber(first), newest(last));
    tab.hear_node(epoch(1), Frame::Skipped { audience, first, last });
}

/// A client at a hub.
fn at_hub() -> Tab {
    let mut tab = Tab::dialing(config());
    tab.welcome(Welcome { audience: Some(AUDIENCE), ..first_welcome() });
    tab.forget();
    tab
}

fn listening() -> (Tab, SubscriptionId) {
    let mut tab = at_hub();
    let filter = "a.*";
    let subscription = tab.ask(|client, now| client.subscribe(now, filter, None)).expect("taken");
    assert_eq!(tab.frames(), [Frame::Listen { subscription, filter }]);
    assert_eq!(tab.events(), [], "the hub has to know of it");
    tab.node(&[Frame::GroupJoined { subscription, refused: None }]);
    assert_eq!(tab.events(), [Event::Subscribed { subscription }]);
    (tab, subscription)
}

/// The numbers of live messages; a gap is zero.
fn heard(tab: &mut Tab) -> Vec<u64> {
    let number = |event| match event {
        Event::Live { number, .. } => Some(number.0),
        Event::Gap { .. } => Some(0),
        _ => None,
    };
    tab.events().into_iter().filter_map(number).collect()
}

#[test]
fn what_was_skipped_is_no_gap_and_is_not_asked_for() {
    let (mut tab, subscription) = listening();
    skip(&mut tab, AUDIENCE, 1, 4);
    tab.hear(live(5));
    skip(&mut tab, AUDIENCE, 6, 9);
    tab.hear_node(epoch(1), Frame::NewestNumbers { newest: vec![newest(9)] });
    tab.hear(live(10));
    assert_eq!((heard(&mut tab), tab.frames()), (vec![5, 10], vec![]));
    tab.ask(|client, now| client.unsubscribe(now, subscription));
    assert_eq!(tab.frames(), [Frame::LeaveGroup { subscription }]);
}

#[test]
fn what_was_skipped_for_others_is_asked_for() {
    let (mut tab, _) = listening();
    tab.hear(live(1));
    skip(&mut tab, AudienceId(8), 2, 3);
    tab.hear(live(4));
    let (publisher, first, last) = (OTHER, PublishNumber(2), PublishNumber(3));
    assert_eq!(tab.frames(), [Frame::Repair { publisher, first, last }]);
    tab.node(&[Frame::Repaired { publisher, first, last, messages: vec![live(2)] }]);
    assert_eq!(heard(&mut tab), [1, 2, 0, 4]);
    // It is still among those on the socket, who are called so now.
    tab.node(&[Frame::Audience { audience: AudienceId(9) }]);
    skip(&mut tab, AudienceId(9), 5, 6);
    tab.hear(live(7));
    assert_eq!((heard(&mut tab), tab.frames()), (vec![7], vec![]));
}

#[test]
fn a_range_behind_a_hole_is_not_believed() {
    let (mut tab, _) = listening();
    tab.hear(live(1));
    skip(&mut tab, AUDIENCE, 3, 4);
    tab.hear(live(5));
    let (publisher, first, last) = (OTHER, PublishNumber(2), PublishNumber(4));
    assert_eq!(tab.frames(), [Frame::Repair { publisher, first, last }]);
    let messages = vec![live(2), live(3).veiled(), live(4).veiled()];
    tab.node(&[Frame::Repaired { publisher, first, last, messages }]);
    assert_eq!(heard(&mut tab), [1, 2, 5]);
}

#[test]
fn whoever_begins_to_listen_is_told_where() {
    let mut tab = at_hub();
    tab.hear(live(1));
    let (filter, group) = ("a.*", None);
    let subscription = tab.ask(|client, now| client.subscribe(now, filter, group)).expect("taken");
    tab.forget();
    let numbers = Frame::NewestNumbers { newest: vec![newest(9)] };
    tab.node(&[numbers, Frame::GroupJoined { subscription, refused: None }]);
    tab.hear(live(10));
    assert_eq!((heard(&mut tab), tab.frames()), (vec![10], vec![]));
}

#[test]
fn a_refused_subscription_hears_nothing_more() {
    let mut tab = at_hub();
    let subscription = tab.ask(|client, now| client.subscribe(now, "a.*", None)).expect("taken");
    tab.node(&[Frame::GroupJoined { subscription, refused: Some(Code::Full) }]);
    let handle = Handle::Subscription(subscription);
    assert_eq!(tab.events(), [Event::HandleRefused { handle, code: Code::Full }]);
    tab.hear(live(1));
    assert_eq!(heard(&mut tab), []);
}

#[test]
fn subscriptions_are_said_again_on_each_link_and_not_where_nobody_asks() {
    let (mut tab, subscription) = listening();
    tab.lose_link();
    tab.welcome(Welcome { audience: Some(AudienceId(8)), ..resumed_at(0) });
    assert_eq!(tab.frames(), [Frame::Listen { subscription, filter: "a.*" }]);
    tab.lose_link();
    tab.welcome(resumed_at(0));
    assert_eq!(tab.frames(), []);
    let later = tab.ask(|client, now| client.subscribe(now, "c", None)).expect("taken");
    assert!(tab.events().contains(&Event::Subscribed { subscription: later }));
    tab.ask(|client, now| client.unsubscribe(now, later));
    assert_eq!(tab.frames(), []);
}
