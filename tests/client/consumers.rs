use tabmq::client::io::Event;
use tabmq::error::{Code, Refused};
use tabmq::id::{ConsumerId, LaneId, LeaseNumber, LogId, MessageNumber, RequestId, Sequence};
use tabmq::options::ConsumeOptions;
use tabmq::time::UnixMillis;
use tabmq::wire::Frame;
use tabmq::wire::frame::{Delivery, Settlement, Welcome};

use crate::harness::{Tab, first_welcome, item, resumed_at};

fn delivery(consumer: ConsumerId, lease: u64) -> Frame<'static> {
    Frame::Deliver(Delivery {
        consumer,
        lease: LeaseNumber(lease),
        attempt: 1,
        number: MessageNumber(lease),
        lane: LaneId(3),
        sequence: Sequence(lease),
        index: 0,
        stored_at: UnixMillis(5),
        lease_ms: 30_000,
        body: b"body",
        properties: None,
        dead_reason: None,
        body_bytes: None,
        tracked: None,
        deaths: None,
        sender: None,
        priority: None,
    })
}

/// A tab with a consumer that holds leases 1 and 2.
pub fn consuming() -> (Tab, ConsumerId) {
    let mut tab = Tab::open();
    let consumer = tab
        .ask(|client, now| client.consume(now, "q", ConsumeOptions::new(10, 1000)))
        .expect("consumes");
    tab.node(&[Frame::Consuming { consumer, refused: None, single_active: None }]);
    tab.node(&[delivery(consumer, 1), delivery(consumer, 2)]);
    tab.forget();
    (tab, consumer)
}

pub fn settle(tab: &mut Tab, lease: u64, settlement: Settlement<'_>) -> RequestId {
    tab.ask(|client, now| client.settle(now, LeaseNumber(lease), settlement)).expect("taken")
}

pub fn ack(lease: u64) -> Frame<'static> {
    Frame::Settle { lease: LeaseNumber(lease), settlement: Settlement::Ack { value: None } }
}

fn settled(lease: u64, refused: Option<Code>) -> Frame<'static> {
    Frame::Settled { lease: LeaseNumber(lease), refused }
}

pub fn is_stale(event: &Event, of: RequestId) -> bool {
    matches!(event, Event::Failed { request, code: Code::StaleLease, maybe_executed: false, .. }
        if *request == of)
}

#[test]
fn a_delivery_is_told_once_while_its_lease_is_known() {
    let (mut tab, consumer) = consuming();
    tab.node(&[delivery(consumer, 1), delivery(consumer, 3)]);
    let events = tab.events();
    assert_eq!(events.len(), 1);
    assert!(matches!(&events[0], Event::Delivery { lease: LeaseNumber(3), body, .. }
        if body == b"body"));
}

#[test]
fn a_settlement_is_confirmed_and_ends_the_lease() {
    let (mut tab, _) = consuming();
    let request = settle(&mut tab, 1, Settlement::Ack { value: None });
    assert_eq!(tab.frames(), [ack(1)]);
    tab.node(&[settled(1, None)]);
    assert_eq!(tab.events(), [Event::Settled { request }]);
    assert_eq!(tab.lose_link().leases, [LeaseNumber(2)]);
}

#[test]
fn a_late_settlement_fails() {
    let (mut tab, _) = consuming();
    let request = settle(&mut tab, 1, Settlement::Ack { value: None });
    tab.node(&[settled(1, Some(Code::StaleLease))]);
    let events = tab.events();
    assert!(is_stale(&events[0], request));
    assert_eq!(events.len(), 1);
}

#[test]
fn a_settlement_of_an_unknown_or_decided_lease_fails_at_once() {
    let (mut tab, _) = consuming();
    settle(&mut tab, 1, Settlement::Release);
    tab.forget();
    for lease in [1, 9] {
        let request = settle(&mut tab, lease, Settlement::Ack { value: None });
        assert!(is_stale(&tab.events()[0], request));
    }
    assert_eq!(tab.frames(), []);
}

#[test]
fn a_settlement_without_an_answer_is_in_doubt_once_the_lane_is_lost() {
    let (mut tab, _) = consuming();
    let sent = settle(&mut tab, 1, Settlement::Ack { value: None });
    tab.lose_link();
    let late = settle(&mut tab, 2, Settlement::Ack { value: None });
    tab.forget();
    tab.welcome(Welcome { resumed: false, lane: LaneId(8), ..resumed_at(0) });
    tab.forget();
    tab.node(&[settled(1, Some(Code::StaleLease)), settled(2, Some(Code::StaleLease))]);
    let events = tab.events();
    assert!(matches!(events[0], Event::Failed {
        request, code: Code::Unavailable, maybe_executed: true, ..
    } if request == sent));
    assert!(is_stale(&events[1], late), "it was never sent under the lane that is lost");
}

#[test]
fn a_settlement_without_an_answer_is_sent_again() {
    let (mut tab, _) = consuming();
    let request = settle(&mut tab, 1, Settlement::Ack { value: None });
    tab.forget();
    assert_eq!(tab.lose_link().leases, [LeaseNumber(1), LeaseNumber(2)]);
    let late = settle(&mut tab, 2, Settlement::Ack { value: None });
    tab.welcome(Welcome { stale: vec![LeaseNumber(1)], ..resumed_at(0) });
    let frames = tab.frames();
    assert_eq!(frames[..2], [ack(1), ack(2)]);
    tab.events();
    tab.node(&[settled(1, None), settled(2, None)]);
    assert_eq!(tab.events(), [Event::Settled { request }, Event::Settled { request: late }]);
}

#[test]
fn an_extension_keeps_the_lease() {
    let (mut tab, _) = consuming();
    let extend = settle(&mut tab, 1, Settlement::Extend { lease_ms: Some(100) });
    let ack = settle(&mut tab, 1, Settlement::Ack { value: None });
    tab.node(&[settled(1, None)]);
    assert_eq!(tab.events(), [Event::Settled { request: extend }]);
    tab.node(&[settled(1, None)]);
    assert_eq!(tab.events(), [Event::Settled { request: ack }]);
}

/// A tab that holds leases 1 and 2 and has no room for another send.
fn blocked(requests_max: u32, request_bytes_max: u32, window_bytes_max: u32) -> Tab {
    let mut config = crate::harness::config();
    config.limits.requests_max = requests_max;
    config.limits.request_bytes_max = request_bytes_max;
    config.limits.window_bytes_max = window_bytes_max;
    let mut tab = Tab::open_with(config);
    let consumer = tab
        .ask(|client, now| client.consume(now, "q", ConsumeOptions::new(10, 1000)))
        .expect("consumes");
    tab.node(&[delivery(consumer, 1), delivery(consumer, 2)]);
    tab.forget();
    tab
}

fn send(tab: &mut Tab, body: &[u8]) -> Result<RequestId, Refused> {
    tab.ask(|client, now| client.send(now, "other", &[item(body)], None))
}

#[test]
fn whoever_can_send_no_more_can_still_settle() {
    for (requests_max, bytes_max, reason) in
        [(2, 1000, "requests_max"), (100, 60, "request_bytes_max")]
    {
        let mut tab = blocked(requests_max, bytes_max, 8 << 20);
        while send(&mut tab, &[0; 20]).is_ok() {}
        assert_eq!(send(&mut tab, &[0; 20]).expect_err("no room").reason, reason);
        tab.forget();
        let extend = settle(&mut tab, 1, Settlement::Extend { lease_ms: Some(100) });
        let ack_of_it = settle(&mut tab, 1, Settlement::Ack { value: None });
        let extended = Settlement::Extend { lease_ms: Some(100) };
        let extended = Frame::Settle { lease: LeaseNumber(1), settlement: extended };
        assert_eq!(tab.frames(), [extended, ack(1)], "they go at once");
        tab.node(&[settled(1, None), settled(1, None)]);
        let done = |request| Event::Settled { request };
        assert_eq!(tab.events(), [done(extend), done(ack_of_it)]);
        assert_eq!(send(&mut tab, &[0; 20]).expect_err("still none").reason, reason);
        let release = settle(&mut tab, 2, Settlement::Release);
        tab.node(&[settled(2, None), Frame::Sent { position: Sequence(2) }]);
        assert_eq!(tab.events()[0], done(release));
        send(&mut tab, b"x").expect("room again");
    }
}

#[test]
fn settlements_are_bounded_in_number_and_bytes() {
    let mut tab = blocked(2, 100, 8 << 20);
    let extend = |tab: &mut Tab| {
        let settlement = Settlement::Extend { lease_ms: None };
        tab.ask(|client, now| client.settle(now, LeaseNumber(1), settlement))
    };
    let too_long = Settlement::Ack { value: Some(&[0; 100]) };
    let refused = tab.ask(|client, now| client.settle(now, LeaseNumber(2), too_long));
    assert_eq!(refused.expect_err("too many bytes").reason, "request_bytes_max");
    extend(&mut tab).expect("the first");
    extend(&mut tab).expect("the second");
    let refusal = extend(&mut tab).expect_err("too many");
    assert_eq!((refusal.code, refusal.reason), (Code::Full, "requests_max"));
    tab.node(&[settled(1, None)]);
    extend(&mut tab).expect("room again");
}

#[test]
fn settlements_pass_the_sends_that_wait_for_the_link() {
    let mut tab = blocked(100, 1 << 20, 2000);
    let sends = [[1; 1000]; 3];
    let requests = sends.map(|body| send(&mut tab, &body).expect("taken"));
    assert_eq!(tab.frames().len(), 1, "the link takes one at a time");
    settle(&mut tab, 1, Settlement::Ack { value: None });
    assert_eq!(tab.frames(), [ack(1)]);
    tab.node(&[Frame::Sent { position: Sequence(1) }]);
    assert!(matches!(tab.events()[..], [Event::Sent { request, .. }] if request == requests[0]));
    assert_eq!(tab.frames().len(), 1, "the next send");
}

#[test]
fn a_refused_extension_tells_that_the_lease_is_lost() {
    let (mut tab, _) = consuming();
    let extend = settle(&mut tab, 1, Settlement::Extend { lease_ms: None });
    tab.node(&[settled(1, Some(Code::StaleLease))]);
    let events = tab.events();
    assert!(is_stale(&events[0], extend));
    assert_eq!(events[1], Event::LeaseLost { lease: LeaseNumber(1) });
}

#[test]
fn leases_that_the_node_does_not_know_are_lost() {
    let (mut tab, _) = consuming();
    tab.lose_link();
    tab.events();
    tab.welcome(Welcome { stale: vec![LeaseNumber(2)], ..resumed_at(0) });
    assert_eq!(tab.events()[1..], [Event::LeaseLost { lease: LeaseNumber(2) }]);
    let request = settle(&mut tab, 2, Settlement::Ack { value: None });
    assert!(is_stale(&tab.events()[0], request));
}

#[test]
fn leases_of_another_log_are_lost() {
    let (mut tab, _) = consuming();
    let request = settle(&mut tab, 1, Settlement::Ack { value: None });
    tab.lose_link();
    tab.forget();
    tab.welcome(Welcome { log: LogId([8; 16]), ..first_welcome() });
    let events = tab.events();
    assert!(matches!(&events[1], Event::Failed { request: failed, code: Code::Unavailable,
        maybe_executed: true, .. } if *failed == request));
    assert_eq!(events[2], Event::LeaseLost { lease: LeaseNumber(2) });
    assert!(!tab.frames().contains(&ack(1)));
}

#[test]
fn deliveries_to_a_cancelled_consumer_are_given_back() {
    let (mut tab, consumer) = consuming();
    tab.ask(|client, now| client.cancel_consumer(now, consumer));
    tab.node(&[delivery(consumer, 3)]);
    let release = Frame::Settle { lease: LeaseNumber(3), settlement: Settlement::Release };
    assert_eq!(tab.frames(), [Frame::CancelConsumer { consumer }, release]);
    assert_eq!(tab.events(), []);
    let request = settle(&mut tab, 1, Settlement::Ack { value: None });
    tab.node(&[settled(1, None)]);
    assert_eq!(tab.events(), [Event::Settled { request }], "what was out stays with the client");
}

#[test]
fn a_node_that_delivers_without_end_is_hung_up() {
    let mut config = crate::harness::config();
    config.limits.requests_max = 2;
    let mut tab = Tab::open_with(config);
    let consumer = tab
        .ask(|client, now| client.consume(now, "q", ConsumeOptions::new(10, 1000)))
        .expect("consumes");
    tab.node(&[delivery(consumer, 1), delivery(consumer, 2)]);
    tab.forget();
    tab.node(&[delivery(consumer, 3)]);
    assert_eq!(tab.frames(), [Frame::Hangup { code: Code::Protocol }]);
}
