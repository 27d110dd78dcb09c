//! Prepared messages of a client: decided about by their ids, and asked about.

use tabmq::cbor;
use tabmq::client::io::{Event, Handle};
use tabmq::error::{Code, Refused};
use tabmq::id::{CheckerId, LaneId, MessageNumber, Sequence};
use tabmq::time::UnixMillis;
use tabmq::wire::Frame;
use tabmq::wire::frame::{Item, Prepare, QueueMessage, QueuePlace};

use crate::harness::{Tab, item, resumed_at};

fn asked() -> QueueMessage<'static> {
    QueueMessage {
        number: MessageNumber(9),
        place: QueuePlace::Prepared,
        attempts: 1,
        lane: LaneId(3),
        sequence: Sequence(4),
        index: 0,
        stored_at: UnixMillis(5),
        due_at: None,
        body_bytes: 1,
        body: b"x",
        properties: None,
        dead_reason: None,
        deaths: None,
        expires_at: None,
        sender: None,
        priority: None,
    }
}

#[test]
fn a_prepare_is_a_send_and_a_decision_stands_among_the_sends_until_it_is_answered() {
    let mut tab = Tab::open();
    tab.ask(|client, now| client.prepare(now, "q", &item(b"a"), Some(7), None)).expect("takes it");
    let request = tab.ask(|client, now| client.decide(now, "q", "1-1-0", true, None));
    let request = request.expect("takes it");
    tab.ask(|client, now| client.send(now, "q", &[item(b"b")], None)).expect("takes it");
    let send = |sequence, item| Frame::Send {
        sequence: Sequence(sequence),
        queue: "q",
        refusals_seen: Sequence(0),
        durability: None,
        items: vec![item],
    };
    let prepare = Some(Prepare { check_after_ms: Some(7) });
    let first = send(1, Item { prepare, ..item(b"a") });
    let (queue, id, commit, durability) = ("q", "1-1-0", true, None);
    let decide = Frame::Decide { request, queue, id, commit, durability };
    let last = send(2, item(b"b"));
    assert_eq!(tab.frames(), [first, decide.clone(), last.clone()]);
    tab.node(&[Frame::Sent { position: Sequence(1) }]);
    tab.events();
    tab.lose_link();
    tab.welcome(resumed_at(1));
    tab.events();
    let again = tab.frames();
    assert!(again.windows(2).any(|pair| *pair == [decide.clone(), last.clone()]), "{again:?}");
    tab.node(&[Frame::Counted { request, count: 4 }]);
    assert_eq!(tab.events(), [Event::Counted { request, count: 4 }]);
}

#[test]
fn a_decision_that_went_the_other_way_fails() {
    let mut tab = Tab::open();
    let request = tab.ask(|client, now| client.decide(now, "q", "x", true, None));
    let request = request.expect("takes it");
    let (code, reason) = (Code::Discarded, "rollback");
    tab.node(&[Frame::RequestRefused { request, code, reason }]);
    let maybe_executed = false;
    let failed = Event::Failed { request, code, reason: reason.to_string(), maybe_executed };
    assert_eq!(tab.events(), [failed]);
    let unnamed = tab.ask(|client, now| client.decide(now, "", "x", true, None));
    assert_eq!(unnamed.map_err(|refused| refused.code), Err(Code::Invalid));
    let long = "x".repeat(20_000);
    let refused = tab.ask(|client, now| client.decide(now, "q", &long, true, None));
    assert_eq!(refused, Err(Refused::new(Code::TooLarge, "id")));
}

#[test]
fn a_checker_is_declared_on_each_link_and_asked_until_it_ends() {
    let mut tab = Tab::open();
    let checker = tab.ask(|client, now| client.check(now, "q")).expect("takes it");
    let declared = Frame::Checker { checker, queue: Some("q") };
    assert_eq!(tab.frames(), std::slice::from_ref(&declared));
    let check = |message, refused| Frame::Check { checker, message, refused };
    tab.node(&[check(None, None), check(Some(asked()), None)]);
    let mut message = Vec::new();
    cbor::encode(&asked(), &mut message);
    let taken = Event::Check { checker, message: None };
    assert_eq!(tab.events(), [taken, Event::Check { checker, message: Some(message) }]);
    tab.lose_link();
    tab.welcome(resumed_at(0));
    tab.events();
    assert!(tab.frames().contains(&declared));
    // It is told once that it takes effect.
    tab.node(&[check(None, None)]);
    assert_eq!(tab.events(), []);
    tab.ask(|client, now| client.end_check(now, checker));
    assert_eq!(tab.frames(), [Frame::Checker { checker, queue: None }]);
    tab.node(&[check(Some(asked()), None)]);
    assert_eq!(tab.events(), []);
    tab.ask(|client, now| client.end_check(now, CheckerId(77)));
    assert_eq!(tab.frames(), []);
}

#[test]
fn a_checker_that_the_node_refuses_is_over() {
    let mut tab = Tab::open();
    let checker = tab.ask(|client, now| client.check(now, "q")).expect("takes it");
    assert_eq!(tab.frames().len(), 1);
    tab.node(&[Frame::Check { checker, message: None, refused: Some(Code::Full) }]);
    let (handle, code) = (Handle::Checker(checker), Code::Full);
    assert_eq!(tab.events(), [Event::HandleRefused { handle, code }]);
    tab.lose_link();
    tab.welcome(resumed_at(0));
    tab.events();
    assert!(!tab.frames().iter().any(|frame| matches!(frame, Frame::Checker { .. })));
}
