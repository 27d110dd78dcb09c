//! Schedules of a client: ordered in the order of its sends, listed and ended.

use tabmq::cbor;
use tabmq::client::io::Event;
use tabmq::error::{Code, Refused};
use tabmq::id::{MessageNumber, Sequence};
use tabmq::wire::Frame;
use tabmq::wire::frame::{ScheduleEntry, Scheduling, When};

use crate::harness::{Tab, item, resumed_at};

const EVERY: When<'_> = When::Every { every_ms: 60_000 };

fn scheduling() -> Scheduling<'static> {
    Scheduling { key: "k", when: EVERY, item: item(b"x"), latest: None }
}

fn frame(sequence: u64) -> Frame<'static> {
    let (sequence, queue, refusals_seen) = (Sequence(sequence), "q", Sequence(0));
    Frame::Schedule { sequence, queue, refusals_seen, durability: None, scheduling: scheduling() }
}

#[test]
fn an_order_has_a_number_of_the_lane_and_is_said_again_until_it_is_answered() {
    let mut tab = Tab::open();
    let sent = tab.ask(|client, now| client.send(now, "q", &[item(b"a")], None)).expect("takes it");
    let request = tab.ask(|client, now| client.schedule(now, "q", &scheduling(), None));
    let request = request.expect("takes it");
    assert_eq!(tab.frames()[1], frame(2));
    tab.lose_link();
    tab.welcome(resumed_at(1));
    tab.events();
    assert_eq!(tab.frames().last(), Some(&frame(2)));
    tab.node(&[Frame::Sent { position: Sequence(2) }]);
    let told = tab.events();
    let requests = told.iter().filter_map(|event| match event {
        Event::Sent { request, .. } => Some(*request),
        _ => None,
    });
    assert_eq!(requests.collect::<Vec<_>>(), [sent, request]);
}

#[test]
fn lists_and_ends_are_questions() {
    let mut tab = Tab::open();
    let request = tab.ask(|client, now| client.list_schedules(now, "q", Some("j")));
    let request = request.expect("takes it");
    assert_eq!(tab.frames(), [Frame::ListSchedules { request, queue: "q", after: Some("j") }]);
    let number = MessageNumber(9);
    let entry =
        ScheduleEntry { key: "k", number, when: EVERY, due_at: None, last: None, latest: None };
    tab.node(&[Frame::ScheduleList { request, schedules: vec![entry], more: true }]);
    let mut page = Vec::new();
    cbor::encode(&vec![entry], &mut page);
    assert_eq!(tab.events(), [Event::Listed { request, page, more: true }]);
    let request = tab.ask(|client, now| client.unschedule(now, "q", number)).expect("takes it");
    assert_eq!(tab.frames(), [Frame::Unschedule { request, queue: "q", number }]);
    tab.node(&[Frame::Counted { request, count: 1 }]);
    assert_eq!(tab.events(), [Event::Counted { request, count: 1 }]);
}

#[test]
fn what_is_too_long_or_has_no_name_is_refused_at_once() {
    let mut tab = Tab::open();
    let body = vec![0; 2 << 20];
    let long = Scheduling { item: item(&body), ..scheduling() };
    let refused = tab.ask(|client, now| client.schedule(now, "q", &long, None));
    assert_eq!(refused, Err(Refused::new(Code::TooLarge, "body_bytes_max")));
    let unnamed = tab.ask(|client, now| client.schedule(now, "", &scheduling(), None));
    assert_eq!(unnamed.map_err(|refused| refused.code), Err(Code::Invalid));
    let unnamed = tab.ask(|client, now| client.list_schedules(now, "", None));
    assert_eq!(unnamed.map_err(|refused| refused.code), Err(Code::Invalid));
    assert_eq!(tab.frames(), []);
}
