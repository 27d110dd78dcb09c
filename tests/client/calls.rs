use tabmq::client::io::{CallOptions, CallOutcome, Event, Input};
use tabmq::error::Code;
use tabmq::id::{CallId, MethodId};
use tabmq::wire::Frame;
use tabmq::wire::frame::Outcome;

use crate::harness::{Tab, config, epoch, first_welcome, resumed_at};

fn call(tab: &mut Tab, method: &str, timeout_ms: u64) -> CallId {
    tab.ask(|client, now| client.call(now, "calc", method, b"23", timeout_ms)).expect("taken")
}

fn method(number: u32, name: &'static str) -> Frame<'static> {
    Frame::Method { method: MethodId(number), service: "calc", name }
}

fn frame(call: CallId, method: u32, timeout_ms: u64, first_epoch: Option<u64>) -> Frame<'static> {
    let method = MethodId(method);
    let arguments = b"23";
    Frame::Call { call, method, timeout_ms, arguments, first_epoch, traceparent: None }
}

fn failed(call: CallId, code: Code, maybe_executed: bool) -> Event {
    Event::CallEnded { call, outcome: CallOutcome::Failed { code, maybe_executed } }
}

#[test]
fn a_call_names_its_trace_each_time_it_is_sent() {
    let mut tab = Tab::open();
    let options = CallOptions { timeout_ms: 5000, traceparent: Some("00-a-b-01") };
    tab.ask(|client, now| client.call_with(now, "calc", "add", b"", options)).expect("taken");
    let traces = |tab: &mut Tab| -> Vec<_> {
        let trace = |frame| match frame {
            Frame::Call { traceparent, .. } => traceparent,
            _ => None,
        };
        tab.frames().into_iter().filter_map(trace).collect()
    };
    assert_eq!(traces(&mut tab), ["00-a-b-01"]);
    tab.lose_link();
    tab.welcome(resumed_at(0));
    assert_eq!(traces(&mut tab), ["00-a-b-01"]);
    let long = "x".repeat(16_385);
    let options = CallOptions { traceparent: Some(&long), ..options };
    let refused = tab.ask(|client, now| client.call_with(now, "calc", "add", b"", options));
    assert_eq!(refused.expect_err("too long").code, Code::TooLarge);
}

#[test]
fn a_method_is_named_once_on_a_link() {
    let mut tab = Tab::open();
    let calls = [call(&mut tab, "add", 50), call(&mut tab, "sub", 50), call(&mut tab, "add", 50)];
    assert_eq!(
        tab.frames(),
        [
            method(1, "add"),
            frame(calls[0], 1, 50, None),
            method(2, "sub"),
            frame(calls[1], 2, 50, None),
            frame(calls[2], 1, 50, None),
        ]
    );
}

#[test]
fn each_call_ends_once_with_its_result() {
    let mut tab = Tab::open();
    let calls = [call(&mut tab, "add", 50), call(&mut tab, "add", 50), call(&mut tab, "add", 50)];
    let (code, maybe_executed) = (Code::PeerLost, true);
    let result = |call, outcome| Frame::CallResult { call, outcome };
    tab.node(&[
        result(calls[1], Outcome::Value(b"5")),
        result(calls[1], Outcome::Value(b"6")),
        result(calls[0], Outcome::Threw(b"no")),
        result(calls[2], Outcome::Failed { code, maybe_executed }),
    ]);
    assert_eq!(
        tab.events(),
        [
            Event::CallEnded { call: calls[1], outcome: CallOutcome::Value(b"5".to_vec()) },
            Event::CallEnded { call: calls[0], outcome: CallOutcome::Threw(b"no".to_vec()) },
            failed(calls[2], code, maybe_executed),
        ]
    );
    assert!(tab.client.is_idle());
}

#[test]
fn a_call_without_an_answer_fails_at_its_deadline() {
    let mut tab = Tab::open();
    let id = call(&mut tab, "add", 50);
    tab.forget();
    tab.pass_ms(49);
    assert_eq!(tab.events(), []);
    tab.pass_ms(1);
    assert_eq!(tab.events(), [failed(id, Code::Timeout, true)]);
    assert_eq!(tab.frames(), [Frame::CancelCall { call: id }]);
    tab.node(&[Frame::CallResult { call: id, outcome: Outcome::Value(b"late") }]);
    assert_eq!(tab.events(), []);
}

#[test]
fn a_call_that_never_left_has_not_run() {
    let mut tab = Tab::dialing(config());
    let id = call(&mut tab, "add", 50);
    tab.forget();
    tab.pass_ms(50);
    assert_eq!(tab.events(), [failed(id, Code::Timeout, false)]);
}

#[test]
fn a_call_is_sent_again_with_the_time_left_and_the_node_it_first_went_to() {
    let mut tab = Tab::open();
    let id = call(&mut tab, "add", 1000);
    tab.forget();
    tab.lose_link();
    tab.pass_ms(100);
    let late = call(&mut tab, "sub", 1000);
    tab.forget();
    tab.pass_ms(100);
    tab.epoch = epoch(2);
    tab.frames();
    tab.welcome(resumed_at(0));
    assert_eq!(
        tab.frames(),
        [method(1, "add"), frame(id, 1, 800, Some(1)), method(2, "sub"), frame(late, 2, 900, None),]
    );
}

#[test]
fn a_cancelled_call_ends_at_once() {
    let mut tab = Tab::open();
    let id = call(&mut tab, "add", 1000);
    tab.forget();
    tab.ask(|client, now| client.cancel_call(now, id));
    assert_eq!(tab.events(), [failed(id, Code::Cancelled, true)]);
    assert_eq!(tab.frames(), [Frame::CancelCall { call: id }]);
    tab.lose_link();
    tab.welcome(resumed_at(0));
    assert_eq!(tab.frames(), [Frame::CancelCall { call: id }], "the next node is told, too");
    tab.pass_ms(1000);
    tab.lose_link();
    tab.welcome(resumed_at(0));
    assert_eq!(tab.frames(), [], "until its deadline");
}

#[test]
fn a_paused_client_looks_at_what_waited_before_it_ends_calls() {
    let mut tab = Tab::open();
    let id = call(&mut tab, "add", 1000);
    tab.forget();
    tab.freeze_ms(5000);
    tab.node(&[Frame::Published { number: tabmq::id::PublishNumber(0) }]);
    assert_eq!(tab.events(), []);
    tab.node(&[Frame::CallResult { call: id, outcome: Outcome::Value(b"5") }]);
    let outcome = CallOutcome::Value(b"5".to_vec());
    assert_eq!(tab.events(), [Event::CallEnded { call: id, outcome }]);
    // Only a client that ran since is given time again after its next pause.
    tab.pass_ms(100);
    let id = call(&mut tab, "add", 1000);
    tab.freeze_ms(5000);
    tab.input(Input::Tick);
    assert_eq!(tab.events(), []);
    tab.pass_ms(100);
    assert_eq!(tab.events(), [failed(id, Code::Timeout, true)]);
}

#[test]
fn calls_and_their_arguments_are_bounded() {
    let mut config = config();
    config.limits.requests_max = 2;
    config.limits.request_bytes_max = 10;
    let mut tab = Tab::dialing(config);
    let refused = tab
        .ask(|client, now| client.call(now, "calc", "add", &[0; 11], 50))
        .expect_err("too many bytes");
    assert_eq!((refused.code, refused.reason), (Code::Full, "request_bytes_max"));
    for _ in 0..2 {
        call(&mut tab, "add", 50);
    }
    let refused =
        tab.ask(|client, now| client.call(now, "calc", "add", b"", 50)).expect_err("too many");
    assert_eq!((refused.code, refused.reason), (Code::Full, "requests_max"));
    tab.pass_ms(50);
    call(&mut tab, "add", 50);
}

#[test]
fn methods_of_one_link_are_bounded() {
    let mut config = config();
    config.limits.handles_max = 1;
    let mut tab = Tab::dialing(config);
    tab.welcome(first_welcome());
    call(&mut tab, "add", 50);
    tab.forget();
    let id = call(&mut tab, "sub", 50);
    assert_eq!(tab.events(), [failed(id, Code::Full, false)]);
}
