use tabmq::broker::io::Input;
use tabmq::broker::{Grant, Granting};
use tabmq::error::Code;
use tabmq::id::{
    CandidateId, CheckerId, ChunkNumber, ClientId, ConsumerId, LeaseNumber, ServiceId,
    SubscriptionId, WatchId,
};
use tabmq::limits::Limits;
use tabmq::options::ConsumeOptions;
use tabmq::store::Key;
use tabmq::time::UnixMillis;
use tabmq::wire::Frame;
use tabmq::wire::frame::Settlement;

use crate::grants::grant;
use crate::harness::{Bench, Peer, client};

const EVERY: &[&str] = &["#"];
const CONSUMER: ConsumerId = ConsumerId(1);
const OVER: Frame<'static> = Frame::Hangup { code: Code::NotAuthorized };

/// Everything but the administration, for so long.
fn granting(bench: &Bench, user: &'static str, ms: u64) -> Granting<'static> {
    Granting {
        user,
        expires_at: Some(UnixMillis(bench.now.unix.0 + ms)),
        publish: EVERY,
        subscribe: EVERY,
        consume: EVERY,
        serve: EVERY,
        call: EVERY,
        admin: false,
    }
}

fn whole(bench: &Bench, ms: u64) -> Grant {
    grant(&granting(bench, "ada", ms))
}

fn consume(bench: &mut Bench, peer: &mut Peer) {
    let options = ConsumeOptions::new(10, 1 << 20);
    bench.say(peer, &[Frame::Consume { consumer: CONSUMER, queue: "q", options }]);
}

fn delivered(frames: &[Frame<'static>]) -> Vec<(LeaseNumber, &'static [u8])> {
    let delivery = |frame: &Frame<'static>| match frame {
        Frame::Deliver(delivery) => Some((delivery.lease, delivery.body)),
        _ => None,
    };
    frames.iter().filter_map(delivery).collect()
}

#[test]
fn a_grant_ends_by_itself_and_nothing_is_lost() {
    let mut bench = Bench::new();
    let first = whole(&bench, 1000);
    let mut peer = bench.join_granted(1, first);
    consume(&mut bench, &mut peer);
    let mut sender = bench.join(2);
    bench.send(&mut sender, "q", b"before");
    let held = delivered(&bench.frames(&peer));
    bench.pass_ms(999);
    assert_eq!(bench.frames(&peer), []);
    bench.pass_ms(1);
    assert_eq!(bench.frames(&peer), [OVER]);
    bench.say(&mut peer, &[Frame::Ping { nonce: 1 }]);
    assert_eq!(bench.frames(&peer), [], "the connection is over");
    bench.send(&mut sender, "q", b"meanwhile");
    let second = whole(&bench, 1000);
    let lane = peer.lane;
    let (mut peer, welcome) = bench.hello_granted(1, second, |hello| {
        hello.lane = lane;
        hello.leases = held.iter().map(|(lease, _)| *lease).collect();
    });
    assert!(welcome.resumed && welcome.stale.is_empty());
    consume(&mut bench, &mut peer);
    let bodies = delivered(&bench.frames(&peer)).into_iter().map(|(_, body)| body);
    assert_eq!(bodies.collect::<Vec<_>>(), [b"meanwhile"]);
}

#[test]
fn the_node_wakes_for_the_end_of_a_grant() {
    let mut bench = Bench::new();
    let (short, shorter) = (whole(&bench, 800), whole(&bench, 500));
    let end = bench.now.mono.after_ms(500);
    let (_, peer) = (bench.join_granted(2, short), bench.join_granted(1, shorter));
    bench.pass_ms(100);
    assert_eq!(bench.settle(), Some(end));
    let longer = whole(&bench, 60_000);
    bench.node.renew(bench.now, peer.conn, longer);
    assert_eq!(bench.settle(), Some(end.after_ms(300)));
}

#[test]
fn a_grant_that_is_over_lets_nobody_in() {
    let mut bench = Bench::new();
    let late = whole(&bench, 0);
    let peer = bench.dial_granted(client(1), late, |_| {});
    assert!(!bench.frames(&peer).iter().any(|frame| matches!(frame, Frame::Welcome(_))));
    assert!(
        bench
            .take_events()
            .iter()
            .all(|event| *event != tabmq::broker::io::Event::Watch { client: client(1) })
    );
}

#[test]
fn what_comes_after_the_end_is_not_handled() {
    let mut bench = Bench::new();
    let short = whole(&bench, 1000);
    let mut peer = bench.join_granted(1, short);
    bench.now.unix.0 += 1000;
    bench.send(&mut peer, "q", b"late");
    assert_eq!(bench.frames(&peer), [OVER]);
    let state = bench.node.broker().expect("the node serves").state();
    assert!(state.queues.is_empty());
}

#[test]
fn a_renewed_grant_goes_on_with_all_that_was_there() {
    let mut bench = Bench::new();
    let first = whole(&bench, 1000);
    let mut peer = bench.join_granted(1, first);
    consume(&mut bench, &mut peer);
    bench.frames(&peer);
    bench.pass_ms(999);
    let second = whole(&bench, 1000);
    bench.node.renew(bench.now, peer.conn, second);
    bench.pass_ms(999);
    let mut sender = bench.join(2);
    bench.send(&mut sender, "q", b"x");
    assert_eq!(delivered(&bench.frames(&peer)).len(), 1);
    let forever = grant(&Granting { expires_at: None, ..granting(&bench, "ada", 0) });
    bench.node.renew(bench.now, peer.conn, forever);
    bench.pass_ms(60_000);
    assert!(!bench.frames(&peer).contains(&OVER));
}

#[test]
fn a_renewal_may_come_with_the_last_moment() {
    let mut bench = Bench::new();
    let first = whole(&bench, 1000);
    let peer = bench.join_granted(1, first);
    bench.now.unix.0 += 1000;
    let second = whole(&bench, 1000);
    bench.node.renew(bench.now, peer.conn, second);
    bench.settle();
    assert_eq!(bench.frames(&peer), [Frame::Granted { ends_in_ms: Some(1000) }]);
    let over = whole(&bench, 0);
    bench.node.renew(bench.now, peer.conn, over);
    bench.settle();
    assert_eq!(bench.frames(&peer), [OVER]);
}

#[test]
fn a_renewal_waits_while_the_node_makes_sure() {
    let mut bench = Bench::new();
    let peer = {
        let first = whole(&bench, 60_000);
        bench.join_granted(1, first)
    };
    bench.hold_storage = true;
    bench.node.suspect();
    bench.settle();
    let other = grant(&granting(&bench, "eve", 60_000));
    bench.node.renew(bench.now, peer.conn, other);
    bench.settle();
    assert_eq!(bench.frames(&peer), []);
    bench.release_storage();
    assert_eq!(bench.frames(&peer), [OVER]);
}

#[test]
fn a_smaller_grant_ends_what_it_does_not_cover() {
    let mut bench = Bench::new();
    let mut sender = bench.join(2);
    bench.send(&mut sender, "q", b"held");
    let first = whole(&bench, 1000);
    let mut peer = bench.join_granted(1, first);
    consume(&mut bench, &mut peer);
    let (subscription, service, candidate) = (SubscriptionId(1), ServiceId(1), CandidateId(1));
    let (watch, checker) = (WatchId(1), CheckerId(1));
    bench.say(
        &mut peer,
        &[
            Frame::JoinGroup { subscription, filter: "a.#", group: "g" },
            Frame::Serve { service, name: "s", concurrency: 1 },
            Frame::Stand { candidate, role: "r", holds: None },
            Frame::WatchQueue { watch, queue: "q" },
            Frame::Checker { checker, queue: Some("q") },
        ],
    );
    let before = bench.frames(&peer);
    let (lease, _) = delivered(&before)[0];
    assert!(before.iter().any(|frame| matches!(frame, Frame::Lead { .. })));
    let nothing = grant(&Granting { user: "ada", ..Granting::default() });
    bench.node.renew(bench.now, peer.conn, nothing);
    bench.settle();
    let refused = Some(Code::NotAuthorized);
    let at = bench.now.unix;
    let mut told = bench.frames(&peer);
    for ended in [
        Frame::Consuming { consumer: CONSUMER, refused, single_active: None },
        Frame::GroupJoined { subscription, refused },
        Frame::Serving { service, refused },
        Frame::Depose { candidate, refused },
        Frame::QueueStats { watch, at, stats: None, refused },
        Frame::Check { checker, message: None, refused },
    ] {
        let place = told.iter().position(|frame| *frame == ended);
        told.remove(place.unwrap_or_else(|| panic!("{ended:?} is among {told:?}")));
    }
    assert_eq!(told, [Frame::Granted { ends_in_ms: None }]);
    assert!(bench.node.broker().expect("the node serves").state().leaders.is_empty());
    bench.send(&mut sender, "q", b"for others");
    let settlement = Settlement::Ack { value: None };
    bench.say(&mut peer, &[Frame::Settle { lease, settlement }]);
    let settled = Frame::Settled { lease, refused: None };
    assert_eq!(bench.frames(&peer), [settled], "what is held may be settled");
}

#[test]
fn a_smaller_grant_leaves_what_it_covers() {
    let mut bench = Bench::new();
    let first = whole(&bench, 1000);
    let mut peer = bench.join_granted(1, first);
    consume(&mut bench, &mut peer);
    let subscription = SubscriptionId(1);
    bench.say(&mut peer, &[Frame::JoinGroup { subscription, filter: "a.*", group: "g" }]);
    bench.frames(&peer);
    let narrow =
        Granting { user: "ada", consume: &["q"], subscribe: &["a.#"], ..Granting::default() };
    bench.node.renew(bench.now, peer.conn, grant(&narrow));
    bench.settle();
    assert_eq!(bench.frames(&peer), [Frame::Granted { ends_in_ms: None }]);
}

#[test]
fn a_leader_that_may_lead_no_more_makes_room() {
    let mut bench = Bench::new();
    let first = whole(&bench, 60_000);
    let mut peer = bench.join_granted(1, first);
    let candidate = CandidateId(1);
    bench.say(&mut peer, &[Frame::Stand { candidate, role: "r", holds: None }]);
    let term = bench.frames(&peer).into_iter().find_map(|frame| match frame {
        Frame::Lead { term, .. } => Some(term),
        _ => None,
    });
    let mut next = bench.join(2);
    bench.say(&mut next, &[Frame::Stand { candidate, role: "r", holds: None }]);
    let nothing = grant(&Granting { user: "ada", ..Granting::default() });
    let (mut peer, _) =
        bench.hello_granted(1, nothing, |hello| hello.terms = term.into_iter().collect());
    assert_eq!(bench.frames(&next), [], "it may still lead");
    bench.say(&mut peer, &[Frame::Stand { candidate, role: "r", holds: term }]);
    assert_eq!(
        bench.frames(&peer),
        [Frame::Depose { candidate, refused: Some(Code::NotAuthorized) }]
    );
    assert!(
        matches!(bench.frames(&next)[..], [Frame::Lead { term: next, .. }] if Some(next) > term)
    );
}

#[test]
fn a_connection_stays_its_users() {
    let mut bench = Bench::new();
    for (number, other) in [(1, grant(&granting(&bench, "eve", 1000))), (2, Grant::ALL)] {
        let own = whole(&bench, 1000);
        let peer = bench.join_granted(number, own);
        bench.node.renew(bench.now, peer.conn, other);
        bench.settle();
        assert_eq!(bench.frames(&peer), [OVER]);
    }
    let peer = bench.join(3);
    let own = whole(&bench, 1000);
    bench.node.renew(bench.now, peer.conn, own);
    bench.settle();
    assert_eq!(bench.frames(&peer), [OVER], "nor does one of the device become a user's");
}

fn is_let_in(bench: &mut Bench, id: ClientId, grant: Grant) -> bool {
    let peer = bench.dial_granted(id, grant, |_| {});
    match bench.frames(&peer)[..] {
        [Frame::Welcome(_), ..] => true,
        [Frame::Hangup { code: Code::ContractMismatch }] => false,
        ref frames => panic!("neither: {frames:?}"),
    }
}

#[test]
fn nobody_comes_as_the_client_of_another_user() {
    let mut bench = Bench::new();
    let own = whole(&bench, 60_000);
    let eve = grant(&granting(&bench, "eve", 60_000));
    let mut peer = bench.join_granted(1, own.clone());
    let others = [eve.clone(), Grant::ALL];
    for other in others.clone() {
        assert!(!is_let_in(&mut bench, client(1), other));
    }
    bench.say(&mut peer, &[Frame::Ping { nonce: 1 }]);
    assert_eq!(bench.frames(&peer), [Frame::Pong { nonce: 1 }], "its own link goes on");
    bench.input(Input::Gone { client: client(1) });
    for other in others.clone() {
        assert!(!is_let_in(&mut bench, client(1), other), "its lane is there");
    }
    bench.restart();
    for other in others {
        assert!(!is_let_in(&mut bench, client(1), other), "its lane was recovered");
    }
    assert!(is_let_in(&mut bench, client(1), own));
    bench.join(2);
    assert!(!is_let_in(&mut bench, client(2), eve.clone()), "a tab's client is nobody else's");
    assert!(is_let_in(&mut bench, client(3), eve));
}

#[test]
fn the_sender_of_a_message_stays_its_user() {
    let mut bench = Bench::new();
    let own = whole(&bench, 60_000);
    let eve = grant(&granting(&bench, "eve", 60_000));
    let mut peer = bench.join_granted(1, own.clone());
    bench.send(&mut peer, "q", b"x");
    bench.say(&mut peer, &[Frame::Goodbye { park: false }]);
    assert!(!is_let_in(&mut bench, client(1), eve.clone()), "it is named as a sender");
    let mut silent = bench.join_granted(2, own);
    bench.say(&mut silent, &[Frame::Goodbye { park: false }]);
    assert!(is_let_in(&mut bench, client(2), eve), "nothing of it is left");
}

#[test]
fn a_checkpoint_keeps_whose_a_client_is() {
    let mut bench = Bench::with(Limits { checkpoint_bytes_min: 1000, ..Limits::default() });
    let own = whole(&bench, 60_000);
    let eve = grant(&granting(&bench, "eve", 60_000));
    bench.join_granted(1, own.clone());
    let mut left = bench.join_granted(2, own);
    bench.send(&mut left, "left", b"x");
    bench.say(&mut left, &[Frame::Goodbye { park: false }]);
    let mut tab = bench.join(3);
    consume(&mut bench, &mut tab);
    for _ in 0..100 {
        bench.send(&mut tab, "q", &[0; 100]);
        let settlement = Settlement::Ack { value: None };
        for (lease, _) in delivered(&bench.frames(&tab)) {
            bench.say(&mut tab, &[Frame::Settle { lease, settlement }]);
        }
    }
    let first = Key::Chunk(ChunkNumber(1));
    assert!(!bench.store.values_mut().contains_key(&first), "what it tells is in the checkpoint");
    bench.restart();
    for number in [1, 2] {
        assert!(!is_let_in(&mut bench, client(number), eve.clone()));
    }
}
