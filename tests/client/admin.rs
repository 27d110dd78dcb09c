//! Lists, policies and watches of a client.

use tabmq::cbor;
use tabmq::client::io::{Event, Handle};
use tabmq::error::Code;
use tabmq::id::WatchId;
use tabmq::options::QueueOptions;
use tabmq::time::UnixMillis;
use tabmq::wire::Frame;
use tabmq::wire::frame::{Policy, QueueCounts, QueueEntry, QueueStats};

use crate::harness::{Tab, config, resumed_at};

const AT: UnixMillis = UnixMillis(9);

fn watching() -> (Tab, WatchId) {
    let mut tab = Tab::open();
    let watch = tab.ask(|client, now| client.watch_queue(now, "q")).expect("watches");
    assert_eq!(tab.frames(), [Frame::WatchQueue { watch, queue: "q" }]);
    (tab, watch)
}

fn told(watch: WatchId, ready: u64) -> (Frame<'static>, Event) {
    let state = QueueCounts { ready, ..QueueCounts::default() };
    let stats = Some(QueueStats { state, bytes: 3, oldest_at: None });
    let frame = Frame::QueueStats { watch, at: AT, stats, refused: None };
    (frame, Event::QueueStats { watch, at: AT, stats })
}

#[test]
fn a_watch_is_said_again_on_each_link_until_it_ends() {
    let (mut tab, watch) = watching();
    let (frame, event) = told(watch, 1);
    tab.node(&[frame]);
    assert_eq!(tab.events(), [event]);
    tab.lose_link();
    tab.welcome(resumed_at(0));
    tab.events();
    assert_eq!(tab.frames(), [Frame::WatchQueue { watch, queue: "q" }]);
    tab.ask(|client, now| client.unwatch_queue(now, watch));
    tab.ask(|client, now| client.unwatch_queue(now, watch));
    assert_eq!(tab.frames(), [Frame::UnwatchQueue { watch }]);
    let (late, _) = told(watch, 2);
    tab.node(&[late]);
    assert_eq!(tab.events(), [], "nobody watches");
    tab.lose_link();
    tab.welcome(resumed_at(0));
    assert_eq!(tab.frames(), []);
}

#[test]
fn a_watch_that_the_node_refuses_is_over() {
    let (mut tab, watch) = watching();
    let refused = Some(Code::Full);
    tab.node(&[Frame::QueueStats { watch, at: AT, stats: None, refused }]);
    let handle = Handle::Watch(watch);
    assert_eq!(tab.events(), [Event::HandleRefused { handle, code: Code::Full }]);
    tab.lose_link();
    tab.welcome(resumed_at(0));
    assert_eq!(tab.frames(), []);
}

#[test]
fn what_can_not_be_asked_is_refused_at_once() {
    let mut config = config();
    config.limits.handles_max = 1;
    let mut tab = Tab::open_with(config);
    let code = |result: Result<WatchId, tabmq::error::Refused>| result.err().map(|r| r.code);
    assert_eq!(code(tab.ask(|c, now| c.watch_queue(now, ""))), Some(Code::Invalid));
    assert_eq!(code(tab.ask(|c, now| c.watch_queue(now, "a"))), None);
    assert_eq!(code(tab.ask(|c, now| c.watch_queue(now, "b"))), Some(Code::Full));
    tab.frames();
    let policy =
        |pattern| Policy { name: "p", pattern, priority: 0, options: QueueOptions::default() };
    let refused = [
        tab.ask(|c, now| c.list_queues(now, None, Some("a..b"))),
        tab.ask(|c, now| c.set_policy(now, "", None)),
        tab.ask(|c, now| c.set_policy(now, "p", Some(policy("")))),
        tab.ask(|c, now| c.trace(now, "", true)),
    ];
    for result in refused {
        assert_eq!(result.err().map(|refused| refused.code), Some(Code::Invalid));
    }
    assert_eq!(tab.frames(), []);
}

#[test]
fn lists_come_as_they_are_and_once() {
    let mut tab = Tab::open();
    let request = tab.ask(|c, now| c.list_queues(now, Some("a"), Some("#"))).expect("asks");
    let asked = Frame::ListQueues { request, after: Some("a"), filter: Some("#") };
    assert_eq!(tab.frames(), core::slice::from_ref(&asked));
    tab.lose_link();
    tab.welcome(resumed_at(0));
    tab.events();
    assert_eq!(tab.frames(), [asked]);
    let queues = vec![QueueEntry {
        name: "b",
        state: QueueCounts::default(),
        bytes: 0,
        options: QueueOptions::default(),
        owner: None,
        paused_until: None,
        policy: None,
        traced: None,
    }];
    let mut page = Vec::new();
    cbor::encode(&queues, &mut page);
    let list = Frame::QueueList { request, queues, more: true };
    tab.node(&[list.clone(), list]);
    assert_eq!(tab.events(), [Event::Listed { request, page, more: true }]);
}
