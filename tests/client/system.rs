//! Topics of the system, and redrives, as a tab sees them.

use tabmq::client::io::Event;
use tabmq::error::Code;
use tabmq::id::{ClientId, PublishNumber};
use tabmq::wire::Frame;
use tabmq::wire::frame::{Live, Redrive};

use crate::harness::{OTHER, Tab, resumed_at};

const TOPIC: &str = "$tabmq.queue.full.jobs";

fn live(publisher: ClientId) -> Live<'static> {
    let number = PublishNumber(1);
    Live { publisher, number, index: 0, topic: TOPIC, body: b"\xa0", properties: None }
}

#[test]
fn who_listens_to_the_system_is_alone_in_a_group() {
    let mut tab = Tab::open();
    let subscription =
        tab.ask(|client, now| client.subscribe(now, "$tabmq.#", None)).expect("subscribes");
    let join = Frame::JoinGroup { subscription, filter: "$tabmq.#", group: "" };
    assert_eq!(tab.frames(), core::slice::from_ref(&join));
    tab.node(&[Frame::GroupJoined { subscription, refused: None }]);
    tab.node(&[Frame::GroupMessage { subscription, live: live(ClientId([0; 16])) }]);
    let events = tab.events();
    assert!(matches!(
        &events[..],
        [Event::Subscribed { .. }, Event::Live { topic, .. }] if topic == TOPIC
    ));
    tab.lose_link();
    tab.welcome(resumed_at(0));
    assert!(tab.frames().contains(&join));
}

#[test]
fn nobody_but_the_node_speaks_there() {
    let mut tab = Tab::open();
    let refused = tab.ask(|client, now| client.publish(now, TOPIC, b"x", None)).unwrap_err();
    assert_eq!((refused.code, refused.reason), (Code::Invalid, "topic"));
    tab.ask(|client, now| client.subscribe(now, "$tabmq.#", None)).expect("subscribes");
    tab.ask(|client, now| client.subscribe(now, "#", None)).expect("subscribes");
    tab.forget();
    tab.hear(live(OTHER));
    assert_eq!(tab.events(), []);
}

#[test]
fn a_redrive_is_asked_for_until_it_is_counted_and_then_forgotten() {
    let mut tab = Tab::open();
    let redrive = || Redrive { queue: Some("q.dead"), ..Redrive::default() };
    let request = tab.ask(|client, now| client.redrive(now, &redrive())).expect("taken");
    let asked = Frame::Redrive { request, redrive: redrive() };
    assert_eq!(tab.frames(), core::slice::from_ref(&asked));
    tab.lose_link();
    tab.welcome(resumed_at(0));
    assert!(tab.frames().contains(&asked));
    tab.forget();
    tab.node(&[Frame::Counted { request, count: 3 }]);
    assert_eq!(tab.events(), [Event::Counted { request, count: 3 }]);
    assert_eq!(tab.frames(), [Frame::EndRedrive { request }]);
    // A link later nothing of it is left.
    tab.lose_link();
    tab.welcome(resumed_at(0));
    let names_it =
        |frame: &Frame<'_>| matches!(frame, Frame::Redrive { .. } | Frame::EndRedrive { .. });
    assert!(!tab.frames().iter().any(names_it));
}

#[test]
fn a_redrive_that_nobody_waits_for_is_ended_now_or_on_the_next_link() {
    for linked in [true, false] {
        let mut tab = Tab::open();
        let redrive = Redrive { queue: Some("q.dead"), ..Redrive::default() };
        let request = tab.ask(|client, now| client.redrive(now, &redrive)).expect("taken");
        tab.forget();
        if !linked {
            tab.lose_link();
        }
        tab.ask(|client, now| client.cancel_request(now, request));
        if !linked {
            tab.welcome(resumed_at(0));
        }
        let frames = tab.frames();
        assert!(frames.contains(&Frame::EndRedrive { request }));
        assert!(!frames.iter().any(|frame| matches!(frame, Frame::Redrive { .. })));
        tab.node(&[Frame::Counted { request, count: 3 }]);
        assert!(!tab.events().iter().any(|event| matches!(event, Event::Counted { .. })));
        assert!(tab.ask(|client, _| client.is_idle()));
    }
}

#[test]
fn bad_redrives_are_refused_at_once() {
    let mut tab = Tab::open();
    let ask = |tab: &mut Tab, redrive: Redrive<'static>| {
        tab.ask(|client, now| client.redrive(now, &redrive)).map_err(|refused| refused.code)
    };
    assert_eq!(ask(&mut tab, Redrive::default()), Err(Code::Invalid));
    let nameless = Redrive { queue: Some(""), ..Redrive::default() };
    assert_eq!(ask(&mut tab, nameless), Err(Code::Invalid));
    let good = || Redrive { queue: Some("q.dead"), ..Redrive::default() };
    for _ in 0..16 {
        assert!(ask(&mut tab, good()).is_ok());
    }
    assert_eq!(ask(&mut tab, good()), Err(Code::Full));
}
