use tabmq::client::io::{CallOutcome, Event};
use tabmq::error::Code;
use tabmq::id::{LeaseNumber, PublishNumber, RequestId, Sequence, Term};
use tabmq::options::ConsumeOptions;
use tabmq::wire::Frame;
use tabmq::wire::frame::Settlement;

use crate::harness::{Tab, config, item, resumed_at};

fn send(tab: &mut Tab) -> RequestId {
    tab.ask(|client, now| client.send(now, "q", &[item(b"a")], None)).expect("taken")
}

fn closed(event: &Event, of: RequestId, maybe: bool) -> bool {
    matches!(event, Event::Failed { request, code: Code::Closed, maybe_executed, .. }
        if (*request, *maybe_executed) == (of, maybe))
}

#[test]
fn close_says_goodbye_and_fails_what_has_no_answer() {
    let mut tab = Tab::open();
    let sent = send(&mut tab);
    let flush = tab.ask(|client, now| client.flush(now)).expect("taken");
    let call = tab.ask(|client, now| client.call(now, "s", "m", b"", 50)).expect("taken");
    tab.forget();
    tab.ask(|client, now| client.close(now, false));
    assert_eq!(tab.frames(), [Frame::Goodbye { park: false }]);
    let events = tab.events();
    assert!(closed(&events[0], flush, false));
    assert!(closed(&events[1], sent, true));
    let outcome = CallOutcome::Failed { code: Code::Closed, maybe_executed: true };
    assert_eq!(events[2], Event::CallEnded { call, outcome });
    assert_eq!(events[3..], [Event::Closed { code: Code::Closed }]);
    assert!(tab.client.is_closed());
    assert_eq!(tab.wake_at, None);
}

#[test]
fn nothing_comes_after_closed() {
    let mut tab = Tab::open();
    tab.ask(|client, now| client.close(now, false));
    tab.forget();
    let refused = tab.ask(|client, now| client.inspect(now, "q")).expect_err("closed");
    assert_eq!(refused.code, Code::Closed);
    let refused = tab
        .ask(|client, now| client.settle(now, LeaseNumber(1), Settlement::Ack { value: None }))
        .expect_err("closed");
    assert_eq!(refused.code, Code::Closed);
    tab.node(&[Frame::Ping { nonce: 1 }]);
    tab.ask(|client, now| client.close(now, true));
    tab.ask(|client, now| client.park(now));
    tab.ask(|client, now| client.unpark(now));
    tab.pass_ms(60_000);
    assert_eq!((tab.frames(), tab.events()), (Vec::new(), Vec::new()));
}

#[test]
fn a_draining_client_waits_for_answers_and_takes_nothing_new() {
    let mut tab = Tab::open();
    let request = send(&mut tab);
    tab.forget();
    tab.ask(|client, now| client.close(now, true));
    assert_eq!((tab.frames(), tab.events()), (Vec::new(), Vec::new()));
    let refused = tab.ask(|client, now| client.inspect(now, "q")).expect_err("closing");
    assert_eq!(refused.code, Code::Closed);
    tab.node(&[Frame::Sent { position: Sequence(1) }]);
    let events = tab.events();
    assert!(matches!(events[0], Event::Sent { request: sent, .. } if sent == request));
    assert_eq!(events[1], Event::Closed { code: Code::Closed });
    assert_eq!(tab.frames(), [Frame::Goodbye { park: false }]);
}

#[test]
fn draining_has_a_deadline() {
    let mut tab = Tab::dialing(config());
    let request = send(&mut tab);
    tab.forget();
    tab.ask(|client, now| client.close(now, true));
    tab.pass_ms(29_999);
    assert!(!tab.client.is_closed());
    tab.pass_ms(1);
    let events: Vec<Event> = tab
        .events()
        .into_iter()
        .filter(|event| !matches!(event, Event::NodeSilent { .. }))
        .collect();
    assert!(closed(&events[0], request, false), "it never left");
    assert_eq!(events[1], Event::Closed { code: Code::Closed });
}

#[test]
fn an_idle_client_drains_at_once() {
    let mut tab = Tab::open();
    tab.ask(|client, now| client.close(now, true));
    assert_eq!(tab.events(), [Event::Closed { code: Code::Closed }]);
}

/// A tab with a lease, a term, an outstanding send and a call.
fn busy() -> (Tab, RequestId) {
    let mut tab = Tab::open();
    let consumer = tab
        .ask(|client, now| client.consume(now, "q", ConsumeOptions::new(10, 1000)))
        .expect("consumes");
    let candidate = tab.ask(|client, now| client.stand(now, "role")).expect("stands");
    let delivery = tabmq::wire::frame::Delivery {
        consumer,
        lease: LeaseNumber(1),
        attempt: 1,
        number: tabmq::id::MessageNumber(1),
        lane: tabmq::id::LaneId(1),
        sequence: Sequence(1),
        index: 0,
        stored_at: tabmq::time::UnixMillis(1),
        lease_ms: 1000,
        body: b"",
        properties: None,
        dead_reason: None,
        body_bytes: None,
        tracked: None,
        deaths: None,
        sender: None,
        priority: None,
    };
    let confirmed = Frame::Consuming { consumer, refused: None, single_active: None };
    tab.node(&[confirmed, Frame::Deliver(delivery), Frame::Lead { candidate, term: Term(1) }]);
    let request = send(&mut tab);
    tab.ask(|client, now| client.call(now, "s", "m", b"", 5000)).expect("taken");
    tab.forget();
    (tab, request)
}

#[test]
fn a_parked_client_gives_leases_calls_and_terms_back_and_is_still() {
    let (mut tab, _) = busy();
    tab.ask(|client, now| client.park(now));
    assert_eq!(tab.frames(), [Frame::Goodbye { park: true }]);
    let events = tab.events();
    assert_eq!(events[0], Event::Lost);
    assert_eq!(events[1], Event::LeaseLost { lease: LeaseNumber(1) });
    assert!(matches!(
        events[2],
        Event::CallEnded {
            outcome: CallOutcome::Failed { code: Code::Unavailable, maybe_executed: true },
            ..
        }
    ));
    assert!(matches!(events[3], Event::Deposed { .. }));
    assert_eq!(events.len(), 4);
    tab.ask(|client, now| client.publish(now, "a", b"", None)).expect("taken");
    tab.pass_ms(60_000);
    assert_eq!((tab.frames(), tab.broadcasts()), (Vec::new(), Vec::new()));
    assert_eq!(tab.events(), []);
}

#[test]
fn an_unparked_client_goes_on_where_it_was() {
    let (mut tab, request) = busy();
    tab.ask(|client, now| client.park(now));
    tab.ask(|client, now| client.publish(now, "a", b"x", None)).expect("taken");
    tab.forget();
    tab.ask(|client, now| client.unpark(now));
    let hello = tab.hello();
    assert!(!hello.fresh);
    assert_eq!((hello.leases, hello.terms, hello.serving), (vec![], vec![], vec![]));
    assert_eq!(hello.floor, Sequence(1));
    tab.welcome(resumed_at(1));
    assert!(tab.frames().iter().any(|frame| matches!(frame, Frame::Send { .. })));
    assert!(matches!(&tab.broadcasts()[..], [Frame::Publish(live)]
        if live.body == b"x" && live.number > PublishNumber(0)));
    tab.events();
    tab.node(&[Frame::Sent { position: Sequence(1) }]);
    assert!(matches!(tab.events()[..], [Event::Sent { request: sent, .. }] if sent == request));
}
