//! A client that belongs to a log, and to a user of its hub.

use tabmq::client::io::Event;
use tabmq::error::Code;
use tabmq::id::LogId;
use tabmq::options::Durability;
use tabmq::wire::Frame;
use tabmq::wire::frame::{GrantReport, StorageReport, Welcome};

use crate::harness::{LOG, Tab, config, epoch, first_welcome, item};

const FOREIGN: LogId = LogId([8; 16]);

fn of(user: &str) -> Welcome {
    let grant = Some(GrantReport { user: user.into(), ends_in_ms: Some(5000) });
    Welcome { grant, ..first_welcome() }
}

fn foreign() -> Welcome {
    Welcome { log: FOREIGN, ..first_welcome() }
}

/// A client that writes sends down and belongs there, with one send.
fn bound(log: Option<LogId>, user: Option<&str>) -> Tab {
    let mut tab = Tab::dialing(config());
    tab.ask(|client, now| {
        client.keep_sends(now);
        client.bind(now, log, user.map(Into::into));
    });
    tab.ask(|client, now| client.send(now, "q", &[item(b"x")], None)).expect("taken");
    tab.forget();
    tab
}

/// What is told is written down. True if anything was.
fn write_down(tab: &mut Tab, events: &[Event]) -> bool {
    let told = events.iter().filter_map(|event| match event {
        Event::Keep { request, .. } => Some(*request),
        _ => None,
    });
    told.map(|request| tab.ask(|client, now| client.kept(now, request))).count() > 0
}

/// How many sends go out once all that is told is written down.
fn sends(tab: &mut Tab) -> usize {
    loop {
        let events = tab.events();
        if !write_down(tab, &events) {
            break;
        }
    }
    tab.frames().iter().filter(|frame| matches!(frame, Frame::Send { .. })).count()
}

fn dial_again(tab: &mut Tab) {
    tab.pass_ms(5000);
    tab.forget();
}

#[test]
fn the_first_log_that_outlives_its_host_is_the_one() {
    let mut tab = bound(None, None);
    tab.welcome(first_welcome());
    let told = tab.events().into_iter().find(|event| matches!(event, Event::Bound { .. }));
    assert_eq!(told, Some(Event::Bound { log: Some(LOG), user: None }));
    assert_eq!(sends(&mut tab), 1);
}

#[test]
fn nobody_belongs_to_a_log_in_memory() {
    let mut tab = bound(None, None);
    let storage =
        StorageReport { persistent: false, fenced: false, durability_max: Durability::Memory };
    tab.welcome(Welcome { storage, ..first_welcome() });
    assert_eq!(sends(&mut tab), 1);
    assert!(!tab.events().iter().any(|event| matches!(event, Event::Bound { .. })));
    tab.lose_link();
    tab.forget();
    tab.welcome(Welcome { storage, ..foreign() });
    assert!(tab.client.is_open());
}

#[test]
fn a_foreign_log_gets_nothing_and_is_told_until_it_is_taken() {
    let mut tab = bound(Some(LOG), None);
    for _ in 0..3 {
        tab.welcome(foreign());
        assert!(!tab.client.is_open());
        assert_eq!(tab.frames(), [Frame::Goodbye { park: false }]);
        let told = Event::ForeignLog { epoch: epoch(1), bound: LOG, found: FOREIGN };
        let events = tab.events();
        assert!(events.contains(&told));
        write_down(&mut tab, &events);
        dial_again(&mut tab);
    }
    tab.ask(|client, now| client.bind(now, Some(FOREIGN), None));
    tab.welcome(foreign());
    assert_eq!(sends(&mut tab), 1);
}

#[test]
fn the_log_that_is_meant_is_followed_after_a_foreign_one() {
    let mut tab = bound(Some(LOG), None);
    tab.welcome(foreign());
    assert_eq!(sends(&mut tab), 0);
    dial_again(&mut tab);
    tab.welcome(first_welcome());
    assert_eq!(sends(&mut tab), 1);
}

#[test]
fn a_foreign_hub_is_dialed_with_growing_pauses() {
    let mut tab = bound(Some(LOG), None);
    let mut hellos = 0;
    for _ in 0..60 {
        tab.welcome(foreign());
        tab.pass_ms(1000);
        hellos += tab.frames().iter().filter(|frame| matches!(frame, Frame::Hello(_))).count();
        tab.forget();
    }
    assert!((10..=25).contains(&hellos), "{hellos} in a minute");
}

#[test]
fn what_one_user_wrote_is_not_sent_as_another() {
    for refuse in [true, false] {
        let mut tab = bound(Some(LOG), Some("ann"));
        match refuse {
            true => tab.node(&[Frame::Hangup { code: Code::ContractMismatch }]),
            false => tab.welcome(of("eve")),
        }
        let events = tab.events();
        assert!(events.contains(&Event::AnotherUser));
        assert!(events.iter().any(|event| matches!(event, Event::Keep { .. })));
        write_down(&mut tab, &events);
        assert_eq!(sends(&mut tab), 0);
        assert!(!tab.client.is_open());
        dial_again(&mut tab);
        tab.welcome(of("ann"));
        let granted = Event::Granted { ends_in_ms: Some(5000) };
        let events = tab.events();
        assert!(events.contains(&granted));
        write_down(&mut tab, &events);
        assert_eq!(sends(&mut tab), 1);
    }
}

#[test]
fn a_hub_without_users_takes_what_a_user_wrote() {
    let mut tab = bound(Some(LOG), Some("ann"));
    tab.welcome(first_welcome());
    assert_eq!(sends(&mut tab), 1);
}

#[test]
fn another_token_goes_out_on_the_link_alone() {
    let mut tab = bound(None, None);
    tab.ask(|client, now| client.renew(now, "early"));
    assert!(!tab.frames().iter().any(|frame| matches!(frame, Frame::Renew { .. })));
    tab.welcome(of("ann"));
    tab.forget();
    tab.ask(|client, now| client.renew(now, "token"));
    assert_eq!(tab.frames(), [Frame::Renew { token: "token" }]);
    tab.node(&[Frame::Granted { ends_in_ms: None }]);
    assert_eq!(tab.events(), [Event::Granted { ends_in_ms: None }]);
}
