use tabmq::client::io::Event;
use tabmq::error::Code;
use tabmq::id::PublishNumber;
use tabmq::wire::Frame;
use tabmq::wire::frame::{Live, Newest, Reached, Welcome};

use crate::harness::{ME, Tab, config, epoch, first_welcome, resumed_at};
use crate::live::subscribed;

fn publish(tab: &mut Tab, body: &'static [u8]) -> tabmq::id::RequestId {
    tab.ask(|client, now| client.publish(now, "a.b", body, None)).expect("taken")
}

fn published(tab: &mut Tab) -> Vec<Live<'static>> {
    let lives = tab.broadcasts().into_iter();
    lives
        .map(|frame| match frame {
            Frame::Publish(live) => live,
            other => panic!("a client says only Publish to everyone, not {other:?}"),
        })
        .collect()
}

#[test]
fn a_publish_reaches_everyone_the_own_subscriptions_and_then_the_node() {
    let mut tab = subscribed();
    let request = publish(&mut tab, b"x");
    let lives = published(&mut tab);
    assert_eq!((lives[0].publisher, lives[0].topic, lives[0].body), (ME, "a.b", &b"x"[..]));
    assert_eq!(lives[0].index, 0, "the first of its run");
    assert!(matches!(&tab.events()[..], [Event::Live { publisher: ME, body, .. }]
        if body == b"x"));
    tab.node(&[Frame::Published { number: lives[0].number }]);
    assert_eq!(tab.events(), [Event::Published { request }]);
    publish(&mut tab, b"y");
    let next = published(&mut tab);
    assert_eq!(next[0].number.0, lives[0].number.0 + 1);
    assert_eq!(next[0].index, 1);
}

#[test]
fn what_is_too_long_for_the_node_fails_when_its_bound_is_known_and_holds_nothing_up() {
    let mut tab = Tab::dialing(config());
    let [long, short] = [&b"eleven byte"[..], b"short"].map(|body| publish(&mut tab, body));
    published(&mut tab);
    tab.welcome(Welcome { body_bytes_max: 10, ..first_welcome() });
    let failed = |event: &Event| {
        matches!(event, Event::Failed { request, code: Code::TooLarge, reason, .. }
            if *request == long && reason == "body_bytes_max")
    };
    assert!(tab.events().iter().any(failed));
    let lives = published(&mut tab);
    assert_eq!(lives.iter().map(|live| live.body).collect::<Vec<_>>(), [b"short"]);
    tab.node(&[Frame::Published { number: lives[0].number }]);
    assert_eq!(tab.events(), [Event::Published { request: short }]);
}

#[test]
fn publishes_between_two_polls_share_a_message() {
    let mut tab = Tab::open();
    let now = tab.now;
    for _ in 0..10 {
        tab.client.publish(now, "a", b"x", None).expect("taken");
    }
    let mut messages = 0;
    loop {
        match tab.client.poll_output() {
            tabmq::client::io::Output::Broadcast { .. } => messages += 1,
            tabmq::client::io::Output::Idle { .. } => break,
            _ => {}
        }
    }
    assert_eq!(messages, 1);
}

#[test]
fn a_publish_the_node_did_not_confirm_is_posted_again_to_the_next() {
    let mut tab = Tab::open();
    publish(&mut tab, b"x");
    publish(&mut tab, b"y");
    let first = published(&mut tab);
    tab.node(&[Frame::Published { number: first[0].number }]);
    tab.lose_link();
    tab.epoch = epoch(2);
    tab.welcome(resumed_at(0));
    assert_eq!(published(&mut tab), first[1..]);
}

#[test]
fn the_node_may_ask_for_what_it_missed() {
    let mut tab = Tab::open();
    for body in [b"x", b"y", b"z"] {
        publish(&mut tab, body);
    }
    let lives = published(&mut tab);
    let (publisher, first, last) = (ME, lives[1].number, lives[2].number);
    tab.node(&[Frame::Repair { publisher, first, last }]);
    let that_is_all = Frame::Repaired { publisher, first, last, messages: Vec::new() };
    let said = [Frame::Publish(lives[1]), Frame::Publish(lives[2]), that_is_all];
    assert_eq!(tab.frames(), said, "on the link, where nothing of it is lost again");
    assert_eq!(published(&mut tab), []);
}

#[test]
fn a_publish_that_nobody_confirms_is_posted_again_less_and_less_often() {
    let mut tab = Tab::open();
    publish(&mut tab, b"x");
    publish(&mut tab, b"y");
    let lives = published(&mut tab);
    tab.pass_ms(999);
    assert_eq!(published(&mut tab), []);
    tab.pass_ms(1);
    assert_eq!(published(&mut tab), lives);
    tab.pass_ms(1999);
    assert_eq!(published(&mut tab), []);
    tab.pass_ms(1);
    assert_eq!(published(&mut tab), lives);
    tab.node(&[Frame::Published { number: lives[0].number }]);
    tab.pass_ms(1000);
    assert_eq!(published(&mut tab), lives[1..]);
    tab.node(&[Frame::Published { number: lives[1].number }]);
    tab.pass_ms(60_000);
    assert_eq!(published(&mut tab), []);
}

#[test]
fn only_the_oldest_are_posted_again_unasked() {
    let mut config = config();
    config.limits.fragment_bytes_max = 1000;
    let mut tab = Tab::open_with(config);
    for _ in 0..3 {
        let body: &'static [u8] = vec![0; 400].leak();
        publish(&mut tab, body);
    }
    let lives = published(&mut tab);
    tab.pass_ms(1000);
    assert_eq!(published(&mut tab), lives[..2]);
}

#[test]
fn publishes_without_an_answer_are_bounded() {
    let mut config = config();
    config.limits.requests_max = 2;
    let mut tab = Tab::open_with(config);
    publish(&mut tab, b"x");
    publish(&mut tab, b"y");
    let refused = tab.ask(|client, now| client.publish(now, "a", b"", None)).expect_err("no room");
    assert_eq!(refused.reason, "requests_max");
    assert_eq!(published(&mut tab).len(), 2);
}

#[test]
fn a_run_starts_above_the_numbers_of_the_run_before() {
    let mut tab = Tab::open();
    publish(&mut tab, b"x");
    let before = published(&mut tab)[0].number;
    let mut config = config();
    config.keepsake = Some(tab.client.keepsake());
    let mut later = Tab::dialing(config.clone());
    publish(&mut later, b"y");
    let lives = published(&mut later);
    assert_eq!(lives[0].number.0, before.0 + 1, "though the wall clock stood still");
    assert_eq!(lives[0].index, 0);
}

#[test]
fn a_run_starts_above_what_the_node_knows_though_the_keepsake_is_old() {
    let mut tab = Tab::dialing(config());
    publish(&mut tab, b"x");
    let number = published(&mut tab)[0].number;
    let used = PublishNumber(number.0 + 5);
    let newest = vec![Newest { publisher: ME, number: used, index: 9 }];
    tab.welcome(Welcome { newest, ..first_welcome() });
    let again = published(&mut tab);
    assert_eq!((again[0].number.0, again[0].index), (used.0 + 1, 0));
}

#[test]
fn hello_says_how_far_the_own_messages_were_heard() {
    let mut tab = Tab::open();
    for body in [b"x", b"y", b"z"] {
        publish(&mut tab, body);
    }
    let lives = published(&mut tab);
    tab.node(&[Frame::Published { number: lives[1].number }]);
    let heard = Reached { number: lives[1].number, index: 1 };
    assert_eq!(tab.lose_link().published, Some(heard));
    let mut unheard = Tab::open();
    publish(&mut unheard, b"x");
    assert_eq!(unheard.lose_link().published, None);
}

#[test]
fn the_own_echo_is_not_heard_twice() {
    let mut tab = subscribed();
    publish(&mut tab, b"x");
    let echo = published(&mut tab)[0];
    tab.forget();
    tab.hear(echo);
    assert_eq!(tab.events(), []);
    assert_eq!(tab.client.bad_messages(), 0);
}
