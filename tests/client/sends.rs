use tabmq::client::io::Event;
use tabmq::error::Code;
use tabmq::id::{LaneId, MessageNumber, RequestId, Sequence};
use tabmq::options::QueueOptions;
use tabmq::wire::Frame;
use tabmq::wire::frame::{Duplicate, QueueCounts, Welcome};

use crate::harness::{LANE, Tab, config, first_welcome, item, resumed_at};

fn send(tab: &mut Tab, body: &'static [u8]) -> RequestId {
    tab.ask(|client, now| client.send(now, "q", &[item(body)], None)).expect("taken")
}

fn frame(sequence: u64, refusals_seen: u64, body: &'static [u8]) -> Frame<'static> {
    Frame::Send {
        sequence: Sequence(sequence),
        queue: "q",
        refusals_seen: Sequence(refusals_seen),
        durability: None,
        items: vec![item(body)],
    }
}

fn sent(request: RequestId, sequence: u64) -> Event {
    let duplicates = Vec::new();
    Event::Sent { request, lane: LANE, sequence: Sequence(sequence), duplicates }
}

fn failed(request: RequestId, code: Code, maybe_executed: bool) -> impl Fn(&Event) -> bool {
    move |event| {
        matches!(event, Event::Failed { request: id, code: with, maybe_executed: maybe, .. }
            if (*id, *with, *maybe) == (request, code, maybe_executed))
    }
}

#[test]
fn sends_are_numbered_in_order_and_confirmed_together() {
    let mut tab = Tab::open();
    let requests = [send(&mut tab, b"a"), send(&mut tab, b"b"), send(&mut tab, b"c")];
    assert_eq!(tab.frames(), [frame(1, 0, b"a"), frame(2, 0, b"b"), frame(3, 0, b"c")]);
    tab.node(&[Frame::Sent { position: Sequence(2) }]);
    assert_eq!(tab.events(), [sent(requests[0], 1), sent(requests[1], 2)]);
    tab.node(&[Frame::Sent { position: Sequence(3) }]);
    assert_eq!(tab.events(), [sent(requests[2], 3)]);
    assert!(tab.client.is_idle());
}

#[test]
fn sends_before_the_first_welcome_wait_and_keep_their_order() {
    let mut tab = Tab::dialing(config());
    send(&mut tab, b"a");
    send(&mut tab, b"b");
    tab.frames();
    tab.welcome(Welcome { position: Sequence(10), ..first_welcome() });
    assert_eq!(tab.frames(), [frame(11, 0, b"a"), frame(12, 0, b"b")]);
}

#[test]
fn what_has_no_answer_is_sent_again_in_order_with_the_same_numbers() {
    let mut tab = Tab::open();
    send(&mut tab, b"a");
    let asked = tab.ask(|client, now| client.inspect(now, "q")).expect("asked");
    send(&mut tab, b"b");
    send(&mut tab, b"c");
    tab.node(&[Frame::Sent { position: Sequence(1) }]);
    tab.forget();
    let hello = tab.lose_link();
    assert_eq!((hello.confirmed, hello.floor), (Sequence(1), Sequence(2)));
    let late = send(&mut tab, b"d");
    tab.welcome(resumed_at(2));
    let inspect = Frame::Inspect { request: asked, queue: "q" };
    assert_eq!(tab.frames(), [inspect, frame(2, 0, b"b"), frame(3, 0, b"c"), frame(4, 0, b"d")]);
    tab.events();
    tab.node(&[Frame::Sent { position: Sequence(4) }]);
    assert_eq!(tab.events().last(), Some(&sent(late, 4)));
}

#[test]
fn a_refusal_fails_one_send_and_later_ones_say_that_it_is_known() {
    let mut tab = Tab::open();
    let requests = [send(&mut tab, b"a"), send(&mut tab, b"b")];
    tab.frames();
    let refused =
        Frame::SendRefused { sequence: Sequence(1), code: Code::Full, reason: "messages_max" };
    tab.node(&[refused, Frame::Sent { position: Sequence(1) }]);
    let reason = "messages_max".to_string();
    let request = requests[0];
    let expected = Event::Failed { request, code: Code::Full, reason, maybe_executed: false };
    assert_eq!(tab.events(), [expected]);
    send(&mut tab, b"c");
    assert_eq!(tab.frames(), [frame(3, 1, b"c")]);
    tab.node(&[Frame::Sent { position: Sequence(3) }]);
    assert_eq!(tab.events().len(), 2);
}

#[test]
fn a_send_says_only_the_refusals_that_were_known_when_it_was_asked_for() {
    let mut tab = Tab::open();
    send(&mut tab, b"a");
    send(&mut tab, b"b");
    let refused = Frame::SendRefused { sequence: Sequence(1), code: Code::Full, reason: "" };
    tab.node(&[refused, Frame::Sent { position: Sequence(1) }]);
    tab.forget();
    tab.lose_link();
    tab.welcome(resumed_at(1));
    assert_eq!(tab.frames(), [frame(2, 0, b"b")]);
}

#[test]
fn a_send_that_was_resent_is_confirmed_only_once_it_is_out_on_the_link() {
    let mut config = config();
    config.limits.window_bytes_max = 20_000;
    let mut tab = Tab::open_with(config);
    let body: &'static [u8] = vec![0; 12_000].leak();
    let first = send(&mut tab, body);
    let second = send(&mut tab, body);
    assert_eq!(tab.frames().len(), 1, "the second waits for room");
    tab.node(&[Frame::Sent { position: Sequence(1) }]);
    assert_eq!(tab.events(), [sent(first, 1)]);
    assert_eq!(tab.frames().len(), 1);
    tab.node(&[Frame::Sent { position: Sequence(2) }]);
    assert_eq!(tab.events(), [sent(second, 2)]);
}

#[test]
fn a_lost_lane_puts_sent_ones_in_doubt_and_numbers_the_others_anew() {
    let mut config = config();
    config.limits.window_bytes_max = 20_000;
    let mut tab = Tab::open_with(config);
    let body: &'static [u8] = vec![0; 12_000].leak();
    let out = send(&mut tab, body);
    send(&mut tab, body);
    tab.lose_link();
    tab.forget();
    tab.welcome(Welcome { lane: LaneId(8), ..first_welcome() });
    assert_eq!(tab.frames(), [frame(1, 0, body)]);
    let events = tab.events();
    assert!(matches!(events[0], Event::Ready { resumed: false, .. }));
    assert!(failed(out, Code::Unavailable, true)(&events[1]));
    assert_eq!(events.len(), 2);
}

#[test]
fn a_rollback_is_told() {
    let mut tab = Tab::open();
    send(&mut tab, b"a");
    send(&mut tab, b"b");
    tab.node(&[Frame::Sent { position: Sequence(2) }]);
    assert_eq!(tab.lose_link().confirmed, Sequence(2));
    tab.forget();
    let kept = Some(Sequence(1));
    tab.welcome(Welcome { lane: LaneId(8), rolled_back: true, kept, ..first_welcome() });
    let events = tab.events();
    let (confirmed, position) = (Sequence(2), Sequence(1));
    assert_eq!(events[1], Event::RolledBack { confirmed, position });
    tab.forget();
    assert_eq!(tab.lose_link().confirmed, Sequence(0));
}

#[test]
fn a_node_that_confirms_what_was_never_sent_is_hung_up() {
    for frame in [
        Frame::Sent { position: Sequence(1) },
        Frame::SendRefused { sequence: Sequence(1), code: Code::Full, reason: "" },
        Frame::Duplicates { sequence: Sequence(1), items: Vec::new() },
    ] {
        let mut tab = Tab::open();
        tab.node(&[frame]);
        assert_eq!(tab.frames(), [Frame::Hangup { code: Code::Protocol }]);
    }
}

#[test]
fn a_repeated_confirmation_changes_nothing() {
    let mut tab = Tab::open();
    let request = send(&mut tab, b"a");
    tab.node(&[Frame::Sent { position: Sequence(1) }, Frame::Sent { position: Sequence(1) }]);
    assert_eq!(tab.events(), [sent(request, 1)]);
    assert!(tab.client.is_open());
}

#[test]
fn declare_and_inspect_are_answered() {
    let mut tab = Tab::open();
    let options = QueueOptions { lease_ms: Some(5), ..QueueOptions::default() };
    let declared = tab.ask(|client, now| client.declare(now, "q", options.clone())).expect("asked");
    let inspected = tab.ask(|client, now| client.inspect(now, "r")).expect("asked");
    assert_eq!(
        tab.frames(),
        [
            Frame::Declare { request: declared, queue: "q", options },
            Frame::Inspect { request: inspected, queue: "r" },
        ]
    );
    let state = QueueCounts { ready: 3, ..QueueCounts::default() };
    let code = Code::NotFound;
    tab.node(&[
        Frame::QueueState { request: declared, state, policy: None },
        Frame::RequestRefused { request: inspected, code, reason: "r" },
        Frame::QueueState { request: inspected, state, policy: None },
    ]);
    let events = tab.events();
    assert_eq!(events[0], Event::QueueState { request: declared, state, policy: None });
    assert!(failed(inspected, code, false)(&events[1]));
    assert_eq!(events.len(), 2, "answered once");
}

#[test]
fn sends_are_bounded_in_number_and_bytes() {
    let mut config = config();
    config.limits.requests_max = 2;
    config.limits.request_bytes_max = 100;
    let mut tab = Tab::dialing(config);
    let refused = |tab: &mut Tab, body: &[u8]| {
        tab.ask(|client, now| client.send(now, "q", &[item(body)], None)).err()
    };
    let refusal = refused(&mut tab, &[0; 100]).expect("too many bytes");
    assert_eq!((refusal.code, refusal.reason), (Code::Full, "request_bytes_max"));
    send(&mut tab, b"a");
    send(&mut tab, b"b");
    let refusal = refused(&mut tab, b"c").expect("too many");
    assert_eq!((refusal.code, refusal.reason), (Code::Full, "requests_max"));
    tab.welcome(first_welcome());
    tab.node(&[Frame::Sent { position: Sequence(2) }]);
    send(&mut tab, b"d");
}

#[test]
fn a_send_is_checked_before_it_is_taken() {
    let mut tab = Tab::open();
    let mut code = |items: &[tabmq::wire::frame::Item<'_>]| {
        tab.ask(|client, now| client.send(now, "q", items, None)).expect_err("refused").reason
    };
    assert_eq!(code(&[]), "items");
    assert_eq!(code(&vec![item(b""); 1001]), "batch_items_max");
    let long = vec![0; (1 << 20) + 1];
    assert_eq!(code(&[item(&long)]), "body_bytes_max");
    let properties = vec![0; (16 << 10) + 1];
    let with = tabmq::wire::frame::Item { properties: Some(&properties), ..item(b"") };
    assert_eq!(code(&[with]), "headers_bytes_max");
    assert_eq!(code(&vec![item(&long[1..]); 8]), "link_bytes_max");
}

#[test]
fn the_bound_of_the_node_counts_too() {
    let mut tab = Tab::dialing(config());
    tab.welcome(Welcome { body_bytes_max: 10, ..first_welcome() });
    let refused =
        tab.ask(|client, now| client.send(now, "q", &[item(&[0; 11])], None)).expect_err("refused");
    assert_eq!((refused.code, refused.reason), (Code::TooLarge, "body_bytes_max"));
}

#[test]
fn a_cancelled_request_is_done_but_not_told() {
    let mut tab = Tab::open();
    let request = send(&mut tab, b"a");
    tab.ask(|client, now| client.cancel_request(now, request));
    tab.forget();
    tab.lose_link();
    tab.welcome(resumed_at(0));
    assert_eq!(tab.frames(), [frame(1, 0, b"a")]);
    tab.events();
    tab.node(&[Frame::Sent { position: Sequence(1) }]);
    assert_eq!(tab.events(), []);
    assert!(tab.client.is_idle());
}

#[test]
fn flush_waits_for_what_was_asked_before_it() {
    let mut tab = Tab::open();
    let empty = tab.ask(|client, now| client.flush(now)).expect("taken");
    assert_eq!(tab.events(), [Event::Flushed { request: empty }]);
    send(&mut tab, b"a");
    let inspected = tab.ask(|client, now| client.inspect(now, "q")).expect("asked");
    let flush = tab.ask(|client, now| client.flush(now)).expect("taken");
    send(&mut tab, b"b");
    let state = QueueCounts::default();
    tab.node(&[Frame::QueueState { request: inspected, state, policy: None }]);
    assert!(!tab.events().contains(&Event::Flushed { request: flush }));
    tab.node(&[Frame::Sent { position: Sequence(1) }]);
    assert_eq!(tab.events().last(), Some(&Event::Flushed { request: flush }));
}

#[test]
fn sends_end_in_their_order_whatever_comes_of_each() {
    let mut tab = Tab::open();
    let requests = [send(&mut tab, b"a"), send(&mut tab, b"b"), send(&mut tab, b"c")];
    tab.node(&[Frame::SendRefused { sequence: Sequence(2), code: Code::Full, reason: "" }]);
    assert_eq!(tab.events(), [], "the first has no answer");
    tab.node(&[Frame::Sent { position: Sequence(3) }]);
    let events = tab.events();
    assert_eq!(events[0], sent(requests[0], 1));
    assert!(failed(requests[1], Code::Full, false)(&events[1]));
    assert_eq!(events[2], sent(requests[2], 3));
}

#[test]
fn a_refusal_that_no_node_could_write_down_is_forgotten_when_the_send_goes_out_again() {
    let mut tab = Tab::open();
    let requests = [send(&mut tab, b"a"), send(&mut tab, b"b")];
    for sequence in [Sequence(1), Sequence(2)] {
        tab.node(&[Frame::SendRefused { sequence, code: Code::Storage, reason: "quota" }]);
    }
    tab.lose_link();
    tab.forget();
    tab.welcome(resumed_at(1));
    tab.node(&[Frame::Sent { position: Sequence(2) }]);
    let events = tab.events();
    assert!(failed(requests[0], Code::Storage, false)(&events[1]), "what a node has as refused");
    assert_eq!(events[2], sent(requests[1], 2), "what the next one stored");
}

#[test]
fn a_refusal_that_was_told_with_the_lane_lost_is_no_doubt() {
    let mut tab = Tab::open();
    let (first, second) = (send(&mut tab, b"a"), send(&mut tab, b"b"));
    tab.node(&[Frame::SendRefused { sequence: Sequence(1), code: Code::Full, reason: "" }]);
    tab.lose_link();
    tab.forget();
    tab.welcome(Welcome { lane: LaneId(8), ..first_welcome() });
    let events = tab.events();
    assert!(failed(first, Code::Full, false)(&events[1]));
    assert!(failed(second, Code::Unavailable, true)(&events[2]));
}

#[test]
fn duplicates_are_told_with_their_send_and_known_to_later_ones() {
    let mut tab = Tab::open();
    let request = send(&mut tab, b"a");
    let items = vec![Duplicate { index: 0, number: MessageNumber(7) }];
    tab.node(&[Frame::Duplicates { sequence: Sequence(1), items: items.clone() }]);
    assert_eq!(tab.events(), []);
    tab.node(&[Frame::Sent { position: Sequence(1) }]);
    let (lane, sequence) = (LANE, Sequence(1));
    assert_eq!(tab.events(), [Event::Sent { request, lane, sequence, duplicates: items }]);
    tab.frames();
    send(&mut tab, b"b");
    assert_eq!(tab.frames(), [frame(2, 1, b"b")]);
}

#[test]
fn how_many_items_may_be_under_way_is_asked_for_on_each_link() {
    let mut tab = Tab::open();
    tab.ask(|client, now| client.set_ingest(now, true));
    tab.ask(|client, now| client.set_ingest(now, true));
    assert_eq!(tab.frames(), [Frame::Ingest { on: true }]);
    tab.node(&[Frame::Window { items: 256 }]);
    assert_eq!(tab.events(), [Event::Window { items: 256 }]);
    tab.lose_link();
    tab.welcome(resumed_at(0));
    assert_eq!(tab.frames(), [Frame::Ingest { on: true }]);
    tab.ask(|client, now| client.set_ingest(now, false));
    assert_eq!(tab.frames(), [Frame::Ingest { on: false }]);
}

#[cfg(feature = "sim")]
#[test]
fn without_its_rule_nothing_is_sent_again() {
    let rules = tabmq::rules::Rules::without("resend_after_resume").expect("a rule");
    let mut tab = Tab::open_with(tabmq::client::ClientConfig { rules, ..config() });
    send(&mut tab, b"a");
    tab.forget();
    tab.lose_link();
    tab.welcome(resumed_at(0));
    send(&mut tab, b"b");
    assert_eq!(tab.frames(), [frame(2, 0, b"b")]);
}
