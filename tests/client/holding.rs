//! A client whose messages are taken slower than it makes them.

use tabmq::client::io::Event;
use tabmq::id::{PublishNumber, RequestId, Sequence};
use tabmq::wire::Frame;
use tabmq::wire::frame::Welcome;

use crate::harness::{Tab, config, first_welcome, item};

fn send(tab: &mut Tab, body: &'static [u8]) -> RequestId {
    tab.ask(|client, now| client.send(now, "q", &[item(body)], None)).expect("taken")
}

fn numbers(frames: &[Frame<'_>]) -> Vec<u64> {
    let number = |frame: &Frame<'_>| match frame {
        Frame::Send { sequence, .. } => Some(sequence.0),
        _ => None,
    };
    frames.iter().filter_map(number).collect()
}

fn hold(tab: &mut Tab) {
    tab.ask(|client, now| client.hold_back(now, 1000));
}

fn release(tab: &mut Tab) {
    tab.ask(|client, now| client.release(now));
}

#[test]
fn sends_and_calls_wait_and_go_out_in_their_order() {
    let mut tab = Tab::open();
    send(&mut tab, b"a");
    tab.forget();
    hold(&mut tab);
    send(&mut tab, b"b");
    send(&mut tab, b"c");
    tab.ask(|client, now| client.call(now, "s", "m", b"", 10_000)).expect("taken");
    assert!(tab.frames().is_empty());
    release(&mut tab);
    let frames = tab.frames();
    assert_eq!(numbers(&frames), [2, 3]);
    assert!(frames.iter().any(|frame| matches!(frame, Frame::Call { .. })));
}

#[test]
fn a_question_passes_no_send_and_waits_for_none_that_came_after_it() {
    let mut tab = Tab::open();
    hold(&mut tab);
    let inspect = |tab: &mut Tab| tab.ask(|client, now| client.inspect(now, "q")).expect("taken");
    inspect(&mut tab);
    send(&mut tab, b"a");
    inspect(&mut tab);
    assert!(matches!(tab.frames()[..], [Frame::Inspect { .. }]));
    release(&mut tab);
    assert!(matches!(tab.frames()[..], [Frame::Send { .. }, Frame::Inspect { .. }]));
}

#[test]
fn a_call_that_was_held_back_until_its_time_was_over_did_not_happen() {
    let mut tab = Tab::open();
    hold(&mut tab);
    tab.ask(|client, now| client.call(now, "s", "m", b"", 500)).expect("taken");
    tab.pass_ms(500);
    let ended = tab.events();
    let failed = |event: &Event| format!("{event:?}").contains("maybe_executed: false");
    assert!(ended.iter().any(failed), "{ended:?}");
    assert!(tab.frames().is_empty(), "nobody is told to give it up");
}

#[test]
fn holding_back_ends_by_itself_and_with_the_link() {
    let mut tab = Tab::open();
    hold(&mut tab);
    send(&mut tab, b"a");
    tab.pass_ms(999);
    assert!(numbers(&tab.frames()).is_empty());
    tab.pass_ms(1);
    assert_eq!(numbers(&tab.frames()), [1]);
    hold(&mut tab);
    send(&mut tab, b"b");
    tab.lose_link();
    tab.forget();
    tab.welcome(Welcome { resumed: true, ..first_welcome() });
    assert_eq!(numbers(&tab.frames()), [1, 2]);
}

#[test]
fn what_was_published_meanwhile_is_posted_again_as_fast_as_it_is_heard() {
    let mut config = config();
    config.limits.fragment_bytes_max = 1000;
    let mut tab = Tab::open_with(config);
    hold(&mut tab);
    for _ in 0..5 {
        tab.ask(|client, now| client.publish(now, "a", &[0; 400], None)).expect("taken");
    }
    let posted = |tab: &mut Tab| -> Vec<PublishNumber> {
        let number = |frame: Frame<'_>| match frame {
            Frame::Publish(live) => Some(live.number),
            _ => None,
        };
        tab.broadcasts().into_iter().filter_map(number).collect()
    };
    let all = posted(&mut tab);
    release(&mut tab);
    assert_eq!(posted(&mut tab), all[..2]);
    tab.node(&[Frame::Published { number: all[1] }]);
    assert_eq!(posted(&mut tab), all[2..4]);
    tab.node(&[Frame::Published { number: all[4] }]);
    assert!(posted(&mut tab).is_empty());
}

#[test]
fn sends_that_are_written_down_are_numbered_a_window_at_a_time() {
    let mut config = config();
    config.limits.window_bytes_max = 2000;
    let mut tab = Tab::dialing(config);
    tab.ask(|client, now| client.keep_sends(now));
    let body: &'static [u8] = vec![0; 900].leak();
    let sends: Vec<RequestId> = (0..6).map(|_| send(&mut tab, body)).collect();
    tab.pass_ms(1000);
    let kept = |tab: &mut Tab| {
        let keep = |event| match event {
            Event::Keep { request, .. } => Some(request),
            _ => None,
        };
        tab.events().into_iter().filter_map(keep).collect::<Vec<_>>()
    };
    let write = |tab: &mut Tab, requests: &[RequestId]| {
        for request in requests {
            tab.ask(|client, now| client.kept(now, *request));
        }
    };
    assert_eq!(kept(&mut tab), sends);
    write(&mut tab, &sends);
    tab.welcome(first_welcome());
    assert_eq!(kept(&mut tab), sends[..2], "their numbers");
    write(&mut tab, &sends[..2]);
    assert_eq!(numbers(&tab.frames()), [1, 2]);
    let ahead = kept(&mut tab);
    write(&mut tab, &ahead);
    tab.node(&[Frame::Sent { position: Sequence(2) }]);
    let more = kept(&mut tab);
    write(&mut tab, &more);
    assert_eq!(numbers(&tab.frames()), [3, 4]);
}
