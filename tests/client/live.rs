use tabmq::client::ClientConfig;
use tabmq::client::io::Event;
use tabmq::id::{PublishNumber, SubscriptionId};
use tabmq::wire::Frame;
use tabmq::wire::frame::{Live, Newest, Welcome};

use crate::harness::{OTHER, Tab, config, epoch, first_welcome, resumed_at};

fn live(number: u64) -> Live<'static> {
    run(1, number)
}

/// A message of the run that starts with `first`.
fn run(first: u64, number: u64) -> Live<'static> {
    Live {
        publisher: OTHER,
        number: PublishNumber(number),
        index: number - first,
        topic: "a.b",
        body: b"body",
        properties: None,
    }
}

fn subscribe(tab: &mut Tab, filter: &str) -> SubscriptionId {
    let subscription =
        tab.ask(|client, now| client.subscribe(now, filter, None)).expect("subscribes");
    tab.forget();
    subscription
}

fn subscribed_with(config: ClientConfig) -> Tab {
    let mut tab = Tab::open_with(config);
    subscribe(&mut tab, "a.#");
    tab
}

pub fn subscribed() -> Tab {
    subscribed_with(config())
}

/// The numbers of live events; a gap is its first and last number.
fn heard(tab: &mut Tab) -> Vec<(u64, u64)> {
    let number = |event: Event| match event {
        Event::Live { number, .. } => Some((number.0, number.0)),
        Event::Gap { first, last, .. } => Some((first.0, last.0 + 1_000_000)),
        _ => None,
    };
    tab.events().into_iter().filter_map(number).collect()
}

const fn gap(first: u64, last: u64) -> (u64, u64) {
    (first, last + 1_000_000)
}

const fn one(number: u64) -> (u64, u64) {
    (number, number)
}

fn repair(first: u64, last: u64) -> Frame<'static> {
    let (first, last) = (PublishNumber(first), PublishNumber(last));
    Frame::Repair { publisher: OTHER, first, last }
}

fn repaired(first: u64, last: u64, messages: &[u64]) -> Frame<'static> {
    let (first, last) = (PublishNumber(first), PublishNumber(last));
    let messages = messages.iter().map(|number| live(*number)).collect();
    Frame::Repaired { publisher: OTHER, first, last, messages }
}

fn newest(number: u64) -> Newest {
    Newest { publisher: OTHER, number: PublishNumber(number), index: number - 1 }
}

#[test]
fn a_subscription_takes_effect_with_the_link() {
    let mut tab = Tab::dialing(config());
    let subscription = tab.ask(|client, now| client.subscribe(now, "a", None)).expect("subscribes");
    assert_eq!(tab.events(), []);
    tab.welcome(first_welcome());
    assert_eq!(tab.events()[1..], [Event::Subscribed { subscription }]);
    let second = tab.ask(|client, now| client.subscribe(now, "b", None)).expect("subscribes");
    assert_eq!(tab.events(), [Event::Subscribed { subscription: second }]);
}

#[test]
fn live_messages_match_filters_and_come_once() {
    let mut tab = Tab::open();
    let all = subscribe(&mut tab, "#");
    let some = subscribe(&mut tab, "a.*");
    subscribe(&mut tab, "b");
    tab.hear(live(1));
    tab.hear(live(1));
    let to = |event: &Event| match event {
        Event::Live { subscription, .. } => *subscription,
        other => panic!("{other:?}"),
    };
    assert_eq!(tab.events().iter().map(to).collect::<Vec<_>>(), [all, some]);
    tab.ask(|client, now| client.unsubscribe(now, all));
    tab.hear(live(2));
    assert_eq!(tab.events().iter().map(to).collect::<Vec<_>>(), [some]);
}

#[test]
fn bad_broadcasts_are_counted_and_ignored() {
    let mut tab = subscribed();
    tab.hear(Live { topic: "a..b", ..live(1) });
    tab.hear(Live { index: 2, ..live(2) });
    let long = vec![0; (1 << 20) + 1];
    tab.hear(Live { body: &long, ..live(3) });
    let forged = crate::harness::message(tab.head(), &[Frame::Publish(live(4))]);
    tab.input(tabmq::client::io::Input::Heard { bytes: &forged });
    assert_eq!(tab.client.bad_messages(), 4);
    assert_eq!(tab.events(), []);
    assert!(tab.client.is_open());
}

#[test]
fn what_is_veiled_is_counted_and_shown_to_nobody() {
    let mut tab = subscribed();
    subscribe(&mut tab, "#");
    tab.hear(live(1).veiled());
    tab.hear(live(3));
    let (first, last) = (PublishNumber(2), PublishNumber(2));
    assert_eq!(tab.frames(), [repair(2, 2)]);
    let messages = vec![live(2).veiled()];
    tab.node(&[Frame::Repaired { publisher: OTHER, first, last, messages }]);
    assert_eq!(heard(&mut tab), [one(3), one(3)], "both subscriptions, and no gap");
    assert_eq!(tab.client.bad_messages(), 0);
    tab.hear(Live { topic: "$tabmq", ..live(4) });
    assert_eq!(tab.client.bad_messages(), 1, "nobody but the node says anything on it");
}

#[test]
fn a_hole_is_repaired_in_order() {
    let mut tab = subscribed();
    tab.hear(live(1));
    tab.hear(live(4));
    tab.hear(live(5));
    assert_eq!(heard(&mut tab), [one(1)]);
    assert_eq!(tab.frames(), [repair(2, 3)], "asked once");
    tab.node(&[repaired(2, 3, &[2, 3])]);
    assert_eq!(heard(&mut tab), [one(2), one(3), one(4), one(5)]);
    assert!(tab.client.is_idle());
}

#[test]
fn what_can_not_be_repaired_is_a_gap_in_its_place() {
    let mut tab = subscribed();
    tab.hear(live(1));
    tab.hear(live(6));
    tab.node(&[repaired(2, 5, &[3])]);
    assert_eq!(heard(&mut tab), [one(1), gap(2, 2), one(3), gap(4, 5), one(6)]);
}

#[test]
fn a_late_message_closes_the_hole_before_the_node_answers() {
    let mut tab = subscribed();
    tab.hear(live(1));
    tab.hear(live(3));
    tab.hear(live(2));
    assert_eq!(heard(&mut tab), [one(1), one(2), one(3)]);
    tab.node(&[repaired(2, 2, &[2])]);
    assert_eq!(heard(&mut tab), []);
}

#[test]
fn a_second_hole_is_asked_for_after_the_first() {
    let mut tab = subscribed();
    for number in [1, 3, 5] {
        tab.hear(live(number));
    }
    assert_eq!(tab.frames(), [repair(2, 2)]);
    tab.node(&[repaired(2, 2, &[2])]);
    assert_eq!(tab.frames(), [repair(4, 4)]);
    tab.node(&[repaired(4, 4, &[])]);
    assert_eq!(heard(&mut tab), [one(1), one(2), one(3), gap(4, 4), one(5)]);
}

#[test]
fn a_lost_tail_shows_in_the_newest_numbers() {
    let mut tab = subscribed();
    tab.hear(live(1));
    tab.hear_node(epoch(1), Frame::NewestNumbers { newest: vec![newest(3)] });
    assert_eq!(tab.frames(), [repair(2, 3)]);
    tab.node(&[repaired(2, 3, &[2, 3])]);
    assert_eq!(heard(&mut tab), [one(1), one(2), one(3)]);
}

#[test]
fn a_publisher_of_which_nothing_was_heard_shows_in_the_newest_numbers() {
    let mut tab = subscribed();
    tab.hear_node(epoch(1), Frame::NewestNumbers { newest: vec![newest(7)] });
    assert_eq!(tab.frames(), [repair(1, 7)]);
    tab.node(&[repaired(1, 7, &[6, 7])]);
    assert_eq!(heard(&mut tab), [gap(1, 5), one(6), one(7)], "all of it is new since Welcome");
    tab.hear(live(8));
    assert_eq!(heard(&mut tab), [one(8)]);
}

#[test]
fn what_was_missed_before_a_publisher_was_first_heard_is_repaired_or_told() {
    let mut tab = subscribed();
    tab.hear(run(1000, 1003));
    assert_eq!(heard(&mut tab), []);
    assert_eq!(tab.frames(), [repair(1000, 1002)]);
    let messages = vec![run(1000, 1001), run(1000, 1002)];
    let (first, last) = (PublishNumber(1000), PublishNumber(1002));
    tab.node(&[Frame::Repaired { publisher: OTHER, first, last, messages }]);
    assert_eq!(heard(&mut tab), [gap(1000, 1000), one(1001), one(1002), one(1003)]);
}

#[test]
fn a_publisher_heard_before_the_first_link_is_followed_from_there() {
    let mut tab = Tab::dialing(config());
    subscribe(&mut tab, "#");
    tab.hear(live(4));
    tab.welcome(Welcome { newest: vec![newest(4)], ..first_welcome() });
    assert_eq!(tab.frames(), []);
    assert_eq!(heard(&mut tab), [one(4)]);
}

#[test]
fn a_new_run_shows_in_the_newest_numbers() {
    let mut tab = subscribed();
    tab.hear(live(1));
    let of_run = Newest { publisher: OTHER, number: PublishNumber(1001), index: 1 };
    tab.hear_node(epoch(1), Frame::NewestNumbers { newest: vec![of_run] });
    assert_eq!(tab.frames(), [repair(1000, 1001)], "what lies between two runs is no gap");
    tab.node(&[Frame::Repaired {
        publisher: OTHER,
        first: PublishNumber(1000),
        last: PublishNumber(1001),
        messages: vec![run(1000, 1000)],
    }]);
    assert_eq!(heard(&mut tab), [one(1), one(1000), gap(1001, 1001)]);
}

#[test]
fn the_newest_numbers_of_welcome_are_where_listening_begins() {
    let mut tab = Tab::dialing(config());
    subscribe(&mut tab, "#");
    tab.welcome(Welcome { newest: vec![newest(5)], ..first_welcome() });
    tab.forget();
    tab.hear(live(5));
    tab.hear(live(7));
    assert_eq!(heard(&mut tab), []);
    assert_eq!(tab.frames(), [repair(6, 6)]);
}

#[test]
fn a_hole_is_asked_for_again_on_the_next_link() {
    let mut tab = subscribed();
    tab.hear(live(1));
    tab.hear(live(3));
    tab.forget();
    tab.lose_link();
    tab.welcome(Welcome { newest: vec![newest(4)], ..resumed_at(0) });
    assert_eq!(tab.frames(), [repair(2, 2)]);
    tab.node(&[repaired(2, 2, &[])]);
    assert_eq!(tab.frames(), [repair(4, 4)]);
}

#[test]
fn without_a_plain_subscription_nothing_is_repaired() {
    let mut tab = Tab::open();
    let joined = tab.ask(|client, now| client.subscribe(now, "#", Some("g"))).expect("joins");
    tab.node(&[Frame::GroupJoined { subscription: joined, refused: None }]);
    tab.forget();
    tab.hear(live(1));
    tab.hear(live(5));
    tab.hear_node(epoch(1), Frame::NewestNumbers { newest: vec![newest(9)] });
    assert_eq!((tab.frames(), tab.events()), (Vec::new(), Vec::new()));
    subscribe(&mut tab, "#");
    tab.hear(live(9));
    tab.hear(live(10));
    assert_eq!(heard(&mut tab), [one(10)], "it listens from here on");
    tab.node(&[Frame::GroupMessage { subscription: joined, live: live(10) }]);
    assert!(matches!(tab.events()[..], [Event::Live { subscription, .. }]
        if subscription == joined));
}

#[test]
fn messages_held_back_are_bounded() {
    let mut config = config();
    config.limits.gap_messages_max = 3;
    let mut tab = subscribed_with(config);
    tab.hear(live(1));
    for number in [5, 6, 8] {
        tab.hear(live(number));
    }
    assert_eq!(heard(&mut tab), [one(1)]);
    tab.hear(live(9));
    assert_eq!(heard(&mut tab), [gap(2, 4), one(5), one(6), gap(7, 7), one(8), one(9)]);
    tab.node(&[repaired(2, 4, &[2, 3, 4])]);
    tab.hear(live(10));
    assert_eq!(heard(&mut tab), [one(10)]);
}

#[test]
fn remembered_publishers_are_bounded() {
    let mut config = config();
    config.limits.publishers_max = 2;
    let mut tab = subscribed_with(config);
    for publisher in [3, 4, 5] {
        let publisher = tabmq::id::ClientId([publisher; 16]);
        tab.hear(Live { publisher, ..live(1) });
    }
    assert_eq!(heard(&mut tab).len(), 3);
    let publisher = tabmq::id::ClientId([3; 16]);
    tab.hear(Live { publisher, ..live(9) });
    assert_eq!(heard(&mut tab), [], "whoever was forgotten had said no more than 1");
    let (first, last) = (PublishNumber(2), PublishNumber(8));
    assert_eq!(tab.frames(), [Frame::Repair { publisher, first, last }]);
}

#[test]
fn a_new_run_is_no_gap() {
    let mut tab = subscribed();
    tab.hear(live(1));
    tab.hear(run(1000, 1000));
    tab.hear(live(2));
    tab.hear(run(1000, 1001));
    assert_eq!(heard(&mut tab), [one(1), one(1000), one(1001)]);
    assert_eq!(tab.frames(), []);
}

#[test]
fn the_lost_start_of_a_new_run_is_repaired() {
    let mut tab = subscribed();
    tab.hear(live(1));
    tab.hear(run(1000, 1002));
    assert_eq!(tab.frames(), [repair(1000, 1001)]);
    tab.node(&[repaired(1000, 1001, &[1000, 1001])]);
    assert_eq!(heard(&mut tab), [one(1), one(1000), one(1001), one(1002)]);
}

#[test]
fn what_is_missing_of_the_run_before_is_repaired_before_the_new_one() {
    let mut tab = subscribed();
    tab.hear(live(1));
    tab.hear(live(3));
    tab.hear_node(epoch(1), Frame::NewestNumbers { newest: vec![newest(4)] });
    tab.hear(run(1000, 1000));
    assert_eq!((heard(&mut tab), tab.frames()), (vec![one(1)], vec![repair(2, 2)]));
    tab.node(&[repaired(2, 2, &[2])]);
    assert_eq!((heard(&mut tab), tab.frames()), (vec![one(2), one(3)], vec![repair(4, 4)]));
    tab.node(&[repaired(4, 4, &[])]);
    assert_eq!(heard(&mut tab), [gap(4, 4), one(1000)]);
    tab.hear(run(1000, 1001));
    assert_eq!((heard(&mut tab), tab.frames()), (vec![one(1001)], vec![]));
}

#[test]
fn a_late_message_of_the_run_before_comes_before_the_new_one() {
    let mut tab = subscribed();
    tab.hear(live(1));
    tab.hear(live(3));
    tab.hear(run(1000, 1000));
    tab.hear(live(4));
    tab.hear(live(2));
    assert_eq!(heard(&mut tab), [one(1), one(2), one(3), one(4), one(1000)]);
}

#[test]
fn the_holes_of_two_runs_are_given_up_for_a_third() {
    let mut tab = subscribed();
    tab.hear(live(1));
    tab.hear(live(3));
    tab.hear(run(1000, 1001));
    tab.hear(run(2000, 2001));
    let told = [one(1), gap(2, 2), one(3), gap(1000, 1000), one(1001)];
    assert_eq!(heard(&mut tab), told);
    tab.forget();
    tab.hear(run(2000, 2000));
    assert_eq!(heard(&mut tab), [one(2000), one(2001)]);
}
