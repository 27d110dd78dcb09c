//! Transactions: one number of the lane, and the deliveries that they decide about.

use tabmq::client::io::Event;
use tabmq::error::Code;
use tabmq::id::{LaneId, LeaseNumber, RequestId, Sequence};
use tabmq::wire::Frame;
use tabmq::wire::frame::{Acked, Settlement, Staged, Welcome};

use crate::consumers::{ack, consuming, is_stale, settle};
use crate::harness::{LANE, Tab, config, first_welcome, item, resumed_at};

fn staged<'a>(queue: &'a str, bodies: &[&'a [u8]]) -> Staged<'a> {
    Staged { queue, items: bodies.iter().map(|body| item(body)).collect() }
}

fn acked(leases: &[u64]) -> Vec<Acked<'static>> {
    leases.iter().map(|lease| Acked { lease: LeaseNumber(*lease), value: None }).collect()
}

fn commit(tab: &mut Tab, leases: &[u64]) -> RequestId {
    let (writes, acks) = ([staged("out", &[b"x"])], acked(leases));
    tab.ask(|client, now| client.commit(now, &writes, &acks, None)).expect("taken")
}

fn frame(sequence: u64, leases: &[u64]) -> Frame<'static> {
    Frame::Commit {
        sequence: Sequence(sequence),
        refusals_seen: Sequence(0),
        durability: None,
        writes: vec![staged("out", &[b"x"])],
        acks: acked(leases),
    }
}

fn sent(request: RequestId, sequence: u64) -> Event {
    let duplicates = Vec::new();
    Event::Sent { request, lane: LANE, sequence: Sequence(sequence), duplicates }
}

fn refused(sequence: u64, code: Code) -> [Frame<'static>; 2] {
    let sequence = Sequence(sequence);
    [Frame::SendRefused { sequence, code, reason: "" }, Frame::Sent { position: sequence }]
}

fn waits_for(tab: &mut Tab, lease: u64) -> bool {
    tab.lose_link().leases.contains(&LeaseNumber(lease))
}

#[test]
fn it_is_numbered_among_the_sends_and_ends_its_leases() {
    let (mut tab, _) = consuming();
    let send = tab.ask(|client, now| client.send(now, "q", &[item(b"a")], None)).expect("taken");
    let request = commit(&mut tab, &[1, 2]);
    assert_eq!(tab.frames().last(), Some(&frame(2, &[1, 2])));
    tab.node(&[Frame::Sent { position: Sequence(2) }]);
    assert_eq!(tab.events(), [sent(send, 1), sent(request, 2)]);
    assert_eq!(tab.lose_link().leases, []);
}

#[test]
fn it_is_sent_again_with_its_number_and_its_leases_are_not_given_up_meanwhile() {
    let (mut tab, _) = consuming();
    let request = commit(&mut tab, &[1]);
    tab.forget();
    assert_eq!(tab.lose_link().leases, [LeaseNumber(1), LeaseNumber(2)]);
    let stale = vec![LeaseNumber(1), LeaseNumber(2)];
    tab.welcome(Welcome { stale, ..resumed_at(1) });
    assert!(tab.frames().contains(&frame(1, &[1])));
    let lost = |event: &Event| matches!(event, Event::LeaseLost { .. });
    let lost: Vec<Event> = tab.events().into_iter().filter(lost).collect();
    assert_eq!(lost, [Event::LeaseLost { lease: LeaseNumber(2) }]);
    tab.node(&[Frame::Sent { position: Sequence(1) }]);
    assert_eq!(tab.events(), [sent(request, 1)]);
}

#[test]
fn after_a_refusal_the_delivery_may_be_settled_otherwise() {
    let (mut tab, _) = consuming();
    let request = commit(&mut tab, &[1]);
    let early = settle(&mut tab, 1, Settlement::Release);
    assert!(is_stale(&tab.events()[0], early), "it is decided about");
    tab.node(&refused(1, Code::Full));
    assert!(matches!(tab.events()[..], [Event::Failed { request: r, code: Code::Full, .. }]
        if r == request));
    tab.forget();
    settle(&mut tab, 1, Settlement::Ack { value: None });
    assert_eq!(tab.frames(), [ack(1)]);
}

#[test]
fn a_stale_lease_is_lost_and_nobody_hears_of_it_twice() {
    let (mut tab, _) = consuming();
    let request = commit(&mut tab, &[1]);
    tab.forget();
    tab.node(&refused(1, Code::StaleLease));
    let events = tab.events();
    assert!(events.len() == 1 && is_stale(&events[0], request));
    assert!(!waits_for(&mut tab, 1));
    let late = commit(&mut tab, &[1]);
    assert!(is_stale(tab.events().last().expect("answered at once"), late));
}

#[test]
fn a_lost_lane_puts_it_in_doubt_and_leaves_the_delivery() {
    let (mut tab, _) = consuming();
    let request = commit(&mut tab, &[1]);
    tab.lose_link();
    tab.forget();
    tab.welcome(Welcome { lane: LaneId(8), ..first_welcome() });
    let in_doubt = |event: &Event| {
        matches!(event, Event::Failed { request: id, code: Code::Unavailable,
            maybe_executed: true, .. } if *id == request)
    };
    assert!(tab.events().iter().any(in_doubt));
    settle(&mut tab, 1, Settlement::Release);
    assert!(tab.frames().iter().any(|frame| matches!(frame, Frame::Settle { .. })));
}

#[test]
fn bad_ones_are_refused_and_change_nothing() {
    let mut config = config();
    (config.limits.batch_items_max, config.limits.body_bytes_max) = (2, 10);
    let mut tab = Tab::open_with(config);
    let bad: [(Vec<Staged<'_>>, &[u64], Code); 7] = [
        (vec![], &[], Code::Invalid),
        (vec![staged("", &[b"x"])], &[], Code::Invalid),
        (vec![staged("q", &[])], &[], Code::Invalid),
        (vec![staged("q", &[b"12345678901"])], &[], Code::TooLarge),
        (vec![staged("q", &[b"1", b"2"]), staged("p", &[b"3"])], &[], Code::TooLarge),
        (vec![], &[1, 2, 3], Code::TooLarge),
        (vec![], &[1, 1], Code::Invalid),
    ];
    for (writes, leases, code) in bad {
        let acks = acked(leases);
        let answer = tab.ask(|client, now| client.commit(now, &writes, &acks, None));
        assert_eq!(answer.expect_err("refused").code, code);
    }
    assert_eq!((tab.frames(), tab.events()), (vec![], vec![]));
}

#[test]
fn a_draining_client_finishes_what_it_holds_and_begins_nothing() {
    let (mut tab, _) = consuming();
    commit(&mut tab, &[1]);
    tab.ask(|client, now| client.close(now, true));
    let write = [staged("out", &[b"x"])];
    let begun = tab.ask(|client, now| client.commit(now, &write, &[], None));
    assert_eq!(begun.expect_err("closing").code, Code::Closed);
    commit(&mut tab, &[2]);
    assert_eq!(tab.frames().len(), 2);
}
