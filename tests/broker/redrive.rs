//! Dead letters that are moved back.

use tabmq::cbor;
use tabmq::error::Code;
use tabmq::id::{ConsumerId, RequestId, Sequence};
use tabmq::limits::Limits;
use tabmq::options::{DeadLetter, Overflow, QueueOptions};
use tabmq::wire::Frame;
use tabmq::wire::frame::{Delivery, Filter, Item, Properties, Reason, Redrive, Settlement};

use crate::deaths::{history, reject, settle};
use crate::harness::{Bench, Peer, item};
use crate::overflow::{bodies, counts, declare, deliveries, ring, take};

const REQUEST: RequestId = RequestId(50);

/// The CBOR of `{"shop": 1}` and `{"shop": 2}`.
const SHOP_1: &[u8] = &[0xa1, 0x64, b's', b'h', b'o', b'p', 1];
const SHOP_2: &[u8] = &[0xa1, 0x64, b's', b'h', b'o', b'p', 2];

fn redrive_as(
    bench: &mut Bench,
    peer: &mut Peer,
    request: RequestId,
    redrive: Redrive<'_>,
) -> Vec<Frame<'static>> {
    bench.frames(peer);
    bench.say(peer, &[Frame::Redrive { request, redrive }]);
    bench.frames(peer)
}

/// How many a redrive moved at once.
fn redrive(bench: &mut Bench, peer: &mut Peer, request: u32, redrive: Redrive<'_>) -> u64 {
    let answers = redrive_as(bench, peer, RequestId(request), redrive);
    let counted = answers.iter().find_map(|frame| match frame {
        Frame::Counted { request: answered, count } if answered.0 == request => Some(*count),
        _ => None,
    });
    counted.unwrap_or_else(|| panic!("not counted: {answers:?}"))
}

fn of<'a>(queue: &'a str, filter: Filter<'a>) -> Redrive<'a> {
    let filter = Filter { queue: Some(queue), ..filter };
    Redrive { filter: Some(filter), ..Redrive::default() }
}

/// Sends the bodies, each with its properties, and rejects them all.
fn bury(bench: &mut Bench, peer: &mut Peer, queue: &str, letters: &[(&[u8], Option<&[u8]>)]) {
    for (body, properties) in letters {
        let sequence = peer.next;
        peer.next = sequence.next();
        let items = vec![Item { properties: *properties, ..item(body) }];
        let (refusals_seen, durability) = (Sequence(0), None);
        bench.say(peer, &[Frame::Send { sequence, queue, refusals_seen, durability, items }]);
    }
    for delivery in take(bench, peer, queue, 100) {
        reject(bench, peer, &delivery, "no");
    }
    bench.say(peer, &[Frame::CancelConsumer { consumer: ConsumerId(100) }]);
    bench.frames(peer);
}

fn plain(bodies: &[&'static [u8]]) -> Vec<(&'static [u8], Option<&'static [u8]>)> {
    bodies.iter().map(|body| (*body, None)).collect()
}

#[test]
fn all_go_back_in_their_order_with_their_history_and_fresh_attempts() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    bury(&mut bench, &mut peer, "jobs", &plain(&[b"a", b"b"]));
    let held = take(&mut bench, &mut peer, "jobs.dead", 2);
    settle(
        &mut bench,
        &mut peer,
        &held[0],
        Settlement::Retry { after_ms: Some(60_000), reason: None },
    );
    settle(&mut bench, &mut peer, &held[1], Settlement::Release);
    bench.say(&mut peer, &[Frame::CancelConsumer { consumer: ConsumerId(2) }]);
    for delivery in deliveries(&mut bench, &peer) {
        settle(&mut bench, &mut peer, &delivery, Settlement::Release);
    }
    assert_eq!(redrive(&mut bench, &mut peer, 1, of("jobs", Filter::default())), 2);
    let back = take(&mut bench, &mut peer, "jobs", 9);
    assert_eq!(bodies(&back), [b"a", b"b"]);
    assert_eq!(back.iter().map(|d| d.number).collect::<Vec<_>>(), [held[0].number, held[1].number]);
    for delivery in &back {
        assert_eq!((delivery.attempt, delivery.dead_reason), (1, None));
        let history = history(delivery);
        assert_eq!((history.recent, history.deaths[0].queue), (0, "jobs"));
    }
    reject(&mut bench, &mut peer, &back[0], "again");
    let dead = take(&mut bench, &mut peer, "jobs.dead", 3)[0];
    assert_eq!(history(&dead).deaths.len(), 1);
    assert_eq!((history(&dead).deaths[0].count, dead.dead_reason), (2, Some("again")));
}

#[test]
fn a_filter_says_which() {
    let properties = |id, headers| {
        let mut bytes = Vec::new();
        let properties = Properties { id, headers: Some(headers), ..Properties::default() };
        cbor::encode(&properties, &mut bytes);
        bytes
    };
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let (one, two) = (properties(Some("order-1"), SHOP_1), properties(None, SHOP_2));
    let letters: [(&[u8], Option<&[u8]>); 3] =
        [(b"a", Some(&one)), (b"b", Some(&two)), (b"c", None)];
    let first = peer.next;
    bury(&mut bench, &mut peer, "jobs", &letters);
    let third = format!("{}-{}-0", peer.lane.0, first.0 + 2);
    let cases = [
        (Filter { reason: Some(Reason::Overflow), ..Filter::default() }, vec![]),
        (Filter { headers: Some(SHOP_2), ..Filter::default() }, vec![&b"b"[..]]),
        (Filter { ids: Some(vec!["order-1", &third]), ..Filter::default() }, vec![b"a", b"c"]),
        (Filter { numbers: Some(vec![]), ..Filter::default() }, vec![]),
        (Filter { reason: Some(Reason::Rejected), ..Filter::default() }, vec![b"a", b"b", b"c"]),
    ];
    for (request, (filter, expected)) in (1..).zip(cases) {
        let moved = redrive(&mut bench, &mut peer, request, of("jobs", filter));
        assert_eq!(moved, expected.len() as u64);
        let back = take(&mut bench, &mut peer, "jobs", 100);
        assert_eq!(bodies(&back), expected);
        for delivery in back {
            reject(&mut bench, &mut peer, &delivery, "no");
        }
        bench.say(&mut peer, &[Frame::CancelConsumer { consumer: ConsumerId(100) }]);
    }
}

#[test]
fn it_goes_where_it_is_told_and_only_what_fits() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    declare(&mut bench, &mut peer, "small", ring(2));
    bury(&mut bench, &mut peer, "jobs", &plain(&[b"a", b"b", b"c"]));
    let into = Redrive { into: Some("small"), ..of("jobs", Filter::default()) };
    assert_eq!(redrive(&mut bench, &mut peer, 1, into), 2);
    assert_eq!(counts(&mut bench, &mut peer, "small").discarded_total, 0);
    assert_eq!(counts(&mut bench, &mut peer, "jobs.dead").ready, 1);
    assert_eq!(bodies(&take(&mut bench, &mut peer, "small", 9)), [b"a", b"b"]);
    let named = Redrive { queue: Some("jobs.dead"), messages_max: Some(0), ..Redrive::default() };
    assert_eq!(redrive(&mut bench, &mut peer, 2, named.clone()), 0);
    let named = Redrive { messages_max: Some(1), ..named };
    assert_eq!(redrive(&mut bench, &mut peer, 3, named), 1);
}

#[test]
fn what_died_again_among_the_dead_letters_goes_back_to_where_it_came_from() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    bury(&mut bench, &mut peer, "jobs", &plain(&[b"a"]));
    let dead = take(&mut bench, &mut peer, "jobs.dead", 1)[0];
    reject(&mut bench, &mut peer, &dead, "hopeless");
    bench.say(&mut peer, &[Frame::CancelConsumer { consumer: ConsumerId(1) }]);
    let dead = deliveries(&mut bench, &peer)[0];
    let everything = || Redrive { queue: Some("jobs.dead"), ..Redrive::default() };
    assert_eq!(redrive(&mut bench, &mut peer, 1, everything()), 0, "it is held");
    settle(&mut bench, &mut peer, &dead, Settlement::Release);
    assert_eq!(redrive(&mut bench, &mut peer, 2, everything()), 1);
    assert_eq!(bodies(&take(&mut bench, &mut peer, "jobs", 1)), [b"a"]);
}

#[test]
fn a_refused_redrive_changes_nothing() {
    let mut bench = Bench::with(Limits { redrives_max: 1, ..Limits::default() });
    let mut peer = bench.join(1);
    let discards = QueueOptions { dead_letter: Some(DeadLetter::Discard), ..ring(9) };
    declare(&mut bench, &mut peer, "gone", discards);
    bury(&mut bench, &mut peer, "jobs", &plain(&[b"a", b"b"]));
    let digest = |bench: &Bench| bench.node.broker().expect("it serves").digest();
    let before = digest(&bench);
    let named = |queue| Redrive { queue: Some(queue), ..Redrive::default() };
    let malformed = Filter { headers: Some(&[0x80]), ..Filter::default() };
    let cases = [
        (named("nowhere"), Code::NotFound, ""),
        (of("nowhere", Filter::default()), Code::NotFound, ""),
        (Redrive { into: Some("nowhere"), ..named("jobs.dead") }, Code::NotFound, "into"),
        (Redrive { into: Some("jobs.dead"), ..named("jobs.dead") }, Code::Invalid, "into"),
        (of("gone", Filter::default()), Code::Invalid, "dead_letter"),
        (Redrive::default(), Code::Invalid, "queue"),
        (of("jobs", malformed), Code::Invalid, "headers"),
    ];
    for (redrive, code, reason) in cases {
        let refused = Frame::RequestRefused { request: REQUEST, code, reason };
        assert_eq!(redrive_as(&mut bench, &mut peer, REQUEST, redrive), [refused]);
    }
    assert_eq!(digest(&bench), before);
    let slow = Redrive { every_us: Some(1 << 40), ..named("jobs.dead") };
    assert_eq!(redrive_as(&mut bench, &mut peer, REQUEST, slow), []);
    let (request, code, reason) = (RequestId(51), Code::Full, "redrives_max");
    let refused = Frame::RequestRefused { request, code, reason };
    assert_eq!(redrive_as(&mut bench, &mut peer, request, named("jobs.dead")), [refused]);
    bench.say(&mut peer, &[Frame::EndRedrive { request: REQUEST }]);
    assert_eq!(redrive(&mut bench, &mut peer, 52, named("jobs.dead")), 1);
}

#[test]
fn a_redrive_before_the_first_dead_letter_moves_none() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    declare(&mut bench, &mut peer, "jobs", QueueOptions::default());
    assert_eq!(redrive(&mut bench, &mut peer, 1, of("jobs", Filter::default())), 0);
}

#[test]
fn a_rate_is_kept_and_made_up_for_only_so_far() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let letters: Vec<(&[u8], Option<&[u8]>)> = vec![(b"x", None); 40];
    bury(&mut bench, &mut peer, "jobs", &letters);
    let paced = Redrive { every_us: Some(100_000), ..of("jobs", Filter::default()) };
    assert_eq!(redrive_as(&mut bench, &mut peer, REQUEST, paced), []);
    let ready = |bench: &mut Bench, peer: &mut Peer| counts(bench, peer, "jobs").ready;
    assert_eq!(ready(&mut bench, &mut peer), 1);
    bench.pass_ms(450);
    assert_eq!(ready(&mut bench, &mut peer), 5);
    // A page in the background: one late timer, for a minute.
    bench.now.mono = bench.now.mono.after_ms(60_000);
    bench.input(tabmq::broker::io::Input::Tick);
    assert_eq!(ready(&mut bench, &mut peer), 16);
    bench.pass_ms(3000);
    let counted = Frame::Counted { request: REQUEST, count: 40 };
    assert!(bench.frames(&peer).contains(&counted));
}

#[test]
fn a_long_redrive_goes_on_over_many_turns_and_a_node_that_dies() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    for _ in 0..3 {
        let letters: Vec<(&[u8], Option<&[u8]>)> = vec![(b"x", None); 50];
        bury(&mut bench, &mut peer, "jobs", &letters);
    }
    let paced = || Redrive { every_us: Some(50_000), ..of("jobs", Filter::default()) };
    redrive_as(&mut bench, &mut peer, REQUEST, paced());
    bench.pass_ms(2000);
    assert_eq!(counts(&mut bench, &mut peer, "jobs").ready, 41);
    bench.restart();
    let (mut peer, _) = bench.hello(1, |hello| {
        hello.lane = peer.lane;
        hello.log = peer.log;
    });
    // Asked again, as after every resume, and once more for a duplicate.
    for _ in 0..2 {
        assert_eq!(redrive_as(&mut bench, &mut peer, REQUEST, paced()), []);
    }
    bench.pass_ms(10_000);
    let counted = Frame::Counted { request: REQUEST, count: 150 };
    assert!(bench.frames(&peer).contains(&counted));
    let (jobs, dead) =
        (counts(&mut bench, &mut peer, "jobs"), counts(&mut bench, &mut peer, "jobs.dead"));
    assert_eq!((jobs.ready, dead.ready), (150, 0));
    // The answer was lost with its link.
    assert_eq!(redrive_as(&mut bench, &mut peer, REQUEST, paced()), [counted]);
    bench.say(&mut peer, &[Frame::EndRedrive { request: REQUEST }]);
    assert!(bench.node.broker().expect("it serves").state().redrives.is_empty());
}

#[test]
fn a_redrive_ends_with_its_client_or_when_it_says_so() {
    for how in ["ends", "leaves", "forgets"] {
        let mut bench = Bench::new();
        let mut peer = bench.join(1);
        bury(&mut bench, &mut peer, "jobs", &plain(&[b"a", b"b"]));
        let paced = Redrive { every_us: Some(1_000_000), ..of("jobs", Filter::default()) };
        redrive_as(&mut bench, &mut peer, REQUEST, paced);
        match how {
            "ends" => bench.say(&mut peer, &[Frame::EndRedrive { request: REQUEST }]),
            "leaves" => bench.say(&mut peer, &[Frame::Goodbye { park: false }]),
            _ => drop(bench.hello(1, |hello| hello.fresh = true)),
        }
        bench.pass_ms(5000);
        let mut other = bench.join(2);
        assert_eq!(counts(&mut bench, &mut other, "jobs.dead").ready, 1, "{how}");
        assert!(bench.node.broker().expect("it serves").state().redrives.is_empty(), "{how}");
    }
}

#[test]
fn messages_that_are_not_in_memory_are_read_for_a_filter() {
    let limits = Limits {
        resident_bytes_max: 4096,
        chunk_bytes_max: 1024,
        checkpoint_bytes_min: 2048,
        ..Limits::default()
    };
    let mut bench = Bench::with(limits);
    let mut peer = bench.join(1);
    let mut properties = Vec::new();
    let headers = Some(SHOP_1);
    cbor::encode(&Properties { headers, ..Properties::default() }, &mut properties);
    let body = [7; 800];
    let letters: Vec<(&[u8], Option<&[u8]>)> = (0..40)
        .map(|index| (&body[..], Some(&properties[..]).filter(|_| index % 2 == 0)))
        .collect();
    bury(&mut bench, &mut peer, "jobs", &letters);
    let filter = Filter { headers, ..Filter::default() };
    assert_eq!(redrive(&mut bench, &mut peer, 1, of("jobs", filter)), 20);
}

#[test]
fn a_redriven_message_may_be_pushed_out_again() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let overflow = Some(Overflow::DeadLetter);
    declare(&mut bench, &mut peer, "a", QueueOptions { overflow, ..ring(1) });
    for body in [b"1", b"2"] {
        bench.send(&mut peer, "a", body);
    }
    let dead = || Redrive { queue: Some("a.dead"), ..Redrive::default() };
    assert_eq!(redrive(&mut bench, &mut peer, 1, dead()), 0, "there is no room");
    let held: Delivery<'_> = take(&mut bench, &mut peer, "a", 1)[0];
    settle(&mut bench, &mut peer, &held, Settlement::Ack { value: None });
    bench.say(&mut peer, &[Frame::CancelConsumer { consumer: ConsumerId(1) }]);
    assert_eq!(redrive(&mut bench, &mut peer, 2, dead()), 1);
    bench.send(&mut peer, "a", b"3");
    let state = counts(&mut bench, &mut peer, "a");
    assert_eq!((state.ready, state.dead_lettered_total, state.discarded_total), (1, 2, 0));
}
