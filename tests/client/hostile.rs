//! A node that says anything at all.

use tabmq::client::io::Input;
use tabmq::error::Code;
use tabmq::id::{
    AudienceId, CallId, CandidateId, ClientId, ConsumerId, LaneId, LeaseNumber, LinkNonce,
    MessageNumber, PublishNumber, RequestId, Sequence, ServiceId, SubscriptionId, Term,
};
use tabmq::options::ConsumeOptions;
use tabmq::rng::Rng;
use tabmq::time::UnixMillis;
use tabmq::wire::frame::{
    CallKey, Delivery, Duplicate, Live, Newest, Outcome, PeerEntry, QueueCounts, Settlement,
};
use tabmq::wire::{Envelope, Frame};

use crate::harness::{
    LOG, ME, OTHER, Tab, config, epoch, first_welcome, item, message, resumed_at,
};

/// A small number, so that it often names something that exists.
fn few(rng: &mut Rng) -> u64 {
    match rng.below(20) {
        0 => u64::MAX,
        1 => u64::from(u32::MAX),
        _ => rng.below(6),
    }
}

fn few32(rng: &mut Rng) -> u32 {
    u32::try_from(few(rng)).unwrap_or(u32::MAX)
}

fn live(rng: &mut Rng) -> Live<'static> {
    Live {
        publisher: [OTHER, ME, ClientId([3; 16])][rng.below(3) as usize],
        number: PublishNumber(few(rng)),
        index: few(rng),
        topic: ["a.b", "", "a..b"][rng.below(3) as usize],
        body: b"body",
        properties: None,
    }
}

fn code(rng: &mut Rng) -> Option<Code> {
    rng.ratio(1, 3).then_some([Code::Full, Code::StaleLease, Code::Closed][rng.below(3) as usize])
}

fn outcome(rng: &mut Rng) -> Outcome<'static> {
    match rng.below(3) {
        0 => Outcome::Value(b"v"),
        1 => Outcome::Threw(b"t"),
        _ => Outcome::Failed { code: Code::PeerLost, maybe_executed: true },
    }
}

/// What a producer is told.
fn told(rng: &mut Rng) -> Frame<'static> {
    let sequence = Sequence(few(rng));
    match rng.below(4) {
        0 => Frame::Sent { position: sequence },
        1 => Frame::SendRefused { sequence, code: Code::Full, reason: "r" },
        2 => Frame::Window { items: few32(rng) },
        _ => {
            let duplicate = Duplicate { index: few32(rng), number: MessageNumber(few(rng)) };
            Frame::Duplicates { sequence, items: vec![duplicate] }
        }
    }
}

fn frame(rng: &mut Rng) -> Frame<'static> {
    let publisher = [OTHER, ME][rng.below(2) as usize];
    let (first, last) = (PublishNumber(few(rng)), PublishNumber(few(rng)));
    let key = CallKey { caller: OTHER, call: CallId(few32(rng)) };
    let refused = code(rng);
    match rng.below(35) {
        13 | 14 | 32 | 33 => told(rng),
        0 => Frame::Welcome(resumed_at(few(rng))),
        1 => Frame::Hangup { code: refused.unwrap_or(Code::Protocol) },
        2 => Frame::Ping { nonce: 1 },
        3 => Frame::Pong { nonce: 1 },
        4 => Frame::Fragment { last: rng.ratio(1, 2), bytes: &[24, 3] },
        5 => Frame::Published { number: first },
        6 => Frame::GroupJoined { subscription: SubscriptionId(few32(rng)), refused },
        7 => Frame::GroupMessage { subscription: SubscriptionId(few32(rng)), live: live(rng) },
        8 => Frame::Repair { publisher, first, last },
        9 | 10 => {
            let messages = (0..rng.below(4)).map(|_| live(rng)).collect();
            Frame::Repaired { publisher, first, last, messages }
        }
        11 => {
            let state = QueueCounts::default();
            Frame::QueueState { request: RequestId(few32(rng)), state, policy: None }
        }
        12 => {
            Frame::RequestRefused { request: RequestId(few32(rng)), code: Code::Full, reason: "r" }
        }
        15 => Frame::Consuming { consumer: ConsumerId(few32(rng)), refused, single_active: None },
        16..=18 => Frame::Deliver(Delivery {
            consumer: ConsumerId(few32(rng)),
            lease: LeaseNumber(few(rng)),
            attempt: few32(rng),
            number: MessageNumber(few(rng)),
            lane: LaneId(few(rng)),
            sequence: Sequence(few(rng)),
            index: few32(rng),
            stored_at: UnixMillis(few(rng)),
            lease_ms: few(rng),
            body: b"b",
            properties: None,
            dead_reason: None,
            body_bytes: None,
            tracked: None,
            deaths: None,
            sender: None,
            priority: None,
        }),
        19 | 20 => Frame::Settled { lease: LeaseNumber(few(rng)), refused },
        21 => Frame::Serving { service: ServiceId(few32(rng)), refused },
        22 | 23 => Frame::Dispatch {
            key,
            service: ServiceId(few32(rng)),
            method: "m",
            timeout_ms: few(rng),
            arguments: b"a",
            traceparent: None,
        },
        24 => Frame::ReplyTaken { key },
        25 => Frame::CallResult { call: CallId(few32(rng)), outcome: outcome(rng) },
        26 => Frame::CancelDispatch { key },
        27 => Frame::Lead { candidate: CandidateId(few32(rng)), term: Term(few(rng)) },
        28 => Frame::Depose { candidate: CandidateId(few32(rng)), refused },
        29 => Frame::Peers { peers: vec![PeerEntry { client: OTHER, peer: b"p" }] },
        30 => Frame::Goodbye { park: false },
        34 => Frame::Audience { audience: AudienceId(few(rng)) },
        _ => Frame::NewestNumbers {
            newest: vec![Newest { publisher: OTHER, number: first, index: 0 }],
        },
    }
}

/// A verb of a user who does not look what it does.
fn verb(tab: &mut Tab, rng: &mut Rng) {
    let number = few(rng);
    let number32 = few32(rng);
    let choice = rng.below(20);
    tab.ask(|client, now| {
        let _ = match choice {
            0 => client.publish(now, "a.b", b"x", None).err(),
            1 => client.subscribe(now, "#", None).err(),
            2 => client.subscribe(now, "a.*", Some("g")).err(),
            3 => client.declare(now, "q", tabmq::options::QueueOptions::default()).err(),
            4 => client.inspect(now, "q").err(),
            5 | 6 => client.send(now, "q", &[item(b"x")], None).err(),
            7 => client.consume(now, "q", ConsumeOptions::new(3, 100)).err(),
            8 => client.settle(now, LeaseNumber(number), Settlement::Ack { value: None }).err(),
            9 => {
                let extend = Settlement::Extend { lease_ms: None };
                client.settle(now, LeaseNumber(number), extend).err()
            }
            10 => client.serve(now, "s", 2).err(),
            11 => client.call(now, "s", "m", b"x", number.min(1000)).err(),
            12 => {
                let key = CallKey { caller: OTHER, call: CallId(number32) };
                client.reply(now, key, Outcome::Value(b"v")).err()
            }
            13 => client.stand(now, "role").err(),
            14 => client.flush(now).err(),
            _ => None,
        };
        match choice {
            15 => client.cancel_request(now, RequestId(number32)),
            16 => client.cancel_call(now, CallId(number32)),
            17 => client.unsubscribe(now, SubscriptionId(number32)),
            18 => client.cancel_consumer(now, ConsumerId(number32)),
            19 => client.resign(now, CandidateId(number32)),
            _ => {}
        }
    });
}

fn small() -> tabmq::client::ClientConfig {
    let mut config = config();
    config.limits.handles_max = 4;
    config.limits.requests_max = 8;
    config.limits.replies_max = 3;
    config.limits.gap_messages_max = 3;
    config.limits.publishers_max = 2;
    config
}

/// The client still works: it is welcomed and a request is answered.
fn still_works(tab: &mut Tab) {
    if tab.client.is_closed() {
        return;
    }
    tab.ask(|client, now| client.park(now));
    tab.forget();
    tab.ask(|client, now| client.unpark(now));
    tab.hello();
    tab.epoch = tab.client.epoch_heard();
    tab.welcome(tabmq::wire::frame::Welcome { lane: LaneId(99), ..first_welcome() });
    assert!(tab.client.is_open());
    for _ in 0..100 {
        let sent = tab.frames().into_iter().filter_map(|frame| match frame {
            Frame::Send { sequence, .. } => Some(sequence),
            _ => None,
        });
        let Some(position) = sent.max() else { break };
        tab.node(&[Frame::Sent { position }]);
    }
    assert!(tab.client.is_open());
}

#[test]
fn no_sequence_of_frames_and_verbs_breaks_the_client() {
    for seed in 0..100 {
        let mut rng = Rng::new([seed as u8; 32]);
        let mut tab = Tab::open_with(small());
        for _ in 0..300 {
            match rng.below(10) {
                0 => tab.pass_ms(rng.below(2000)),
                1 if !tab.client.is_open() => tab.welcome(resumed_at(few(&mut rng))),
                2 => tab.hear(live(&mut rng)),
                3 => {
                    let number = PublishNumber(few(&mut rng));
                    let newest = vec![Newest { publisher: OTHER, number, index: few(&mut rng) }];
                    let (audience, first) = (AudienceId(few(&mut rng)), number);
                    let last = newest[0];
                    tab.hear_node(tab.epoch, Frame::NewestNumbers { newest });
                    tab.hear_node(tab.epoch, Frame::Skipped { audience, first, last });
                }
                4..=6 => verb(&mut tab, &mut rng),
                _ => tab.node(&[frame(&mut rng)]),
            }
            tab.forget();
        }
        still_works(&mut tab);
    }
}

#[test]
fn no_bytes_break_the_client() {
    let mut rng = Rng::new([5; 32]);
    for _ in 0..5000 {
        let mut tab = Tab::dialing(small());
        if rng.ratio(3, 4) {
            tab.welcome(first_welcome());
        }
        let head = match rng.below(3) {
            0 => Envelope { link: LinkNonce(0), position: 0, client: OTHER, ..tab.head() },
            _ => tab.head(),
        };
        let frames: Vec<Frame<'_>> = (0..rng.below(3) + 1).map(|_| frame(&mut rng)).collect();
        let mut bytes = message(head, &frames);
        for _ in 0..rng.below(4) {
            let at = rng.below(bytes.len() as u64) as usize;
            bytes[at] = rng.next_u64() as u8;
        }
        bytes.truncate(bytes.len() - rng.below(3).min(bytes.len() as u64) as usize);
        tab.input(Input::Received { bytes: &bytes });
        tab.input(Input::Heard { bytes: &bytes });
        tab.pass_ms(1000);
    }
}

#[test]
fn a_claim_under_which_nobody_answers_is_believed_for_a_few_hellos_only() {
    let claim = |tab: &mut Tab| tab.hear_node(epoch(u64::MAX), Frame::Announce { log: LOG });
    let mut tab = Tab::open();
    claim(&mut tab);
    assert!(!tab.client.is_open(), "it looks for the new node");
    tab.hello();
    tab.welcome(resumed_at(0));
    assert!(!tab.client.is_open(), "the node before is not taken for it");
    tab.pass_ms(4000);
    tab.welcome(resumed_at(0));
    assert!(tab.client.is_open(), "the one that answers is the node");
    claim(&mut tab);
    assert!(tab.client.is_open(), "the same claim is not believed again");
    tab.hear_node(epoch(2), Frame::Announce { log: LOG });
    assert!(!tab.client.is_open(), "a node that came after is");
}
