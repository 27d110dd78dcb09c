//! What is told of the deaths of a message, and what full dead-letter queues do.

use tabmq::cbor;
use tabmq::id::ConsumerId;
use tabmq::limits::Limits;
use tabmq::options::{DeadLetter, Overflow, QueueOptions};
use tabmq::time::UnixMillis;
use tabmq::wire::Frame;
use tabmq::wire::frame::{Death, Delivery, History, Reason, Settlement};

use crate::harness::{Bench, Peer};
use crate::overflow::{bodies, counts, declare, deliveries, ring, take};

pub fn history(delivery: &Delivery<'static>) -> History<'static> {
    cbor::decode(delivery.deaths.expect("it died")).expect("a history")
}

pub fn settle(
    bench: &mut Bench,
    peer: &mut Peer,
    delivery: &Delivery<'_>,
    settlement: Settlement<'_>,
) {
    bench.say(peer, &[Frame::Settle { lease: delivery.lease, settlement }]);
}

pub fn reject(bench: &mut Bench, peer: &mut Peer, delivery: &Delivery<'_>, reason: &str) {
    settle(bench, peer, delivery, Settlement::Reject { reason: Some(reason) });
}

/// Queues whose full ones shed into the next, `names[0]` into `names[1]` and so on in a circle.
fn circle(bench: &mut Bench, peer: &mut Peer, names: &[&str], messages_max: u64) {
    for (index, name) in names.iter().enumerate() {
        let next = names[(index + 1) % names.len()];
        let options = QueueOptions {
            overflow: Some(Overflow::DeadLetter),
            dead_letter: Some(DeadLetter::Queue(next.into())),
            ..ring(messages_max)
        };
        declare(bench, peer, name, options);
    }
}

#[test]
fn a_dead_letter_tells_where_why_and_when_it_died() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let options = QueueOptions { deliveries_max: Some(2), ..QueueOptions::default() };
    declare(&mut bench, &mut peer, "jobs", options);
    bench.send(&mut peer, "jobs", b"a");
    let mut delivery = take(&mut bench, &mut peer, "jobs", 1)[0];
    assert_eq!(delivery.deaths, None);
    for _ in 0..2 {
        let retry = Settlement::Retry { after_ms: Some(0), reason: Some("boom") };
        bench.pass_ms(10);
        settle(&mut bench, &mut peer, &delivery, retry);
        delivery = deliveries(&mut bench, &peer).pop().unwrap_or(delivery);
    }
    let died_at = bench.now.unix;
    bench.restart();
    let mut peer = bench.join(2);
    let dead = take(&mut bench, &mut peer, "jobs.dead", 1)[0];
    let death = Death {
        queue: "jobs",
        reason: Reason::DeliveriesMax,
        count: 1,
        attempts: 2,
        first_at: died_at,
        last_at: died_at,
        note: Some("boom"),
    };
    assert_eq!(history(&dead), History { recent: 1, deaths: vec![death] });
    assert_eq!((dead.dead_reason, dead.attempt), (Some("boom"), 1));

    bench.pass_ms(5);
    reject(&mut bench, &mut peer, &dead, "");
    let dead = deliveries(&mut bench, &peer)[0];
    let at = UnixMillis(died_at.0 + 5);
    let again = Death {
        queue: "jobs.dead",
        reason: Reason::Rejected,
        attempts: 1,
        first_at: at,
        last_at: at,
        note: None,
        ..death
    };
    assert_eq!(history(&dead), History { recent: 2, deaths: vec![again, death] });
    assert_eq!(dead.dead_reason, Some("rejected"));
}

#[test]
fn a_lost_lease_is_a_reason_of_its_own() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let options =
        QueueOptions { deliveries_max: Some(1), lease_ms: Some(100), ..QueueOptions::default() };
    declare(&mut bench, &mut peer, "jobs", options);
    bench.send(&mut peer, "jobs", b"a");
    take(&mut bench, &mut peer, "jobs", 1);
    bench.pass_ms(100);
    let dead = take(&mut bench, &mut peer, "jobs.dead", 2)[0];
    assert_eq!(history(&dead).deaths[0].reason, Reason::LeaseLost);
    assert_eq!(dead.dead_reason, Some("lease expired"));
}

#[test]
fn a_history_is_in_the_checkpoint_and_ends_with_its_message() {
    let limits = Limits { checkpoint_bytes_min: 4096, ..Limits::default() };
    let mut bench = Bench::with(limits);
    let mut peer = bench.join(1);
    for body in [b"a", b"b"] {
        bench.send(&mut peer, "jobs", body);
    }
    for delivery in take(&mut bench, &mut peer, "jobs", 2) {
        reject(&mut bench, &mut peer, &delivery, "no");
    }
    // Enough for a checkpoint, with one of the two leased.
    take(&mut bench, &mut peer, "jobs.dead", 1);
    for _ in 0..40 {
        bench.send(&mut peer, "other", &[7; 400]);
    }
    let digest = bench.node.broker().expect("it serves").digest();
    bench.restart();
    assert_eq!(bench.node.broker().expect("it serves").digest(), digest);
    let mut peer = bench.join(2);
    bench.input(tabmq::broker::io::Input::Present { clients: &[peer.id] });
    let dead = take(&mut bench, &mut peer, "jobs.dead", 3);
    assert_eq!(bodies(&dead), [b"a", b"b"]);
    for delivery in &dead {
        assert!(history(delivery).deaths.iter().any(|death| death.note == Some("no")));
        settle(&mut bench, &mut peer, delivery, Settlement::Ack { value: None });
    }
    let state = bench.node.broker().expect("it serves").state();
    assert_eq!(state.deaths.of(dead[0].number), None);
}

#[test]
fn a_dead_letter_queue_holds_its_own_limits() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    declare(&mut bench, &mut peer, "jobs.dead", ring(2));
    for body in [b"a", b"b", b"c"] {
        bench.send(&mut peer, "jobs", body);
    }
    for delivery in take(&mut bench, &mut peer, "jobs", 3) {
        reject(&mut bench, &mut peer, &delivery, "no");
    }
    let state = counts(&mut bench, &mut peer, "jobs.dead");
    assert_eq!((state.ready, state.discarded_total), (2, 1));
    assert_eq!(bodies(&take(&mut bench, &mut peer, "jobs.dead", 9)), [b"b", b"c"]);
}

#[test]
fn a_full_dead_letter_queue_sheds_into_its_own() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let options = QueueOptions { overflow: Some(Overflow::DeadLetter), ..ring(1) };
    for queue in ["a", "a.dead"] {
        declare(&mut bench, &mut peer, queue, options.clone());
    }
    for body in [b"1", b"2", b"3"] {
        bench.send(&mut peer, "a", body);
    }
    let dead = take(&mut bench, &mut peer, "a.dead.dead", 9);
    assert_eq!(bodies(&dead), [b"1"]);
    let queues: Vec<&str> = history(&dead[0]).deaths.iter().map(|death| death.queue).collect();
    assert_eq!(queues, ["a.dead", "a"]);
}

#[test]
fn what_goes_in_a_circle_is_discarded_and_counted() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    circle(&mut bench, &mut peer, &["a", "b"], 1);
    for body in [b"1", b"2", b"3", b"4"] {
        bench.send(&mut peer, "a", body);
    }
    // 1 went to b, and 2 pushed it out there: to a it does not come back.
    let (a, b) = (counts(&mut bench, &mut peer, "a"), counts(&mut bench, &mut peer, "b"));
    assert_eq!((a.ready, a.dead_lettered_total, a.discarded_total), (1, 3, 0));
    assert_eq!((b.ready, b.dead_lettered_total, b.discarded_total), (1, 0, 2));
}

#[test]
fn a_consumer_in_between_makes_it_no_circle() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    circle(&mut bench, &mut peer, &["a", "b"], 1);
    for body in [b"1", b"2"] {
        bench.send(&mut peer, "a", body);
    }
    let shed = take(&mut bench, &mut peer, "b", 1)[0];
    assert_eq!(shed.body, b"1");
    // Back in a, the older of the two, and pushed out again.
    reject(&mut bench, &mut peer, &shed, "no");
    let shed = deliveries(&mut bench, &peer)[0];
    assert_eq!(shed.body, b"1");
    let known: Vec<_> = history(&shed)
        .deaths
        .iter()
        .map(|death| (death.queue, death.reason, death.count))
        .collect();
    assert_eq!(known, [("a", Reason::Overflow, 2), ("b", Reason::Rejected, 1)]);
    assert_eq!(counts(&mut bench, &mut peer, "b").discarded_total, 0);
}

#[test]
fn no_circle_is_too_long_to_end() {
    let limits = Limits { deaths_max: 3, ..Limits::default() };
    let mut bench = Bench::with(limits);
    let mut peer = bench.join(1);
    let names = ["a", "b", "c", "d", "e", "f"];
    circle(&mut bench, &mut peer, &names, 0);
    bench.send(&mut peer, "a", b"1");
    let discarded: u64 =
        names.map(|name| counts(&mut bench, &mut peer, name).discarded_total).iter().sum();
    assert_eq!(discarded, 1);
}

#[test]
fn what_a_consumer_says_is_shortened_and_nothing_is_no_note() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    bench.send(&mut peer, "jobs", b"a");
    let delivery = take(&mut bench, &mut peer, "jobs", 1)[0];
    reject(&mut bench, &mut peer, &delivery, &"\u{e4}".repeat(200));
    bench.say(&mut peer, &[Frame::CancelConsumer { consumer: ConsumerId(1) }]);
    let dead = take(&mut bench, &mut peer, "jobs.dead", 2)[0];
    assert_eq!(history(&dead).deaths[0].note.map(str::len), Some(254));
}
