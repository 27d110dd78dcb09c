use std::slice::from_ref;

use tabmq::broker::io::{Event, Input};
use tabmq::error::Code;
use tabmq::id::{ConsumerId, Epoch, LaneId, Sequence};
use tabmq::limits::Limits;
use tabmq::options::ConsumeOptions;
use tabmq::wire::frame::{Hello, Settlement};
use tabmq::wire::{Frame, Message};

use crate::harness::{Bench, Peer, client, first_hello, item};

#[test]
fn a_lane_is_stored_before_its_client_learns_of_it() {
    let mut bench = Bench::new();
    bench.hold_storage = true;
    let peer = bench.dial(1, |_| {});
    assert_eq!(bench.frames(&peer), []);
    bench.release_storage();
    assert!(matches!(bench.frames(&peer)[0], Frame::Welcome(_)));
}

#[test]
fn a_new_hello_ends_the_old_link_and_resumes_the_lane() {
    let mut bench = Bench::new();
    let mut old = bench.join(1);
    bench.send(&mut old, "work", b"a");
    let (lane, log) = (old.lane, old.log);
    let (_, welcome) = bench.hello(1, |hello| {
        hello.lane = lane;
        hello.log = log;
    });
    assert!(welcome.resumed);
    assert_eq!((welcome.lane, welcome.position), (lane, Sequence(1)));
    bench.frames(&old);
    bench.send(&mut old, "work", b"late");
    assert_eq!(bench.frames(&old), [], "the old link says nothing any more");
}

#[test]
fn what_is_said_to_another_node_ends_the_link_and_is_not_done() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    // It took the Welcome of a node that is over, which this one does not know.
    let other = Epoch { counter: 0, incarnation: 5 };
    let (sequence, refusals_seen, durability) = (Sequence(1), Sequence(0), None);
    let (queue, items) = ("work", vec![item(b"a")]);
    let send = Frame::Send { sequence, queue, refusals_seen, durability, items };
    bench.say_under(other, &mut peer, &[send]);
    assert_eq!(bench.frames(&peer), [Frame::Hangup { code: Code::Unavailable }]);
    assert!(bench.node.broker().expect("it serves").state().queues.is_empty());
    let (peer, _) = bench.hello(1, |hello| hello.lane = peer.lane);
    assert_eq!(bench.frames(&peer), []);
}

#[test]
fn a_goodbye_closes_the_lane_and_a_later_hello_is_in_doubt() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let lane = peer.lane;
    bench.say(&mut peer, &[Frame::Goodbye { park: false }]);
    let (_, welcome) = bench.hello(1, |hello| hello.lane = lane);
    assert!(!welcome.resumed);
    assert!(welcome.lane > lane, "a lane number is never issued twice");
}

#[test]
fn a_parked_lane_goes_on() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    bench.send(&mut peer, "work", b"a");
    let lane = peer.lane;
    bench.say(&mut peer, &[Frame::Goodbye { park: true }]);
    let (_, welcome) = bench.hello(1, |hello| hello.lane = lane);
    assert_eq!((welcome.resumed, welcome.position), (true, Sequence(1)));
}

#[test]
fn numbers_below_the_floor_are_used_up() {
    let mut bench = Bench::new();
    let lane = bench.join(1).lane;
    let (_, welcome) = bench.hello(1, |hello| {
        hello.lane = lane;
        hello.floor = Sequence(5);
    });
    assert_eq!(welcome.position, Sequence(4));
}

#[test]
fn a_lane_behind_what_was_confirmed_is_told_as_a_rollback() {
    let mut bench = Bench::new();
    let lane = bench.join(1).lane;
    bench.take_events();
    let (peer, welcome) = bench.hello(1, |hello| {
        hello.lane = lane;
        hello.confirmed = Sequence(3);
        hello.floor = Sequence(4);
    });
    let lost = Event::SendsLost { conn: peer.conn, client: client(1), count: 3 };
    assert!(bench.take_events().contains(&lost), "and its host hears of it");
    assert!(welcome.rolled_back && !welcome.resumed);
    assert_eq!((welcome.position, welcome.kept), (Sequence(0), Some(Sequence(0))));
    assert_ne!(welcome.lane, lane);
}

/// What somebody says who goes on with sends of that lane, and was confirmed all before them.
fn goes_on(lane: LaneId, floor: u64) -> impl Fn(&mut Hello<'_>) {
    move |hello| {
        hello.lane = lane;
        (hello.confirmed, hello.floor) = (Sequence(floor - 1), Sequence(floor));
    }
}

#[test]
fn a_rollback_is_told_until_its_client_sends_on_another_lane() {
    let mut bench = Bench::new();
    let lane = bench.join(1).lane;
    // Its Welcome may be lost, and so may what it stored before the next one.
    for _ in 0..2 {
        let (_, welcome) = bench.hello(1, goes_on(lane, 4));
        assert_eq!((welcome.rolled_back, welcome.kept), (true, Some(Sequence(0))));
        bench.restart();
    }
    let (mut peer, _) = bench.hello(1, goes_on(lane, 4));
    bench.send(&mut peer, "work", b"later");
    let (_, welcome) = bench.hello(1, goes_on(lane, 4));
    assert_eq!((welcome.resumed, welcome.rolled_back, welcome.kept), (false, false, None));
}

#[test]
fn a_send_in_doubt_is_not_stored_behind_later_ones_of_another_lane() {
    let mut bench = Bench::new();
    let lane = bench.join(1).lane;
    let (mut peer, _) = bench.hello(1, goes_on(lane, 4));
    bench.send(&mut peer, "work", b"later");
    // A page made anew, which found the send 4 of the first lane written down.
    let (anew, welcome) = bench.hello(1, |hello| {
        (hello.lane, hello.floor, hello.fresh) = (lane, Sequence(4), true);
    });
    assert!(!welcome.resumed, "its send is in doubt");
    let lanes = |bench: &Bench| {
        let state = bench.node.broker().unwrap().state();
        state.lanes.keys().copied().collect::<Vec<_>>()
    };
    assert_eq!(lanes(&bench), [peer.lane, anew.lane]);
    let (mut back, _) = bench.hello(1, goes_on(anew.lane, 1));
    bench.send(&mut back, "work", b"last");
    assert_eq!(lanes(&bench), [anew.lane]);
    bench.restart();
    assert_eq!(lanes(&bench), [anew.lane]);
}

#[test]
fn whoever_names_no_lane_ends_none_of_its_client() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    bench.send(&mut peer, "work", b"one");
    let mut claims_to_be = bench.join(1);
    assert_ne!(claims_to_be.lane, peer.lane);
    bench.send(&mut claims_to_be, "work", b"forged");
    let (_, welcome) = bench.hello(1, goes_on(peer.lane, 2));
    assert_eq!((welcome.resumed, welcome.position), (true, Sequence(1)));
}

#[test]
fn what_a_client_settled_is_known_after_its_earlier_lane_is_closed() {
    let mut bench = Bench::new();
    let lane = bench.join(1).lane;
    let (mut peer, _) = bench.hello(1, goes_on(lane, 4));
    let mut producer = bench.join(2);
    bench.send(&mut producer, "work", b"a");
    let (consumer, options) = (ConsumerId(1), ConsumeOptions::new(1, 1 << 20));
    bench.say(&mut peer, &[Frame::Consume { consumer, queue: "work", options }]);
    let delivered = bench.frames(&peer).into_iter().find_map(|frame| match frame {
        Frame::Deliver(delivery) => Some(delivery.lease),
        _ => None,
    });
    let lease = delivered.expect("a delivery");
    let ack = Frame::Settle { lease, settlement: Settlement::Ack { value: None } };
    let settled = [Frame::Settled { lease, refused: None }];
    bench.say(&mut peer, from_ref(&ack));
    assert_eq!(bench.frames(&peer), settled);
    bench.send(&mut peer, "other", b"b");
    bench.frames(&peer);
    bench.say(&mut peer, &[ack]);
    assert_eq!(bench.frames(&peer), settled);
}

#[test]
fn a_lane_that_its_client_left_without_a_word_is_let_go_after_its_time() {
    let lane_keep_ms = 60_000;
    let mut bench = Bench::with(Limits { lane_keep_ms, ..Limits::default() });
    let lane = bench.join(1).lane;
    let again = bench.join(1).lane;
    bench.pass_ms(lane_keep_ms + 1000);
    let lanes = &bench.node.broker().unwrap().state().lanes;
    assert_eq!((lanes.contains_key(&lane), lanes.contains_key(&again)), (false, true));
}

#[test]
fn a_foreign_lane_is_not_resumed() {
    let mut bench = Bench::new();
    let lane = bench.join(1).lane;
    let (_, welcome) = bench.hello(2, |hello| hello.lane = lane);
    assert!(!welcome.resumed);
    assert_ne!(welcome.lane, lane);
}

#[test]
fn a_repeat_and_a_hole_on_a_link_end_it() {
    for skip in [0, 2] {
        let mut bench = Bench::new();
        let mut peer = bench.join(1);
        bench.say(&mut peer, &[Frame::Ping { nonce: 1 }]);
        assert_eq!(bench.frames(&peer), [Frame::Pong { nonce: 1 }]);
        peer.skip(skip);
        bench.say(&mut peer, &[Frame::Ping { nonce: 2 }]);
        assert_eq!(bench.frames(&peer), [Frame::Hangup { code: Code::Protocol }]);
    }
}

#[test]
fn a_late_copy_of_a_hello_does_not_begin_its_link_anew() {
    let mut bench = Bench::new();
    let mut earlier = bench.join(1);
    let mut page = bench.join(1);
    earlier.conn = bench.node.accept(bench.now);
    earlier.skip(0);
    bench.say(&mut earlier, &[Frame::Hello(first_hello())]);
    assert_eq!(bench.frames(&earlier), []);
    bench.say(&mut page, &[Frame::Ping { nonce: 1 }]);
    assert_eq!(bench.frames(&page), [Frame::Pong { nonce: 1 }]);
}

#[test]
fn a_client_whose_link_is_over_is_told_whatever_it_says() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    peer.conn = bench.node.accept(bench.now);
    bench.say(&mut peer, &[Frame::Ping { nonce: 1 }]);
    assert_eq!(bench.frames(&peer), [Frame::Hangup { code: Code::Protocol }]);
}

#[test]
fn a_lane_outlives_a_wall_clock_that_jumps_and_a_node_that_dies() {
    let mut bench = Bench::new();
    let peer = bench.join(1);
    bench.now.unix.0 += 2 * bench.limits.lane_keep_ms;
    bench.restart();
    bench.input(Input::Present { clients: &[client(1)] });
    bench.pass_ms(5000);
    let (_, welcome) = bench.hello(1, |hello| (hello.lane, hello.log) = (peer.lane, peer.log));
    assert!(welcome.resumed);
}

#[test]
fn present_clients_are_watched_before_they_say_hello() {
    let mut bench = Bench::new();
    bench.take_events();
    bench.input(Input::Present { clients: &[client(1)] });
    assert_eq!(watches(&mut bench), [Event::Watch { client: client(1) }]);
}

#[test]
fn a_client_too_old_is_told_to_upgrade() {
    let mut bench = Bench::new();
    let peer = bench.dial(1, |hello| hello.version_max = 0);
    assert_eq!(bench.frames(&peer), [Frame::Hangup { code: Code::UpgradeRequired }]);
}

#[test]
fn garbage_ends_the_link_and_changes_nothing() {
    let mut bench = Bench::new();
    let peer = bench.join(1);
    bench.input(Input::Received { conn: peer.conn, bytes: b"\xff\x00garbage" });
    bench.input(Input::Heard { bytes: b"\xff" });
    assert_eq!(bench.frames(&peer), [Frame::Hangup { code: Code::Protocol }]);
    assert!(!bench.take_events().iter().any(|event| matches!(event, Event::Over { .. })));
}

#[test]
fn sessions_are_watched_until_they_end() {
    let mut bench = Bench::new();
    bench.join(1);
    bench.join(1);
    assert_eq!(watches(&mut bench), [Event::Watch { client: client(1) }]);
    bench.input(Input::Gone { client: client(1) });
    assert_eq!(watches(&mut bench), [Event::Unwatch { client: client(1) }]);
}

fn watches(bench: &mut Bench) -> Vec<Event> {
    let watch = |event: &Event| matches!(event, Event::Watch { .. } | Event::Unwatch { .. });
    bench.take_events().into_iter().filter(watch).collect()
}

#[test]
fn an_idle_lane_is_let_go_after_its_time() {
    let lane_keep_ms = 60_000;
    let mut bench = Bench::with(Limits { lane_keep_ms, ..Limits::default() });
    let lane = bench.join(1).lane;
    bench.input(Input::Gone { client: client(1) });
    bench.join(2);
    // A wall clock that jumps lets no time pass.
    bench.now.unix.0 += lane_keep_ms;
    bench.pass_ms(lane_keep_ms - 1000);
    assert!(bench.node.broker().unwrap().state().lanes.contains_key(&lane));
    bench.pass_ms(2000);
    assert!(!bench.node.broker().unwrap().state().lanes.contains_key(&lane));
}

#[test]
fn frames_longer_than_a_transport_message_arrive_whole() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let body = vec![7; 300_000];
    let items = vec![item(&body)];
    let (sequence, refusals_seen, durability) = (Sequence(1), Sequence(0), None);
    let queue = "work";
    bench.say(&mut peer, &[Frame::Send { sequence, queue, refusals_seen, durability, items }]);
    assert_eq!(bench.frames(&peer), [Frame::Sent { position: Sequence(1) }]);
    assert_ne!(peer.lane, LaneId(0));
}

/// How many peers each list names that this one was told.
fn lists_told(bench: &mut Bench, peer: &Peer) -> Vec<usize> {
    let mut lists = Vec::new();
    for bytes in bench.take_messages(peer) {
        for frame in Message::parse(&bytes).unwrap().frames() {
            if let Frame::Peers { peers } = frame.unwrap() {
                lists.push(peers.len());
            }
        }
    }
    lists
}

#[test]
fn peers_that_come_and_go_in_numbers_are_told_of_together() {
    let mut bench = Bench::new();
    let first = bench.join(1);
    let others: Vec<Peer> = (2..=200).map(|number| bench.dial(number, |_| {})).collect();
    bench.pass_ms(50);
    for number in 3..=200 {
        bench.input(Input::Gone { client: client(number) });
    }
    let told: usize = others.iter().map(|other| lists_told(&mut bench, other).len()).sum();
    assert!(told <= 2 * others.len(), "{told} lists");
    bench.pass_ms(50);
    let lists = lists_told(&mut bench, &first);
    assert_eq!(lists.last(), Some(&2), "the last change is told");
    assert!(lists.len() <= 5, "{lists:?}");
}

#[test]
fn what_a_peer_says_of_itself_has_a_bound() {
    let mut bench = Bench::new();
    let longest = bench.limits.headers_bytes_max as usize;
    let (first, long) = (vec![0; longest], vec![0; longest + 1]);
    let mut peer = bench.join(1);
    bench.say(&mut peer, &[Frame::PeerInfo { peer: &first }]);
    assert_eq!(bench.frames(&peer), []);
    bench.say(&mut peer, &[Frame::PeerInfo { peer: &long }]);
    assert_eq!(bench.frames(&peer), [Frame::Hangup { code: Code::TooLarge }]);
}

#[test]
fn the_list_of_peers_is_told_once_for_all_that_came_while_the_disk_was_slow() {
    let mut bench = Bench::new();
    bench.hold_storage = true;
    let first = bench.dial(1, |_| {});
    for number in 2..=5 {
        bench.dial(number, |_| {});
    }
    bench.release_storage();
    assert_eq!(lists_told(&mut bench, &first), [5]);
}
