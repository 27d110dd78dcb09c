use tabmq::broker::Granting;
use tabmq::broker::io::Input;
use tabmq::error::Code;
use tabmq::id::{CallId, MethodId, RequestId, ServiceId};
use tabmq::limits::Limits;
use tabmq::wire::Frame;
use tabmq::wire::frame::{CallKey, Outcome, ServerEntry, ServiceEntry};

use crate::grants::grant;
use crate::harness::{Bench, Peer, client};

/// The node hands it on as it came.
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn serve(bench: &mut Bench, peer: &mut Peer, concurrency: u32) {
    bench.say(peer, &[Frame::Serve { service: ServiceId(1), name: "calc@1", concurrency }]);
    assert!(bench.frames(peer).contains(&Frame::Serving { service: ServiceId(1), refused: None }));
}

/// The services that somebody serves or waits for.
fn listed(bench: &mut Bench, peer: &mut Peer, after: Option<&str>) -> Frame<'static> {
    bench.frames(peer);
    bench.say(peer, &[Frame::ListServices { request: RequestId(1), after }]);
    bench.frames(peer).pop().expect("an answer")
}

fn services(services: Vec<ServiceEntry<'static>>, more: bool) -> Frame<'static> {
    Frame::ServiceList { request: RequestId(1), services, more }
}

fn call(bench: &mut Bench, peer: &mut Peer, call: u32, first_epoch: Option<u64>) {
    let method = MethodId(1);
    bench.say(
        peer,
        &[
            Frame::Method { method, service: "calc@1", name: "add" },
            Frame::Call {
                call: CallId(call),
                method,
                timeout_ms: 1000,
                arguments: b"23",
                first_epoch,
                traceparent: Some(TRACE),
            },
        ],
    );
}

fn dispatched(bench: &mut Bench, peer: &Peer) -> Vec<CallKey> {
    let key = |frame| match frame {
        Frame::Dispatch { key, .. } => Some(key),
        _ => None,
    };
    bench.frames(peer).into_iter().filter_map(key).collect()
}

#[test]
fn the_server_gets_the_trace_of_the_call() {
    let mut bench = Bench::new();
    let (mut server, mut caller) = (bench.join(1), bench.join(2));
    serve(&mut bench, &mut server, 4);
    call(&mut bench, &mut caller, 1, None);
    let frames = bench.frames(&server);
    let traced =
        |frame: &Frame<'_>| matches!(frame, Frame::Dispatch { traceparent: Some(TRACE), .. });
    assert!(frames.iter().any(traced));
}

#[test]
fn a_trace_longer_than_headers_may_be_is_refused() {
    let mut bench = Bench::with(Limits { headers_bytes_max: 20, ..Limits::default() });
    let (mut server, mut caller) = (bench.join(1), bench.join(2));
    serve(&mut bench, &mut server, 4);
    call(&mut bench, &mut caller, 1, None);
    assert_eq!(dispatched(&mut bench, &server), []);
    let outcome = Outcome::Failed { code: Code::TooLarge, maybe_executed: false };
    assert_eq!(bench.frames(&caller), [result(1, outcome)]);
}

fn reply(bench: &mut Bench, peer: &mut Peer, key: CallKey) {
    bench.say(peer, &[Frame::Reply { key, outcome: Outcome::Value(b"5") }]);
}

fn result(call: u32, outcome: Outcome<'static>) -> Frame<'static> {
    Frame::CallResult { call: CallId(call), outcome }
}

fn failed(code: Code, maybe_executed: bool) -> Outcome<'static> {
    Outcome::Failed { code, maybe_executed }
}

fn settled(bench: &mut Bench) {
    bench.input(Input::Present { clients: &[] });
}

#[test]
fn a_call_reaches_a_server_and_its_result_the_caller() {
    let mut bench = Bench::new();
    let (mut caller, mut server) = (bench.join(1), bench.join(2));
    serve(&mut bench, &mut server, 1);
    call(&mut bench, &mut caller, 7, None);
    let key = dispatched(&mut bench, &server)[0];
    assert_eq!(key, CallKey { caller: client(1), call: CallId(7) });
    reply(&mut bench, &mut server, key);
    assert!(bench.frames(&server).contains(&Frame::ReplyTaken { key }));
    assert_eq!(bench.frames(&caller), [result(7, Outcome::Value(b"5"))]);
}

#[test]
fn nobody_serving_is_said_at_once_after_settling() {
    let mut bench = Bench::new();
    let mut caller = bench.join(1);
    call(&mut bench, &mut caller, 1, None);
    assert_eq!(bench.frames(&caller), [], "a server may still come back");
    settled(&mut bench);
    assert_eq!(bench.frames(&caller), [result(1, failed(Code::Unavailable, false))]);
    call(&mut bench, &mut caller, 2, None);
    assert_eq!(bench.frames(&caller), [result(2, failed(Code::Unavailable, false))]);
}

#[test]
fn calls_over_the_concurrency_wait_their_turn() {
    let mut bench = Bench::new();
    let (mut caller, mut server) = (bench.join(1), bench.join(2));
    serve(&mut bench, &mut server, 1);
    for number in 1..=3 {
        call(&mut bench, &mut caller, number, None);
    }
    for number in 1..=3 {
        let running = dispatched(&mut bench, &server);
        assert_eq!(running.iter().map(|key| key.call).collect::<Vec<_>>(), [CallId(number)]);
        reply(&mut bench, &mut server, running[0]);
    }
}

#[test]
fn the_least_busy_server_is_chosen() {
    let mut bench = Bench::new();
    let mut caller = bench.join(1);
    let mut servers = [bench.join(2), bench.join(3)];
    for server in &mut servers {
        serve(&mut bench, server, 10);
    }
    for number in 1..=4 {
        call(&mut bench, &mut caller, number, None);
    }
    for server in &servers {
        assert_eq!(dispatched(&mut bench, server).len(), 2);
    }
}

#[test]
fn a_call_ends_at_its_deadline_though_the_caller_sleeps() {
    let mut bench = Bench::new();
    let (mut caller, mut server) = (bench.join(1), bench.join(2));
    serve(&mut bench, &mut server, 1);
    call(&mut bench, &mut caller, 1, None);
    let key = dispatched(&mut bench, &server)[0];
    bench.pass_ms(1000);
    assert!(bench.frames(&caller).contains(&result(1, failed(Code::Timeout, true))));
    assert!(bench.frames(&server).contains(&Frame::CancelDispatch { key }));
}

#[test]
fn the_loss_of_the_server_ends_the_call_in_doubt() {
    let mut bench = Bench::new();
    let (mut caller, mut server) = (bench.join(1), bench.join(2));
    serve(&mut bench, &mut server, 1);
    call(&mut bench, &mut caller, 1, None);
    bench.input(Input::Gone { client: client(2) });
    assert_eq!(bench.frames(&caller), [result(1, failed(Code::PeerLost, true))]);
}

#[test]
fn the_loss_of_the_caller_stops_the_server() {
    let mut bench = Bench::new();
    let (mut caller, mut server) = (bench.join(1), bench.join(2));
    serve(&mut bench, &mut server, 1);
    call(&mut bench, &mut caller, 1, None);
    let key = dispatched(&mut bench, &server)[0];
    bench.input(Input::Gone { client: client(1) });
    assert!(bench.frames(&server).contains(&Frame::CancelDispatch { key }));
}

#[test]
fn a_late_hello_of_an_earlier_page_does_not_make_a_call_run_twice() {
    let mut bench = Bench::new();
    let (mut caller, mut server) = (bench.join(1), bench.join(2));
    serve(&mut bench, &mut server, 5);
    let epoch = bench.node.epoch().unwrap().counter;
    call(&mut bench, &mut caller, 1, None);
    call(&mut bench, &mut caller, 2, None);
    let keys = dispatched(&mut bench, &server);
    reply(&mut bench, &mut server, keys[1]);
    let (mut earlier, _) = bench.hello(1, |hello| hello.fresh = true);
    bench.say(&mut earlier, &[Frame::CallsDone { below: CallId(1) }, Frame::Resumed]);
    assert!(bench.frames(&server).contains(&Frame::CancelDispatch { key: keys[0] }));
    let (mut caller, _) = bench.hello(1, |_| {});
    for number in 1..=3 {
        call(&mut bench, &mut caller, number, Some(epoch));
    }
    let ends = [result(1, failed(Code::PeerLost, true)), result(2, Outcome::Value(b"5"))];
    assert_eq!(bench.frames(&caller), ends);
    let third = CallKey { caller: client(1), call: CallId(3) };
    assert_eq!(dispatched(&mut bench, &server), [third], "it was lost on its way");
}

#[test]
fn a_call_that_only_an_earlier_page_of_the_server_had_is_not_given_to_the_next() {
    let mut bench = Bench::new();
    bench.restart();
    let (mut caller, key) = (bench.join(1), CallKey { caller: client(1), call: CallId(1) });
    call(&mut bench, &mut caller, 1, Some(1));
    bench.hello(2, |hello| hello.fresh = true);
    bench.hello(2, |hello| hello.serving = vec![key]);
    assert_eq!(bench.frames(&caller), [], "the late Hello claims it");
    let (server, _) = bench.hello(2, |_| {});
    assert_eq!(dispatched(&mut bench, &server), []);
    assert_eq!(bench.frames(&caller), [result(1, failed(Code::PeerLost, true))]);
}

#[test]
fn a_page_that_was_made_anew_gets_no_answer_of_the_one_before() {
    let mut bench = Bench::new();
    let (mut caller, mut server) = (bench.join(1), bench.join(2));
    serve(&mut bench, &mut server, 5);
    call(&mut bench, &mut caller, 1, None);
    let key = dispatched(&mut bench, &server)[0];
    let (mut caller, _) = bench.hello(1, |hello| hello.fresh = true);
    bench.frames(&caller);
    call(&mut bench, &mut caller, 1, None);
    assert_eq!(dispatched(&mut bench, &server), [key]);
    reply(&mut bench, &mut server, key);
    assert_eq!(bench.frames(&caller), [result(1, Outcome::Value(b"5"))]);
}

#[test]
fn a_call_said_again_is_dispatched_once() {
    let mut bench = Bench::new();
    let (mut caller, mut server) = (bench.join(1), bench.join(2));
    serve(&mut bench, &mut server, 5);
    let epoch = bench.node.epoch().unwrap().counter;
    call(&mut bench, &mut caller, 1, None);
    call(&mut bench, &mut caller, 1, Some(epoch));
    assert_eq!(dispatched(&mut bench, &server).len(), 1);
}

#[test]
fn a_dispatch_that_did_not_arrive_is_said_again_and_one_that_did_is_not() {
    for (serving, again) in [(false, 1), (true, 0)] {
        let mut bench = Bench::new();
        let (mut caller, mut server) = (bench.join(1), bench.join(2));
        serve(&mut bench, &mut server, 1);
        call(&mut bench, &mut caller, 1, None);
        let key = dispatched(&mut bench, &server)[0];
        let (server, _) = bench.hello(2, |hello| {
            hello.serving = if serving { vec![key] } else { Vec::new() };
        });
        assert_eq!(dispatched(&mut bench, &server).len(), again);
    }
}

#[test]
fn a_call_outlives_its_node_when_its_server_has_it() {
    for caller_first in [true, false] {
        let mut bench = Bench::new();
        let (mut caller, mut server) = (bench.join(1), bench.join(2));
        serve(&mut bench, &mut server, 1);
        let epoch = bench.node.epoch().unwrap().counter;
        call(&mut bench, &mut caller, 1, None);
        let key = dispatched(&mut bench, &server)[0];
        bench.restart();
        bench.input(Input::Present { clients: &[client(1), client(2)] });
        let (mut caller, mut server);
        if caller_first {
            caller = bench.join(1);
            call(&mut bench, &mut caller, 1, Some(epoch));
            server = bench.hello(2, |hello| hello.serving = vec![key]).0;
        } else {
            server = bench.hello(2, |hello| hello.serving = vec![key]).0;
            caller = bench.join(1);
            call(&mut bench, &mut caller, 1, Some(epoch));
        }
        reply(&mut bench, &mut server, key);
        let results = bench.frames(&caller);
        assert!(results.contains(&result(1, Outcome::Value(b"5"))), "{results:?}");
    }
}

#[test]
fn a_call_that_no_server_claims_may_have_been_executed() {
    let mut bench = Bench::new();
    let (mut caller, mut server) = (bench.join(1), bench.join(2));
    serve(&mut bench, &mut server, 1);
    let epoch = bench.node.epoch().unwrap().counter;
    call(&mut bench, &mut caller, 1, None);
    bench.restart();
    bench.input(Input::Present { clients: &[client(1)] });
    let mut caller = bench.join(1);
    let mut other = bench.join(3);
    serve(&mut bench, &mut other, 1);
    call(&mut bench, &mut caller, 1, Some(epoch));
    assert_eq!(dispatched(&mut bench, &other), []);
    assert_eq!(bench.frames(&caller), [], "its server may still come back");
    bench.say(&mut caller, &[Frame::Resumed]);
    assert!(bench.frames(&caller).contains(&result(1, failed(Code::PeerLost, true))));
}

#[test]
fn cancelling_a_call_stops_its_server() {
    let mut bench = Bench::new();
    let (mut caller, mut server) = (bench.join(1), bench.join(2));
    serve(&mut bench, &mut server, 1);
    call(&mut bench, &mut caller, 1, None);
    let key = dispatched(&mut bench, &server)[0];
    bench.say(&mut caller, &[Frame::CancelCall { call: CallId(1) }]);
    assert!(bench.frames(&server).contains(&Frame::CancelDispatch { key }));
}

#[test]
fn a_result_that_was_lost_is_told_again_and_the_call_does_not_run_again() {
    let mut bench = Bench::new();
    let (mut caller, mut server) = (bench.join(1), bench.join(2));
    serve(&mut bench, &mut server, 5);
    let epoch = bench.node.epoch().unwrap().counter;
    call(&mut bench, &mut caller, 1, None);
    let key = dispatched(&mut bench, &server)[0];
    reply(&mut bench, &mut server, key);
    let mut caller = bench.join(1);
    call(&mut bench, &mut caller, 1, Some(epoch));
    assert!(bench.frames(&caller).contains(&result(1, Outcome::Value(b"5"))));
    assert_eq!(dispatched(&mut bench, &server), []);
    bench.say(&mut caller, &[Frame::CallsDone { below: CallId(2) }]);
    call(&mut bench, &mut caller, 2, None);
    assert_eq!(dispatched(&mut bench, &server).len(), 1);
}

#[test]
fn a_call_said_again_after_its_session_was_given_up_does_not_run_again() {
    let mut bench = Bench::with(Limits { park_ms: 5000, ..Limits::default() });
    let (mut caller, mut server) = (bench.join(1), bench.join(2));
    serve(&mut bench, &mut server, 4);
    call(&mut bench, &mut caller, 7, None);
    let key = dispatched(&mut bench, &server)[0];
    reply(&mut bench, &mut server, key);
    let epoch = bench.node.epoch().map(|epoch| epoch.counter);
    bench.input(Input::Disconnected { conn: caller.conn });
    bench.pass_ms(20_000);
    let mut caller = bench.dial(1, |hello| hello.fresh = false);
    bench.frames(&caller);
    call(&mut bench, &mut caller, 7, epoch);
    assert_eq!(dispatched(&mut bench, &server), [], "it ran, and its answer was forgotten");
    assert_eq!(bench.frames(&caller), [result(7, failed(Code::PeerLost, true))]);
    // What is said for the first time runs, and what of that is said again is one call.
    call(&mut bench, &mut caller, 8, None);
    call(&mut bench, &mut caller, 8, epoch);
    assert_eq!(dispatched(&mut bench, &server), [CallKey { caller: client(1), call: CallId(8) }]);
    call(&mut bench, &mut caller, 9, epoch);
    assert_eq!(dispatched(&mut bench, &server).len(), 1, "its first words were lost");
}

#[test]
fn a_call_that_is_under_way_goes_on_though_its_grant_went() {
    let mut bench = Bench::new();
    let mut server = bench.join(1);
    serve(&mut bench, &mut server, 4);
    let granting = Granting { user: "ada", call: &["#"], ..Granting::default() };
    let mut caller = bench.join_granted(2, grant(&granting));
    call(&mut bench, &mut caller, 1, None);
    let key = dispatched(&mut bench, &server)[0];
    bench.node.renew(bench.now, caller.conn, grant(&Granting { call: &[], ..granting }));
    bench.settle();
    assert_eq!(bench.frames(&caller), [Frame::Granted { ends_in_ms: None }]);
    let epoch = bench.node.epoch().map(|epoch| epoch.counter);
    call(&mut bench, &mut caller, 1, epoch);
    call(&mut bench, &mut caller, 2, epoch);
    let outcome = Outcome::Failed { code: Code::NotAuthorized, maybe_executed: true };
    assert_eq!(bench.frames(&caller), [Frame::CallResult { call: CallId(2), outcome }]);
    let outcome = Outcome::Value(b"5");
    bench.say(&mut server, &[Frame::Reply { key, outcome }]);
    assert_eq!(bench.frames(&caller), [Frame::CallResult { call: CallId(1), outcome }]);
}

#[test]
fn nobody_answers_a_call_in_doubt_whose_service_it_may_not_serve() {
    let mut bench = Bench::new();
    let (mut server, mut caller) = (bench.join(1), bench.join(2));
    serve(&mut bench, &mut server, 4);
    call(&mut bench, &mut caller, 1, None);
    let key = dispatched(&mut bench, &server)[0];
    let first_epoch = bench.node.epoch().map(|epoch| epoch.counter);
    bench.restart();
    bench.input(Input::Present { clients: &[client(1), client(2)] });
    let granting = Granting { user: "eve", serve: &["other@1"], ..Granting::default() };
    let nothing = grant(&Granting { serve: &[], ..granting });
    let (mut thief, _) = bench.hello_granted(3, grant(&granting), |h| h.serving = vec![key]);
    let (mut stranger, _) = bench.hello_granted(4, nothing, |h| h.serving = vec![key]);
    let forged = Frame::Reply { key, outcome: Outcome::Value(b"forged") };
    bench.say(&mut stranger, std::slice::from_ref(&forged));
    let mut caller = bench.join(2);
    call(&mut bench, &mut caller, 1, first_epoch);
    bench.say(&mut thief, &[forged]);
    assert_eq!(bench.frames(&caller), []);
    let (mut server, _) = bench.hello(1, |hello| hello.serving = vec![key]);
    let outcome = Outcome::Value(b"5");
    bench.say(&mut server, &[Frame::Reply { key, outcome }]);
    assert_eq!(bench.frames(&caller), [Frame::CallResult { call: CallId(1), outcome }]);
}

#[test]
fn services_are_listed_with_who_serves_them_and_the_calls_that_they_have() {
    let mut bench = Bench::new();
    let (mut server, mut caller) = (bench.join(1), bench.join(2));
    assert_eq!(listed(&mut bench, &mut caller, None), services(vec![], false));
    serve(&mut bench, &mut server, 1);
    for number in 1..=3 {
        call(&mut bench, &mut caller, number, None);
    }
    let entry = |running, waiting| {
        let servers = vec![ServerEntry { client: client(1), concurrency: 1, running }];
        services(vec![ServiceEntry { name: "calc@1", servers, waiting }], false)
    };
    assert_eq!(listed(&mut bench, &mut caller, None), entry(1, 2));
    assert_eq!(listed(&mut bench, &mut caller, Some("calc@1")), services(vec![], false));
    bench.say(&mut server, &[Frame::Unserve { service: ServiceId(1) }]);
    let waiting = ServiceEntry { name: "calc@1", servers: vec![], waiting: 2 };
    assert_eq!(listed(&mut bench, &mut caller, None), services(vec![waiting], false));
}

#[test]
fn services_come_in_pages_by_their_names() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let names: Vec<String> = (0..150).map(|number| format!("s{number:03}")).collect();
    for (number, name) in (1..).zip(&names) {
        bench.say(&mut peer, &[Frame::Serve { service: ServiceId(number), name, concurrency: 1 }]);
    }
    let mut page = |after: Option<&str>| match listed(&mut bench, &mut peer, after) {
        Frame::ServiceList { services, more, .. } => {
            (services.into_iter().map(|service| service.name).collect::<Vec<_>>(), more)
        }
        other => panic!("not a list: {other:?}"),
    };
    let (first, more) = page(None);
    assert_eq!(
        (first.as_slice(), more),
        (&names[..100].iter().map(|name| &**name).collect::<Vec<_>>()[..], true)
    );
    let (second, more) = page(Some(first[99]));
    assert_eq!(second, names[100..].iter().map(|name| &**name).collect::<Vec<_>>());
    assert!(!more);
}
