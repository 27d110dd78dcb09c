//! What a node keeps when a write finds no room and its broker is made anew.

use tabmq::broker::io::Input;
use tabmq::error::Code;
use tabmq::id::{CallId, ClientId, MethodId, Sequence, ServiceId};
use tabmq::store::StorageFault;
use tabmq::wire::Frame;
use tabmq::wire::frame::{CallKey, Outcome};

use crate::harness::{Bench, Peer, client};

const KEY: CallKey = CallKey { caller: ClientId([1; 16]), call: CallId(7) };

fn serve(bench: &mut Bench, peer: &mut Peer) {
    bench.say(peer, &[Frame::Serve { service: ServiceId(1), name: "calc@1", concurrency: 4 }]);
}

/// Transmits call 7, perhaps again, as a client that first did so under `epoch`.
fn call(bench: &mut Bench, peer: &mut Peer, first_epoch: Option<u64>) {
    let (method, arguments) = (MethodId(1), &b"23"[..]);
    let named = Frame::Method { method, service: "calc@1", name: "add" };
    let (timeout_ms, traceparent) = (60_000, None);
    let call =
        Frame::Call { call: KEY.call, method, timeout_ms, arguments, first_epoch, traceparent };
    bench.say(peer, &[named, call]);
}

fn dispatches(bench: &mut Bench, peer: &Peer) -> usize {
    let frames = bench.frames(peer);
    frames.iter().filter(|frame| matches!(frame, Frame::Dispatch { .. })).count()
}

/// A write finds no room; afterwards there is some again.
fn fill_up_once(bench: &mut Bench, peer: &mut Peer) {
    bench.fault = Some(StorageFault::Quota);
    bench.send(peer, "work", b"too much");
    bench.fault = None;
    let epoch = bench.node.epoch();
    assert!(epoch.is_some_and(|epoch| epoch.counter == 1), "the same node serves");
}

#[test]
fn a_call_under_way_is_not_dispatched_again() {
    let mut bench = Bench::new();
    let (mut caller, mut server) = (bench.join(1), bench.join(2));
    serve(&mut bench, &mut server);
    call(&mut bench, &mut caller, None);
    assert_eq!(dispatches(&mut bench, &server), 1);
    fill_up_once(&mut bench, &mut caller);
    let (mut server, _) = bench.hello(2, |hello| hello.serving = vec![KEY]);
    serve(&mut bench, &mut server);
    let (mut caller, _) = bench.hello(1, |_| {});
    call(&mut bench, &mut caller, Some(1));
    assert_eq!(dispatches(&mut bench, &server), 0);
    bench.say(&mut server, &[Frame::Reply { key: KEY, outcome: Outcome::Value(b"5") }]);
    let result = Frame::CallResult { call: KEY.call, outcome: Outcome::Value(b"5") };
    assert!(bench.frames(&caller).contains(&result));
}

#[test]
fn an_answer_waits_for_a_caller_that_lives_and_is_slow_to_resume() {
    let mut bench = Bench::new();
    let (mut caller, mut server) = (bench.join(1), bench.join(2));
    serve(&mut bench, &mut server);
    call(&mut bench, &mut caller, None);
    fill_up_once(&mut bench, &mut caller);
    bench.input(Input::Present { clients: &[client(1), client(2)] });
    let (mut server, _) = bench.hello(2, |hello| hello.serving = vec![KEY]);
    serve(&mut bench, &mut server);
    bench.say(&mut server, &[Frame::Reply { key: KEY, outcome: Outcome::Value(b"5") }]);
    bench.pass_ms(bench.limits.settle_ms + 1);
    let (mut caller, _) = bench.hello(1, |_| {});
    call(&mut bench, &mut caller, Some(1));
    assert_eq!(dispatches(&mut bench, &server), 0);
    let result = Frame::CallResult { call: KEY.call, outcome: Outcome::Value(b"5") };
    assert!(bench.frames(&caller).contains(&result));
}

#[test]
fn a_call_at_a_server_that_died_meanwhile_may_have_run() {
    let mut bench = Bench::new();
    let (mut caller, mut server) = (bench.join(1), bench.join(2));
    serve(&mut bench, &mut server);
    call(&mut bench, &mut caller, None);
    fill_up_once(&mut bench, &mut caller);
    bench.input(Input::Present { clients: &[client(1)] });
    let (mut caller, _) = bench.hello(1, |_| {});
    call(&mut bench, &mut caller, Some(1));
    bench.say(&mut caller, &[Frame::Resumed]);
    let outcome = Outcome::Failed { code: Code::PeerLost, maybe_executed: true };
    let lost = Frame::CallResult { call: KEY.call, outcome };
    assert!(bench.frames(&caller).contains(&lost));
}

#[test]
fn a_refusal_without_a_record_moves_no_lane() {
    let mut bench = Bench::new();
    let mut producer = bench.join(1);
    bench.send(&mut producer, "work", b"kept");
    let (lane, log) = (producer.lane, producer.log);
    fill_up_once(&mut bench, &mut producer);
    let resume = |hello: &mut tabmq::wire::frame::Hello<'_>| {
        hello.lane = lane;
        hello.log = log;
        hello.confirmed = Sequence(1);
        hello.floor = Sequence(2);
    };
    bench.fault = Some(StorageFault::Quota);
    let (mut producer, _) = bench.hello(1, resume);
    let digest = bench.node.broker().map(|broker| broker.digest());
    bench.send(&mut producer, "work", b"too much");
    let refused = bench.frames(&producer);
    let quota = Frame::SendRefused { sequence: Sequence(2), code: Code::Storage, reason: "quota" };
    assert!(refused.contains(&quota));
    assert_eq!(bench.node.broker().map(|broker| broker.digest()), digest);
    let (_, welcome) = bench.hello(1, resume);
    assert_eq!(welcome.position, Sequence(1), "only what is recorded");
}
