//! Sends that are written down, and taken up by another client.

use tabmq::client::io::{Event, Keepsake};
use tabmq::client::{ClientConfig, KeptSend, KeptWhat};
use tabmq::error::Code;
use tabmq::id::{LaneId, RequestId, Sequence};
use tabmq::wire::Frame;
use tabmq::wire::frame::Welcome;

use crate::harness::{LANE, LOG, Tab, config, first_welcome, item, resumed_at};

fn send(tab: &mut Tab, body: &'static [u8]) -> RequestId {
    tab.ask(|client, now| client.send(now, "q", &[item(body)], None)).expect("taken")
}

fn frame(sequence: u64, body: &'static [u8]) -> Frame<'static> {
    Frame::Send {
        sequence: Sequence(sequence),
        queue: "q",
        refusals_seen: Sequence(0),
        durability: None,
        items: vec![item(body)],
    }
}

/// A tab that writes down, with an open link.
fn keeping() -> Tab {
    let mut tab = Tab::open();
    tab.ask(|client, now| client.keep_sends(now));
    tab
}

/// What was to be written down since the last look: the request, its number and its bytes.
fn keeps(tab: &mut Tab) -> Vec<(RequestId, Option<u64>, Vec<u8>)> {
    let keep = |event: Event| match event {
        Event::Keep { request, send } => {
            let kept: KeptSend<'_> = tabmq::cbor::decode(&send).expect("a kept send");
            assert!(matches!(kept.what, KeptWhat::Send { queue: "q", .. }));
            let number = kept.sequence.map(|sequence| sequence.0);
            assert_eq!(kept.log, number.map(|_| LOG));
            Some((request, number, send))
        }
        _ => None,
    };
    tab.events().into_iter().filter_map(keep).collect()
}

fn let_go(request: RequestId) -> Event {
    Event::LetGo { request, failed: None, in_doubt: false, heard: true }
}

fn unheard(request: RequestId) -> Event {
    Event::LetGo { request, failed: None, in_doubt: false, heard: false }
}

fn lane_lost(request: RequestId) -> Event {
    let failed = Some((Code::Unavailable, "lane_lost".to_owned()));
    Event::LetGo { request, failed, in_doubt: true, heard: false }
}

/// The bytes of a send under a number, or without one.
fn kept(sequence: Option<u64>, lane: LaneId, body: &'static [u8]) -> Vec<u8> {
    let mut items = Vec::new();
    tabmq::cbor::encode(&[item(body)][..], &mut items);
    let sequence = sequence.map(Sequence);
    let what = KeptWhat::Send { queue: "q", items: &items };
    let log = sequence.map(|_| LOG);
    let mut bytes = Vec::new();
    tabmq::cbor::encode(&KeptSend { sequence, lane, log, durability: None, what }, &mut bytes);
    bytes
}

fn take_up(tab: &mut Tab, send: &[u8]) -> RequestId {
    tab.ask(|client, now| client.take_up(now, send, false)).expect("taken up")
}

#[test]
fn only_a_send_that_stays_without_an_answer_is_written_down() {
    let mut tab = keeping();
    for number in 1..=30 {
        send(&mut tab, b"a");
        tab.pass_ms(49);
        tab.node(&[Frame::Sent { position: Sequence(number) }]);
        assert_eq!(tab.events().len(), 1, "its answer, and nothing else");
    }
    tab.pass_ms(1000);
    let late = send(&mut tab, b"b");
    tab.pass_ms(150);
    assert_eq!(keeps(&mut tab), [], "what is usual lasts longer now");
    tab.pass_ms(60);
    let keeps = keeps(&mut tab);
    assert_eq!((keeps.len(), keeps[0].0, keeps[0].1), (1, late, Some(31)));
    tab.ask(|client, now| client.kept(now, late));
    tab.node(&[Frame::Sent { position: Sequence(31) }]);
    assert_eq!(tab.events()[0], let_go(late));
}

#[test]
fn whoever_does_not_write_down_is_told_nothing() {
    let mut tab = Tab::open();
    send(&mut tab, b"a");
    tab.ask(|client, now| client.set_visible(now, false));
    tab.pass_ms(100);
    assert_eq!(keeps(&mut tab), []);
    assert_eq!(tab.client.keepsake().keeps, None);
}

#[test]
fn all_is_written_down_when_the_page_goes_out_of_view_or_sleeps() {
    let mut tab = keeping();
    let first = send(&mut tab, b"a");
    tab.ask(|client, now| client.set_visible(now, false));
    assert_eq!(keeps(&mut tab).iter().map(|keep| keep.0).collect::<Vec<_>>(), [first]);
    let second = send(&mut tab, b"b");
    tab.ask(|client, now| client.park(now));
    let keeps = keeps(&mut tab);
    assert_eq!((keeps.len(), keeps[0].0, keeps[0].1), (1, second, Some(2)));
    assert_eq!(tab.client.keepsake().keeps, Some(true));
}

#[test]
fn what_was_written_down_without_a_number_goes_out_once_its_number_is_written() {
    let mut tab = keeping();
    tab.lose_link();
    let requests = [send(&mut tab, b"a"), send(&mut tab, b"b")];
    tab.pass_ms(60);
    let unnumbered = keeps(&mut tab);
    assert_eq!(unnumbered.iter().map(|keep| keep.1).collect::<Vec<_>>(), [None, None]);
    tab.ask(|client, now| client.kept(now, requests[0]));
    let late = send(&mut tab, b"c");
    tab.forget();
    tab.welcome(resumed_at(0));
    assert_eq!(tab.frames(), [], "nothing passes them");
    let numbered = keeps(&mut tab);
    assert_eq!(numbered.iter().map(|keep| keep.1).collect::<Vec<_>>(), [Some(1), Some(2)]);
    tab.ask(|client, now| client.kept(now, requests[0]));
    assert_eq!(tab.frames(), [frame(1, b"a")]);
    tab.ask(|client, now| client.kept(now, requests[1]));
    assert_eq!(tab.frames(), [], "the first of two writes is confirmed");
    tab.ask(|client, now| client.kept(now, requests[1]));
    assert_eq!(tab.frames(), [frame(2, b"b"), frame(3, b"c")]);
    tab.node(&[Frame::Sent { position: Sequence(3) }]);
    let events = tab.events();
    assert_eq!((&events[0], &events[2]), (&let_go(requests[0]), &let_go(requests[1])));
    assert!(matches!(events[4], Event::Sent { request, .. } if request == late));
}

#[test]
fn what_a_dead_client_left_goes_on_under_its_numbers() {
    let mut tab = Tab::dialing(config());
    tab.forget();
    let sends = [kept(Some(5), LANE, b"a"), kept(Some(6), LANE, b"b"), kept(None, LaneId(0), b"c")];
    let requests = sends.map(|send| take_up(&mut tab, &send));
    let hello = tab.hello();
    assert_eq!((hello.lane, hello.log, hello.floor), (LANE, Some(LOG), Sequence(5)));
    tab.forget();
    tab.welcome(resumed_at(5));
    assert_eq!(tab.frames(), [frame(5, b"a"), frame(6, b"b")]);
    let numbered = keeps(&mut tab);
    assert_eq!((numbered.len(), numbered[0].0, numbered[0].1), (1, requests[2], Some(7)));
    tab.ask(|client, now| client.kept(now, requests[2]));
    assert_eq!(tab.frames(), [frame(7, b"c")]);
    let refusal = Frame::SendRefused { sequence: Sequence(6), code: Code::Full, reason: "rows" };
    tab.node(&[refusal, Frame::Sent { position: Sequence(7) }]);
    let failed = Some((Code::Full, "rows".to_owned()));
    let refused = Event::LetGo { request: requests[1], failed, in_doubt: false, heard: false };
    assert_eq!(tab.events(), [unheard(requests[0]), refused, unheard(requests[2])]);
    assert!(tab.client.is_idle());
}

#[test]
fn numbers_of_a_lane_that_is_lost_end_in_doubt_and_the_rest_goes_on() {
    let mut tab = Tab::dialing(config());
    tab.forget();
    let numbered = take_up(&mut tab, &kept(Some(5), LANE, b"a"));
    let fresh = take_up(&mut tab, &kept(None, LaneId(0), b"b"));
    tab.forget();
    tab.welcome(Welcome { lane: LaneId(9), ..first_welcome() });
    let mut events = tab.events();
    events.retain(|event| matches!(event, Event::LetGo { .. } | Event::Keep { .. }));
    assert_eq!(events[0], lane_lost(numbered));
    assert!(matches!(events[1], Event::Keep { request, .. } if request == fresh));
    tab.ask(|client, now| client.kept(now, fresh));
    assert_eq!(tab.frames(), [frame(1, b"b")]);
}

#[test]
fn numbers_between_those_taken_up_were_answered() {
    let mut tab = Tab::dialing(config());
    tab.forget();
    let answered = take_up(&mut tab, &kept(Some(5), LANE, b"a"));
    tab.forget();
    let open = take_up(&mut tab, &kept(Some(8), LANE, b"b"));
    assert_eq!(tab.hello().confirmed, Sequence(7));
    tab.welcome(resumed_at(7));
    assert_eq!(tab.frames().last(), Some(&frame(8, b"b")));
    tab.node(&[Frame::Sent { position: Sequence(8) }]);
    let mut events = tab.events();
    events.retain(|event| matches!(event, Event::LetGo { .. }));
    assert_eq!(events, [unheard(answered), unheard(open)]);
}

#[test]
fn numbers_that_go_back_or_are_of_an_earlier_lane_end_in_doubt() {
    let mut tab = Tab::dialing(config());
    tab.forget();
    take_up(&mut tab, &kept(Some(5), LANE, b"a"));
    for wrong in [kept(Some(5), LANE, b"b"), kept(Some(6), LaneId(6), b"c")] {
        let request = take_up(&mut tab, &wrong);
        assert_eq!(tab.events(), [lane_lost(request)]);
    }
    tab.welcome(resumed_at(4));
    tab.hello();
    assert_eq!(tab.frames().last(), Some(&frame(5, b"a")));
}

#[test]
fn of_two_lanes_the_later_one_goes_on() {
    let mut tab = Tab::dialing(config());
    tab.forget();
    // It was in doubt, and what erases it was cut off.
    let earlier = take_up(&mut tab, &kept(Some(5), LaneId(6), b"a"));
    tab.forget();
    let later = take_up(&mut tab, &kept(Some(1), LANE, b"b"));
    assert_eq!(tab.events(), [lane_lost(earlier)]);
    let hello = tab.hello();
    assert_eq!((hello.lane, hello.floor), (LANE, Sequence(1)));
    tab.forget();
    tab.welcome(resumed_at(0));
    assert_eq!(tab.frames(), [frame(1, b"b")]);
    tab.node(&[Frame::Sent { position: Sequence(1) }]);
    assert_eq!(tab.events().last(), Some(&unheard(later)));
}

#[test]
fn a_page_that_knows_of_a_later_lane_does_not_go_back() {
    let client = config().client;
    let (log, lane, position) = (Some(LOG), LANE, Sequence(3));
    let keepsake = Keepsake { log, lane, position, keeps: Some(true), ..Keepsake::of(client) };
    let mut tab = Tab::dialing(ClientConfig { keepsake: Some(keepsake), ..config() });
    let earlier = take_up(&mut tab, &kept(Some(9), LaneId(6), b"a"));
    assert_eq!(tab.events(), [lane_lost(earlier)]);
    let hello = tab.hello();
    assert_eq!((hello.lane, hello.floor), (LANE, Sequence(4)));
    tab.welcome(resumed_at(3));
    assert_eq!(tab.frames(), []);
}

#[test]
fn bytes_that_are_no_kept_send_change_nothing() {
    let mut tab = Tab::open();
    for bytes in [&b""[..], b"\x80", b"\xff\xff", b"\x85\x01\x07\xf6\xf6\x82\x09\x40"] {
        let refused = tab.ask(|client, now| client.take_up(now, bytes, false));
        assert_eq!(refused.expect_err("no send").code, Code::Invalid);
    }
    assert!(tab.client.is_idle());
}

#[test]
fn a_send_that_no_node_has_can_be_discarded() {
    let mut tab = keeping();
    let out = send(&mut tab, b"a");
    tab.lose_link();
    let waits = send(&mut tab, b"b");
    tab.pass_ms(60);
    tab.forget();
    let discard = |tab: &mut Tab, request| {
        tab.ask(|client, now| client.discard_send(now, request).map_err(|refused| refused.code))
    };
    assert_eq!(discard(&mut tab, out), Err(Code::Invalid));
    assert_eq!(discard(&mut tab, waits), Ok(()));
    assert_eq!(discard(&mut tab, waits), Err(Code::NotFound));
    let failed = Some((Code::Discarded, "discarded".to_owned()));
    let events = tab.events();
    assert_eq!(events[0], Event::LetGo { request: waits, failed, in_doubt: false, heard: true });
    assert!(matches!(events[1], Event::Failed { code: Code::Discarded, .. }));
}

#[test]
fn what_another_client_went_on_with_ends_in_doubt_here() {
    let mut tab = keeping();
    let waits = send(&mut tab, b"a");
    tab.ask(|client, now| client.park(now));
    tab.forget();
    tab.ask(|client, now| client.give_up_sends(now));
    let events = tab.events();
    let [Event::Failed { request, code: Code::Unavailable, maybe_executed: true, .. }] = events[..]
    else {
        panic!("one failure: {events:?}");
    };
    assert_eq!(request, waits);
    tab.ask(|client, now| client.unpark(now));
    assert_eq!(tab.hello().lane, LaneId(0));
    tab.welcome(Welcome { lane: LaneId(9), ..first_welcome() });
    send(&mut tab, b"b");
    assert_eq!(tab.frames().last(), Some(&frame(1, b"b")));
}

#[test]
fn a_refusal_that_nobody_waits_for_any_more_says_so() {
    let mut tab = keeping();
    let gave_up = send(&mut tab, b"a");
    tab.ask(|client, now| client.set_visible(now, false));
    tab.ask(|client, now| client.cancel_request(now, gave_up));
    tab.forget();
    let refusal = Frame::SendRefused { sequence: Sequence(1), code: Code::Full, reason: "rows" };
    tab.node(&[refusal, Frame::Sent { position: Sequence(1) }]);
    let failed = Some((Code::Full, "rows".to_owned()));
    let end = Event::LetGo { request: gave_up, failed, in_doubt: false, heard: false };
    assert_eq!(tab.events(), [end]);
}

#[test]
fn a_client_that_ends_lets_go_of_its_own_sends_and_not_of_what_it_took_up() {
    let mut tab = keeping();
    let own = send(&mut tab, b"a");
    tab.ask(|client, now| client.set_visible(now, false));
    tab.ask(|client, now| client.take_up(now, &kept(None, LaneId(0), b"b"), true)).expect("taken");
    tab.forget();
    tab.ask(|client, now| client.close(now, false));
    let events = tab.events();
    let let_go = events.iter().filter(|event| matches!(event, Event::LetGo { .. }));
    assert_eq!(let_go.count(), 1);
    assert!(matches!(events[0], Event::LetGo { request, in_doubt: true, .. } if request == own));
}

#[test]
fn a_later_send_supersedes_one_of_its_subject_that_no_node_can_have() {
    let mut tab = keeping();
    let latest =
        |tab: &mut Tab, queue: &'static str, body: &'static [u8], subject: &'static str| {
            let items = [item(body)];
            tab.ask(|client, now| client.send_latest(now, queue, &items, None, subject))
                .expect("taken")
        };
    latest(&mut tab, "q", b"out", "a");
    tab.lose_link();
    let first = latest(&mut tab, "q", b"1", "a");
    latest(&mut tab, "q", b"2", "b");
    latest(&mut tab, "other", b"3", "a");
    send(&mut tab, b"4");
    tab.pass_ms(60);
    tab.forget();
    latest(&mut tab, "q", b"5", "a");
    let events = tab.events();
    let failed = Some((Code::Discarded, "superseded".to_owned()));
    assert_eq!(events[0], Event::LetGo { request: first, failed, in_doubt: false, heard: true });
    assert!(matches!(&events[1], Event::Failed { code: Code::Discarded, .. }));
    assert_eq!(events.len(), 2);
    tab.welcome(resumed_at(1));
    let numbered = tab.events().into_iter().filter_map(|event| match event {
        Event::Keep { request, .. } => Some(request),
        _ => None,
    });
    for request in numbered.collect::<Vec<_>>() {
        tab.ask(|client, now| client.kept(now, request));
        tab.ask(|client, now| client.kept(now, request));
    }
    let bodies = tab.frames().into_iter().filter_map(|frame| match frame {
        Frame::Send { sequence, items, .. } => Some((sequence.0, items[0].body)),
        _ => None,
    });
    let expected: [(u64, &[u8]); 4] = [(2, b"2"), (3, b"3"), (4, b"4"), (5, b"5")];
    assert_eq!(bodies.collect::<Vec<_>>()[1..], expected, "behind the one that is out again");
    let long = "x".repeat(256);
    let refused = tab.ask(|client, now| client.send_latest(now, "q", &[item(b"6")], None, &long));
    assert_eq!(refused.expect_err("too long").code, Code::TooLarge);
}
