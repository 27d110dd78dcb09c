use tabmq::client::io::Event;
use tabmq::error::Code;
use tabmq::id::{CallId, ServiceId};
use tabmq::wire::Frame;
use tabmq::wire::frame::{CallKey, Outcome};

use crate::harness::{OTHER, Tab, config, resumed_at};

fn serving_with(config: tabmq::client::ClientConfig) -> (Tab, ServiceId) {
    let mut tab = Tab::open_with(config);
    let service = tab.ask(|client, now| client.serve(now, "calc", 4)).expect("serves");
    tab.node(&[Frame::Serving { service, refused: None }]);
    tab.forget();
    (tab, service)
}

fn serving() -> (Tab, ServiceId) {
    serving_with(config())
}

fn key(call: u32) -> CallKey {
    CallKey { caller: OTHER, call: CallId(call) }
}

fn dispatch(service: ServiceId, call: u32) -> Frame<'static> {
    Frame::Dispatch {
        key: key(call),
        service,
        method: "add",
        timeout_ms: 500,
        arguments: b"23",
        traceparent: Some("00-a-b-01"),
    }
}

fn reply(tab: &mut Tab, call: u32) {
    tab.ask(|client, now| client.reply(now, key(call), Outcome::Value(b"5"))).expect("taken");
}

fn replied(call: u32) -> Frame<'static> {
    Frame::Reply { key: key(call), outcome: Outcome::Value(b"5") }
}

#[test]
fn a_call_is_dispatched_once() {
    let (mut tab, service) = serving();
    tab.node(&[dispatch(service, 1), dispatch(service, 1)]);
    let deadline = tab.now.mono.after_ms(500);
    let method = "add".to_string();
    let arguments = b"23".to_vec();
    let traceparent = Some("00-a-b-01".to_string());
    let expected =
        Event::Dispatch { key: key(1), service, method, deadline, arguments, traceparent };
    assert_eq!(tab.events(), [expected]);
}

#[test]
fn a_reply_is_kept_and_sent_again_until_it_is_taken() {
    let (mut tab, service) = serving();
    tab.node(&[dispatch(service, 1), dispatch(service, 2), dispatch(service, 3)]);
    reply(&mut tab, 1);
    reply(&mut tab, 2);
    assert_eq!(tab.frames(), [replied(1), replied(2)]);
    tab.node(&[Frame::ReplyTaken { key: key(1) }]);
    assert_eq!(tab.lose_link().serving, [key(2), key(3)]);
    tab.welcome(resumed_at(0));
    assert_eq!(tab.frames()[1..], [replied(2)]);
    tab.events();
    tab.node(&[dispatch(service, 2)]);
    assert_eq!(tab.frames(), [replied(2)]);
    assert_eq!(tab.events(), []);
    tab.node(&[Frame::ReplyTaken { key: key(2) }]);
    assert!(tab.client.is_idle());
}

#[test]
fn a_second_reply_is_ignored() {
    let (mut tab, service) = serving();
    tab.node(&[dispatch(service, 1)]);
    reply(&mut tab, 1);
    tab.forget();
    reply(&mut tab, 1);
    reply(&mut tab, 7);
    assert_eq!(tab.frames(), []);
}

#[test]
fn a_cancelled_dispatch_is_told_while_it_runs() {
    let (mut tab, service) = serving();
    tab.node(&[dispatch(service, 1), dispatch(service, 2)]);
    reply(&mut tab, 2);
    tab.forget();
    tab.node(&[Frame::CancelDispatch { key: key(1) }, Frame::CancelDispatch { key: key(2) }]);
    assert_eq!(tab.events(), [Event::DispatchCancelled { key: key(1) }]);
    reply(&mut tab, 1);
    assert_eq!(tab.frames(), []);
    assert!(tab.client.is_idle());
}

#[test]
fn a_dispatch_for_a_service_that_ended_is_answered_for_the_user() {
    let (mut tab, service) = serving();
    tab.node(&[dispatch(service, 1)]);
    tab.forget();
    tab.ask(|client, now| client.unserve(now, service));
    tab.node(&[dispatch(service, 2)]);
    let outcome = Outcome::Failed { code: Code::Unavailable, maybe_executed: false };
    let refused = Frame::Reply { key: key(2), outcome };
    assert_eq!(tab.frames(), [Frame::Unserve { service }, refused]);
    reply(&mut tab, 1);
    assert_eq!(tab.frames(), [replied(1)], "calls under way go on");
}

#[test]
fn dispatches_and_kept_replies_are_bounded() {
    let mut config = config();
    config.limits.replies_max = 1;
    config.limits.request_bytes_max = 60;
    let (mut tab, service) = serving_with(config);
    tab.node(&[dispatch(service, 1)]);
    tab.forget();
    tab.node(&[dispatch(service, 2)]);
    let outcome = Outcome::Failed { code: Code::Full, maybe_executed: false };
    assert_eq!(tab.frames(), [Frame::Reply { key: key(2), outcome }]);
    let long = [0; 60];
    let refused = tab
        .ask(|client, now| client.reply(now, key(1), Outcome::Value(&long)))
        .expect_err("no room");
    assert_eq!((refused.code, refused.reason), (Code::Full, "request_bytes_max"));
    let outcome = Outcome::Failed { code: Code::Full, maybe_executed: true };
    tab.ask(|client, now| client.reply(now, key(1), outcome)).expect("always taken");
    assert_eq!(tab.frames(), [Frame::Reply { key: key(1), outcome }]);
}
