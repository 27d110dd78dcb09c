use tabmq::client::io::{Event, Input};
use tabmq::options::ConsumeOptions;
use tabmq::wire::Frame;

use crate::harness::{LOG, Tab, config, epoch, first_welcome, resumed_at};

fn pings(tab: &mut Tab) -> usize {
    tab.frames().iter().filter(|frame| matches!(frame, Frame::Ping { .. })).count()
}

fn alarms(tab: &mut Tab) -> usize {
    let silent = Event::NodeSilent { epoch: epoch(1) };
    tab.events().into_iter().filter(|event| *event == silent).count()
}

#[test]
fn an_idle_client_asks_nothing() {
    let mut tab = Tab::open();
    assert_eq!(tab.wake_at, None);
    tab.pass_ms(60_000);
    assert_eq!((tab.frames(), tab.events()), (Vec::new(), Vec::new()));
}

#[test]
fn a_silent_node_is_probed_twice_and_then_told_about() {
    let mut tab = Tab::open();
    tab.ask(|client, now| client.inspect(now, "q")).expect("asked");
    tab.pass_ms(2999);
    assert_eq!(pings(&mut tab), 0);
    tab.pass_ms(1);
    assert_eq!(pings(&mut tab), 1);
    tab.pass_ms(1500);
    assert_eq!(pings(&mut tab), 1);
    tab.pass_ms(1499);
    assert_eq!(tab.events(), []);
    tab.pass_ms(1);
    assert_eq!(tab.events(), [Event::NodeSilent { epoch: epoch(1) }, Event::Lost]);
    tab.hello();
}

#[test]
fn a_node_that_took_over_unheard_is_found_after_the_alarm() {
    let mut tab = Tab::open();
    tab.ask(|client, now| client.inspect(now, "q")).expect("asked");
    tab.forget();
    tab.pass_ms(6000);
    tab.epoch = epoch(2);
    tab.forget();
    tab.welcome(resumed_at(0));
    assert!(tab.client.is_open());
    assert!(matches!(tab.frames()[..], [Frame::Inspect { .. }]));
}

#[test]
fn alarms_come_less_and_less_often_and_never_all_at_once() {
    let mut tab = Tab::open();
    tab.ask(|client, now| client.inspect(now, "q")).expect("asked");
    let waits = [6000, 3000, 6000, 12_000, 24_000, 48_000, 96_000, 192_000, 192_000, 192_000];
    for wait_ms in waits {
        tab.pass_ms(wait_ms - 1);
        assert_eq!(tab.events(), []);
        tab.pass_ms(1);
        assert_eq!(alarms(&mut tab), 1);
    }
}

#[test]
fn a_client_that_only_waits_for_deliveries_asks_rarely() {
    let mut tab = Tab::open();
    let consumer = tab
        .ask(|client, now| client.consume(now, "q", ConsumeOptions::new(1, 1)))
        .expect("consumes");
    tab.node(&[Frame::Consuming { consumer, refused: None, single_active: None }]);
    tab.forget();
    tab.pass_ms(29_999);
    assert_eq!(pings(&mut tab), 0);
    tab.pass_ms(1);
    assert_eq!(pings(&mut tab), 1);
    tab.node(&[Frame::Pong { nonce: 1 }]);
    assert_eq!(tab.wake_at, Some(tab.now.mono.after_ms(30_000)));
    tab.pass_ms(35_999);
    assert_eq!(tab.events(), []);
    tab.pass_ms(1);
    assert_eq!(alarms(&mut tab), 1);
}

#[test]
fn a_host_may_make_an_idle_client_ask() {
    let mut tab = Tab::open();
    tab.input(Input::Reachable);
    assert_eq!(pings(&mut tab), 1);
    tab.node(&[Frame::Pong { nonce: 1 }]);
    assert_eq!(tab.wake_at, None);
    tab.input(Input::Reachable);
    tab.pass_ms(6000);
    assert_eq!(alarms(&mut tab), 1);
}

#[test]
fn any_sign_of_the_node_begins_the_count_anew() {
    let mut tab = Tab::open();
    tab.ask(|client, now| client.inspect(now, "q")).expect("asked");
    tab.pass_ms(4600);
    tab.node(&[Frame::Pong { nonce: 1 }]);
    tab.pass_ms(2900);
    tab.hear_node(epoch(1), Frame::NewestNumbers { newest: Vec::new() });
    tab.forget();
    tab.pass_ms(2900);
    assert_eq!((tab.frames(), tab.events()), (Vec::new(), Vec::new()));
}

#[test]
fn time_in_which_the_client_did_not_run_does_not_count() {
    let mut tab = Tab::open();
    tab.ask(|client, now| client.inspect(now, "q")).expect("asked");
    tab.forget();
    tab.freeze_ms(60_000);
    tab.input(Input::Tick);
    assert_eq!(pings(&mut tab), 1, "asks at once whether the node is still there");
    tab.pass_ms(5999);
    assert_eq!(tab.events(), []);
    tab.pass_ms(1);
    assert_eq!(alarms(&mut tab), 1);
}

#[test]
fn a_node_that_answers_no_hello_is_silent_too() {
    let mut tab = Tab::open();
    tab.lose_link();
    tab.events();
    tab.pass_ms(20_000);
    assert_eq!(tab.events(), [], "nothing is awaited");
    tab.ask(|client, now| client.inspect(now, "q")).expect("asked");
    tab.pass_ms(6000);
    assert_eq!(tab.events(), [Event::NodeSilent { epoch: epoch(1) }]);
}

#[test]
fn a_client_that_no_node_has_answered_yet_waits_for_one() {
    let mut tab = Tab::dialing(config());
    tab.input(Input::Tick);
    tab.pass_ms(5999);
    assert_eq!(tab.events(), []);
    tab.pass_ms(1);
    assert_eq!(tab.events(), [Event::NodeSilent { epoch: epoch(0) }]);
    tab.welcome(first_welcome());
    tab.forget();
    assert_eq!(tab.wake_at, None);
}

#[test]
fn a_node_that_is_announced_and_answers_no_hello_is_silent_too() {
    let mut tab = Tab::dialing(config());
    tab.pass_ms(5000);
    tab.hear_node(epoch(1), Frame::Announce { log: LOG });
    tab.pass_ms(5999);
    assert_eq!(tab.events(), []);
    tab.pass_ms(1);
    // Its claim is not believed any more.
    assert_eq!(tab.events(), [Event::NodeSilent { epoch: epoch(0) }]);
}

#[test]
fn a_node_is_answered_when_it_asks() {
    let mut tab = Tab::open();
    tab.node(&[Frame::Ping { nonce: 9 }]);
    assert_eq!(tab.frames(), [Frame::Pong { nonce: 9 }]);
}

#[test]
fn a_handle_that_does_not_take_effect_is_work() {
    let mut tab = Tab::dialing(config());
    tab.ask(|client, now| client.subscribe(now, "a", None)).expect("taken");
    assert!(!tab.client.is_idle());
    tab.welcome(first_welcome());
    assert!(tab.client.is_idle());
}

#[test]
fn a_node_that_leaves_several_wakes_of_a_hidden_page_unanswered_is_silent() {
    let mut tab = Tab::open();
    tab.ask(|client, now| client.inspect(now, "q")).expect("asked");
    tab.forget();
    for _ in 0..2 {
        tab.freeze_ms(60_000);
        tab.input(Input::Tick);
        assert_eq!(pings(&mut tab), 1);
    }
    assert_eq!(alarms(&mut tab), 0);
    tab.freeze_ms(60_000);
    tab.input(Input::Tick);
    assert_eq!(alarms(&mut tab), 1);
}
