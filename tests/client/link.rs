use tabmq::client::ClientConfig;
use tabmq::client::io::{Event, Handle, Input, Keepsake, Output};
use tabmq::error::Code;
use tabmq::id::{CallId, LaneId, LogId, Sequence};
use tabmq::options::ConsumeOptions;
use tabmq::wire::frame::Welcome;
use tabmq::wire::{Frame, Message};

use crate::harness::{LANE, LOG, ME, OTHER, Tab, config, epoch, first_welcome, resumed_at};

#[test]
fn a_new_client_says_hello_at_once() {
    let mut tab = Tab::dialing(config());
    let hello = tab.hello();
    assert!(hello.fresh);
    assert_eq!((hello.log, hello.lane), (None, LaneId(0)));
    assert_eq!((hello.confirmed, hello.floor), (Sequence(0), Sequence(1)));
    assert_eq!(hello.peer, b"me");
}

#[test]
fn hello_is_said_again_on_a_link_of_its_own_until_welcome() {
    let mut tab = Tab::dialing(config());
    tab.hello();
    tab.pass_ms(4000);
    let hellos = tab.frames().len();
    assert!((3..=5).contains(&hellos), "{hellos} tries in four seconds of doubling waits");
    tab.welcome(first_welcome());
    tab.pass_ms(60_000);
    assert_eq!(tab.frames(), []);
}

#[test]
fn welcome_opens_the_link() {
    let mut tab = Tab::dialing(config());
    tab.welcome(first_welcome());
    let Event::Ready { epoch: at, log, lane, resumed, .. } = tab.events().remove(0) else {
        panic!("Ready comes first");
    };
    assert_eq!((at, log, lane, resumed), (epoch(1), LOG, LANE, false));
    assert!(tab.client.is_open());
}

#[test]
fn a_welcome_of_an_earlier_hello_is_ignored() {
    let mut tab = Tab::dialing(config());
    let old = tab.head();
    tab.input(Input::Reachable);
    tab.node_with(old, &[Frame::Welcome(first_welcome())]);
    assert!(!tab.client.is_open());
    tab.welcome(first_welcome());
    assert!(tab.client.is_open());
}

#[test]
fn messages_for_other_clients_are_ignored() {
    let mut tab = Tab::dialing(config());
    let mut head = tab.head();
    head.client = OTHER;
    tab.node_with(head, &[Frame::Welcome(first_welcome())]);
    assert!(!tab.client.is_open());
}

#[test]
fn a_hole_or_a_repeat_in_the_positions_ends_the_link() {
    for wrong in [0, 2] {
        let mut tab = Tab::open();
        let mut head = tab.head();
        head.position = tab.sent + wrong;
        tab.node_with(head, &[Frame::Ping { nonce: 1 }]);
        assert_eq!(tab.events(), [Event::Lost]);
        assert!(!tab.hello().fresh);
    }
}

#[test]
fn a_node_of_a_lower_epoch_is_refused() {
    let mut tab = Tab::dialing(config());
    tab.hear_node(epoch(5), Frame::Announce { log: LOG });
    tab.epoch = epoch(4);
    tab.welcome(first_welcome());
    assert!(!tab.client.is_open());
    tab.sent = 0;
    tab.epoch = epoch(5);
    tab.welcome(first_welcome());
    assert!(tab.client.is_open());
}

#[test]
fn a_higher_epoch_ends_the_link_and_is_dialed_at_once() {
    let mut tab = Tab::open();
    tab.hear_node(epoch(2), Frame::Announce { log: LOG });
    assert_eq!(tab.events(), [Event::Lost]);
    let hello = tab.hello();
    assert_eq!((hello.log, hello.lane), (Some(LOG), LANE));
}

#[test]
fn the_own_nodes_announcement_changes_nothing() {
    let mut tab = Tab::open();
    tab.hear_node(epoch(1), Frame::Announce { log: LOG });
    assert!(tab.client.is_open());
    assert_eq!(tab.events(), []);
}

#[test]
fn an_announcement_ends_the_wait_of_a_dialing_client() {
    let mut tab = Tab::dialing(config());
    tab.pass_ms(10_000);
    tab.frames();
    tab.hear_node(epoch(1), Frame::Announce { log: LOG });
    tab.hello();
}

#[test]
fn frames_of_the_wrong_side_end_the_link_with_a_code() {
    let mut tab = Tab::open();
    tab.node(&[Frame::Goodbye { park: false }]);
    assert_eq!(tab.events(), [Event::Lost]);
    assert_eq!(tab.frames(), [Frame::Hangup { code: Code::Protocol }]);
    tab.pass_ms(400);
    tab.hello();
}

#[test]
fn bytes_that_are_no_frame_end_the_link_with_a_code() {
    let mut tab = Tab::open();
    let mut bytes = crate::harness::message(tab.head(), &[Frame::Pong { nonce: 1 }]);
    bytes.extend_from_slice(&[0xff, 0x00]);
    tab.input(Input::Received { bytes: &bytes });
    assert_eq!(tab.frames(), [Frame::Hangup { code: Code::Protocol }]);
}

#[test]
fn bytes_that_are_no_message_are_counted() {
    let mut tab = Tab::open();
    tab.input(Input::Received { bytes: &[0xff] });
    tab.input(Input::Heard { bytes: &[] });
    assert_eq!(tab.client.bad_messages(), 2);
    assert!(tab.client.is_open());
}

#[test]
fn a_node_without_a_common_version_closes_the_client() {
    let mut tab = Tab::open();
    let request = tab.ask(|client, now| client.inspect(now, "q")).expect("asked");
    tab.node(&[Frame::Hangup { code: Code::UpgradeRequired }]);
    let events = tab.events();
    assert!(matches!(events[0], Event::Failed { request: failed, code: Code::UpgradeRequired, .. }
        if failed == request));
    assert_eq!(events[1], Event::Closed { code: Code::UpgradeRequired });
}

#[test]
fn a_client_that_would_be_hung_up_again_waits_before_it_dials() {
    for code in [Code::Protocol, Code::NotAuthorized] {
        let mut tab = Tab::open();
        tab.node(&[Frame::Hangup { code }]);
        assert_eq!(tab.frames(), []);
        tab.pass_ms(400);
        tab.hello();
    }
}

#[test]
fn a_long_frame_arrives_in_parts() {
    let mut tab = Tab::dialing(config());
    let mut frame = Vec::new();
    tabmq::wire::envelope::encode_frame(&Frame::Welcome(first_welcome()), &mut frame);
    let (head, tail) = frame.split_at(10);
    tab.node(&[Frame::Fragment { last: false, bytes: head }]);
    assert!(!tab.client.is_open());
    tab.node(&[Frame::Fragment { last: true, bytes: tail }]);
    assert!(tab.client.is_open());
}

#[test]
fn what_was_asked_before_one_poll_travels_in_one_message() {
    let mut tab = Tab::open();
    tab.messages = 0;
    let now = tab.now;
    for _ in 0..10 {
        tab.client.inspect(now, "q").expect("asked");
    }
    tab.client.serve(now, "calc", 1).expect("asked");
    tab.settle();
    assert_eq!(tab.frames().len(), 11);
    assert_eq!(tab.messages, 1);
}

fn kept(client: tabmq::id::ClientId) -> Keepsake {
    let (lane, position, call) = (LANE, Sequence(4), CallId(7));
    Keepsake { client, log: Some(LOG), lane, position, call, published: None, keeps: None }
}

#[test]
fn a_keepsake_resumes_the_lane_of_the_page_before() {
    let kept = kept(ME);
    let mut tab = Tab::dialing(ClientConfig { keepsake: Some(kept), ..config() });
    let hello = tab.hello();
    assert!(hello.fresh, "its leases and calls are gone with the page");
    assert_eq!((hello.log, hello.lane, hello.floor), (Some(LOG), LANE, Sequence(5)));
    assert_eq!(hello.confirmed, Sequence(0), "what was confirmed is not known any more");
    tab.welcome(resumed_at(6));
    let published = tab.client.keepsake().published;
    assert_eq!(tab.client.keepsake(), Keepsake { position: Sequence(6), published, ..kept });
    assert!(matches!(tab.events()[0], Event::Ready { resumed: true, .. }));
}

#[test]
fn the_keepsake_of_another_client_is_not_used() {
    let kept = kept(OTHER);
    let mut tab = Tab::dialing(ClientConfig { keepsake: Some(kept), ..config() });
    assert_eq!(tab.hello().lane, LaneId(0));
}

#[test]
fn a_client_whose_name_is_taken_becomes_another_and_keeps_what_was_asked() {
    let kept = kept(ME);
    let config = ClientConfig { keepsake: Some(kept), ..config() };
    let now = tabmq::time::Now::default();
    let mut client = tabmq::client::Client::new(config, [1; 32], now);
    client.publish(now, "a", b"x", None).expect("taken");
    client.rename(OTHER);
    let mut said = Vec::new();
    while let Some(bytes) = match client.poll_output() {
        Output::Transmit { bytes } | Output::Broadcast { bytes } => Some(bytes),
        _ => None,
    } {
        let message = Message::parse(bytes.leak()).expect("a message");
        assert_eq!(message.envelope.client, OTHER);
        said.extend(message.frames().map(|frame| frame.expect("a frame")));
    }
    assert!(matches!(&said[..], [Frame::Hello(hello), Frame::Publish(live)]
        if hello.lane == LaneId(0) && hello.log.is_none() && live.publisher == OTHER));
}

#[test]
fn a_welcome_that_resumes_another_lane_is_refused() {
    let mut tab = Tab::open();
    tab.lose_link();
    tab.welcome(Welcome { lane: LaneId(8), ..resumed_at(0) });
    assert!(!tab.client.is_open());
}

#[test]
fn peers_are_passed_on() {
    let mut tab = Tab::open();
    let entry = tabmq::wire::frame::PeerEntry { client: OTHER, peer: b"you" };
    tab.node(&[Frame::Peers { peers: vec![entry] }]);
    let peer = tabmq::client::io::Peer { client: OTHER, info: b"you".to_vec() };
    assert_eq!(tab.events(), [Event::Peers { peers: vec![peer] }]);
}

#[test]
fn a_change_of_peer_info_reaches_the_node_also_over_a_lost_link() {
    let mut tab = Tab::open();
    tab.ask(|client, now| client.set_peer(now, b"one")).expect("taken");
    assert_eq!(tab.frames(), [Frame::PeerInfo { peer: b"one" }]);
    let hello = tab.lose_link();
    assert_eq!(hello.peer, b"one");
    tab.ask(|client, now| client.set_peer(now, b"two")).expect("taken");
    tab.welcome(resumed_at(0));
    assert_eq!(tab.frames(), [Frame::PeerInfo { peer: b"two" }]);
}

#[test]
fn handles_are_declared_on_each_link_and_take_effect_once() {
    let mut tab = Tab::open();
    let consumer = tab
        .ask(|client, now| client.consume(now, "q", ConsumeOptions::new(4, 100)))
        .expect("consumes");
    let service = tab.ask(|client, now| client.serve(now, "calc", 2)).expect("serves");
    let group = tab.ask(|client, now| client.subscribe(now, "a.*", Some("g"))).expect("joins");
    let declared = [
        Frame::JoinGroup { subscription: group, filter: "a.*", group: "g" },
        Frame::Serve { service, name: "calc", concurrency: 2 },
        Frame::Consume { consumer, queue: "q", options: ConsumeOptions::new(4, 100) },
    ];
    let mut frames = tab.frames();
    frames.reverse();
    assert_eq!(frames, [declared[0].clone(), declared[1].clone(), declared[2].clone()]);
    let confirmed = [
        Frame::GroupJoined { subscription: group, refused: None },
        Frame::Serving { service, refused: None },
        Frame::Consuming { consumer, refused: None, single_active: None },
    ];
    tab.node(&confirmed);
    assert_eq!(
        tab.events(),
        [
            Event::Subscribed { subscription: group },
            Event::Serving { service },
            Event::Consuming { consumer, single_active: false },
        ]
    );
    tab.lose_link();
    tab.welcome(resumed_at(0));
    assert_eq!(tab.frames(), declared);
    tab.events();
    tab.node(&confirmed);
    assert_eq!(tab.events(), []);
}

#[test]
fn a_refused_handle_is_not_declared_again() {
    let mut tab = Tab::open();
    let consumer = tab
        .ask(|client, now| client.consume(now, "q", ConsumeOptions::new(4, 100)))
        .expect("consumes");
    tab.node(&[Frame::Consuming { consumer, refused: Some(Code::Full), single_active: None }]);
    let handle = Handle::Consumer(consumer);
    assert_eq!(tab.events(), [Event::HandleRefused { handle, code: Code::Full }]);
    tab.forget();
    tab.lose_link();
    tab.welcome(resumed_at(0));
    assert_eq!(tab.frames(), []);
}

#[test]
fn verbs_refuse_bad_arguments_and_change_nothing() {
    let mut tab = Tab::open();
    let long = "x".repeat(256);
    let refusals = [
        tab.ask(|client, now| client.inspect(now, "")).err().map(|refused| refused.code),
        tab.ask(|client, now| client.inspect(now, &long)).err().map(|refused| refused.code),
        tab.ask(|client, now| client.publish(now, "a..b", b"", None)).err().map(|r| r.code),
        tab.ask(|client, now| client.subscribe(now, "a.", None)).err().map(|r| r.code),
        tab.ask(|client, now| client.consume(now, "q", ConsumeOptions::new(0, 0)))
            .err()
            .map(|r| r.code),
        tab.ask(|client, now| client.serve(now, "s", 0)).err().map(|r| r.code),
        tab.ask(|client, now| client.stand(now, "")).err().map(|r| r.code),
    ];
    let (invalid, long) = (Some(Code::Invalid), Some(Code::TooLarge));
    assert_eq!(refusals, [invalid, long, invalid, invalid, invalid, invalid, invalid]);
    assert!(tab.client.is_idle());
    assert_eq!((tab.frames(), tab.events()), (Vec::new(), Vec::new()));
}

#[test]
fn handles_are_bounded() {
    let mut config = config();
    config.limits.handles_max = 2;
    let mut tab = Tab::open_with(config);
    for _ in 0..2 {
        tab.ask(|client, now| client.subscribe(now, "a", None)).expect("room");
    }
    let refused = tab.ask(|client, now| client.subscribe(now, "a", None)).expect_err("full");
    assert_eq!((refused.code, refused.reason), (Code::Full, "handles_max"));
}

#[test]
fn another_log_takes_leases_and_terms_away() {
    let mut tab = Tab::open();
    let candidate = tab.ask(|client, now| client.stand(now, "role")).expect("stands");
    let term = tabmq::id::Term(3);
    tab.node(&[Frame::Lead { candidate, term }]);
    tab.forget();
    assert_eq!(tab.lose_link().terms, [term]);
    tab.events();
    tab.welcome(Welcome { log: LogId([8; 16]), ..first_welcome() });
    assert!(tab.events().contains(&Event::Deposed { candidate }));
    assert_eq!(tab.frames(), [Frame::Stand { candidate, role: "role", holds: None }]);
}
