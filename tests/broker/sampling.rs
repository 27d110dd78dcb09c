//! Schedules that sample a topic: its newest live publish, once, at their times.

use tabmq::broker::io::Input;
use tabmq::cbor;
use tabmq::error::Code;
use tabmq::id::{Epoch, LinkNonce, PublishNumber, RequestId};
use tabmq::limits::Limits;
use tabmq::options::QueueOptions;
use tabmq::time::UnixMillis;
use tabmq::wire::frame::{Filter, Item, Live, Properties, Redrive, Scheduling, Task, When};
use tabmq::wire::{Envelope, Frame, MessageWriter};

use crate::harness::{Bench, Peer, item};
use crate::overflow::{bodies, counts, declare, take};
use crate::schedules::{counted, cron, digest, every, know_zones, list, schedule, unschedule};

const MESSAGES: u32 = 50;

fn order<'a>(key: &'a str, when: When<'a>, latest: &'a str) -> Scheduling<'a> {
    Scheduling { key, when, item: item(b""), latest: Some(latest) }
}

fn publish_with(
    bench: &mut Bench,
    peer: &Peer,
    number: u64,
    topic: &str,
    body: &[u8],
    properties: Option<&[u8]>,
) {
    let (publisher, index, number) = (peer.id, number - 1, PublishNumber(number));
    let mut writer = MessageWriter::new(2 << 20);
    writer.push(&Frame::Publish(Live { publisher, number, index, topic, body, properties }));
    let epoch = Epoch::default();
    let head = || Envelope { epoch, client: publisher, link: LinkNonce(0), position: 0 };
    let bytes = writer.take_message(head).expect("a message");
    bench.input(Input::Heard { bytes: &bytes });
}

fn publish(bench: &mut Bench, peer: &Peer, number: u64, topic: &str, body: &[u8]) {
    publish_with(bench, peer, number, topic, body, None);
}

fn encoded(properties: &Properties<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    cbor::encode(properties, &mut bytes);
    bytes
}

#[test]
fn each_time_sends_the_newest_value_and_none_that_was_sent_before() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let start = bench.now.unix.0;
    assert_eq!(schedule(&mut bench, &mut peer, order("k", every(10_000), "price.eu")), None);
    for (number, body) in (1..).zip([b"1", b"2", b"3"]) {
        publish(&mut bench, &peer, number, "price.eu", body);
    }
    publish(&mut bench, &peer, 4, "price.us", b"us");
    publish(&mut bench, &peer, 5, "price.eu.x", b"eu.x");
    bench.pass_ms(10_000);
    // What comes again is not new.
    publish(&mut bench, &peer, 3, "price.eu", b"3");
    bench.pass_ms(20_000);
    let [entry] = list(&mut bench, &mut peer, None)[..] else { panic!("one schedule") };
    assert_eq!(entry.latest, Some("price.eu"));
    assert_eq!(entry.due_at, Some(UnixMillis(start + 40_000)));
    let last = entry.last.expect("it was due");
    assert_eq!((last.count, last.at), (3, UnixMillis(start + 30_000)));
    publish(&mut bench, &peer, 6, "price.eu", b"6");
    bench.pass_ms(10_000);
    let sent = take(&mut bench, &mut peer, "q", MESSAGES);
    assert_eq!(bodies(&sent), [b"3", b"6"]);
    let ids: Vec<_> = sent.iter().map(|d| (d.lane.0, d.sequence.0 == d.number.0)).collect();
    assert_eq!(ids, [(0, true); 2]);
    let times: Vec<_> = sent.iter().map(|found| found.stored_at.0 - start).collect();
    assert_eq!(times, [10_000, 40_000]);
}

#[test]
fn a_value_keeps_its_properties_and_is_outside_dedupe() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let options = QueueOptions { dedupe_ms: Some(600_000), ..QueueOptions::default() };
    declare(&mut bench, &mut peer, "q", options);
    let ttl_ms = Some(60_000);
    let item = Item { ttl_ms, ..item(b"") };
    let lasting = Scheduling { item, ..order("k", every(1000), "t") };
    assert_eq!(schedule(&mut bench, &mut peer, lasting), None);
    let known = Properties {
        headers: Some(&[0xa0]),
        key: Some("eu"),
        reply_to: Some("r"),
        correlation_id: Some("c"),
        ..Properties::default()
    };
    let named = encoded(&Properties { id: Some("own"), ..known });
    for number in 1..=2 {
        publish_with(&mut bench, &peer, number, "t", b"x", Some(&named));
        bench.pass_ms(1000);
    }
    // No queue takes these, so they are nothing to send.
    publish_with(&mut bench, &peer, 3, "t", b"x", Some(&[0xff]));
    let long = "h".repeat(Limits::default().headers_bytes_max as usize);
    let long = encoded(&Properties { headers: Some(long.as_bytes()), ..known });
    publish_with(&mut bench, &peer, 4, "t", b"x", Some(&long));
    bench.pass_ms(1000);
    let sent = take(&mut bench, &mut peer, "q", MESSAGES);
    assert_eq!(bodies(&sent), [b"x"; 2]);
    for found in sent {
        assert_eq!(found.properties, Some(&*encoded(&known)));
    }
}

#[test]
fn schedules_of_one_topic_each_send_its_value() {
    let mut bench = Bench::new();
    know_zones(&mut bench);
    let mut peer = bench.join(1);
    bench.now.unix = UnixMillis(1_774_746_000_000);
    schedule(&mut bench, &mut peer, order("often", every(5000), "t"));
    schedule(
        &mut bench,
        &mut peer,
        order("utc", When::Cron { cron: "* * * * *", zone: None }, "t"),
    );
    schedule(&mut bench, &mut peer, order("zone", cron("0 6 * * *", "Europe/Berlin"), "t"));
    publish(&mut bench, &peer, 1, "t", b"1");
    bench.pass_ms(5000);
    publish(&mut bench, &peer, 2, "t", b"2");
    bench.pass_ms(60_000);
    assert_eq!(counts(&mut bench, &mut peer, "q").ready, 3);
    bench.pass_ms(4 * 3_600_000);
    assert_eq!(bodies(&take(&mut bench, &mut peer, "q", MESSAGES)), [b"1", b"2", b"2", b"2"]);
}

#[test]
fn one_that_takes_a_place_sends_what_the_earlier_one_has_not() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    schedule(&mut bench, &mut peer, order("k", every(10_000), "t"));
    publish(&mut bench, &peer, 1, "t", b"1");
    // The same again, and one that differs in its time.
    schedule(&mut bench, &mut peer, order("k", every(10_000), "t"));
    schedule(&mut bench, &mut peer, order("k", every(5000), "t"));
    bench.pass_ms(5000);
    assert_eq!(counts(&mut bench, &mut peer, "q").ready, 1);
    publish(&mut bench, &peer, 2, "t", b"2");
    publish(&mut bench, &peer, 3, "u", b"3");
    // Of another topic only what comes from here on counts.
    schedule(&mut bench, &mut peer, order("k", every(5000), "u"));
    bench.pass_ms(5000);
    assert_eq!(counts(&mut bench, &mut peer, "q").ready, 1);
    publish(&mut bench, &peer, 4, "t", b"4");
    publish(&mut bench, &peer, 5, "u", b"5");
    bench.pass_ms(5000);
    assert_eq!(bodies(&take(&mut bench, &mut peer, "q", MESSAGES)), [b"1", b"5"]);
    publish(&mut bench, &peer, 6, "u", b"6");
    let number = list(&mut bench, &mut peer, None)[0].number;
    assert_eq!(unschedule(&mut bench, &mut peer, number), counted(1));
    bench.pass_ms(10_000);
    assert_eq!(counts(&mut bench, &mut peer, "q").ready, 0);
}

#[test]
fn another_node_sends_what_is_published_from_then_on() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    schedule(&mut bench, &mut peer, order("k", every(10_000), "t"));
    publish(&mut bench, &peer, 1, "t", b"1");
    bench.now.unix.0 += 25_000;
    bench.restart();
    let mut peer = bench.join(2);
    // The time that was missed is passed over, and not made up for.
    let entry = list(&mut bench, &mut peer, None)[0];
    assert_eq!(entry.latest, Some("t"));
    assert_eq!(entry.last.map(|last| last.count), Some(1));
    publish(&mut bench, &peer, 1, "t", b"2");
    assert_eq!(counts(&mut bench, &mut peer, "q").ready, 0);
    bench.pass_ms(5000);
    assert_eq!(bodies(&take(&mut bench, &mut peer, "q", MESSAGES)), [b"2"]);
    assert_eq!(list(&mut bench, &mut peer, None)[0].last.map(|last| last.count), Some(2));
}

#[test]
fn a_full_queue_gets_the_value_that_is_newest_when_there_is_room() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let options = QueueOptions { messages_max: Some(1), ..QueueOptions::default() };
    declare(&mut bench, &mut peer, "q", options);
    schedule(&mut bench, &mut peer, order("k", every(10_000), "t"));
    for (number, body) in (1..).zip([b"1", b"2", b"3"]) {
        publish(&mut bench, &peer, number, "t", body);
        bench.pass_ms(10_000);
    }
    let (request, task) = (RequestId(50), Some(Task::Discard));
    let filter = Some(Filter::default());
    let redrive = Redrive { queue: Some("q"), task, filter, ..Redrive::default() };
    bench.say(&mut peer, &[Frame::Redrive { request, redrive }]);
    bench.pass_ms(1000);
    assert_eq!(bodies(&take(&mut bench, &mut peer, "q", MESSAGES)), [b"3"]);
    // One that has nothing to send needs no room.
    bench.pass_ms(10_000);
    assert_eq!(list(&mut bench, &mut peer, None)[0].last.map(|last| last.count), Some(3));
}

#[test]
fn what_can_not_be_sampled_is_refused_and_changes_nothing() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    schedule(&mut bench, &mut peer, order("k", every(10_000), "t"));
    let (before, long) = (list(&mut bench, &mut peer, None), "t".repeat(2000));
    let with = |item: Item<'static>| Scheduling { item, ..order("k", every(1000), "t") };
    let at = When::At { at: UnixMillis(1) };
    let cases = [
        order("k", every(1000), ""),
        order("k", every(1000), "a.*"),
        order("k", every(1000), "a.#"),
        order("k", every(1000), "a..b"),
        order("k", every(1000), &long),
        order("k", every(1000), "$tabmq.queue"),
        order("k", at, "t"),
        with(item(b"x")),
        with(Item { properties: Some(&[0x80]), ..item(b"") }),
    ];
    for wrong in cases {
        let refused = schedule(&mut bench, &mut peer, wrong);
        assert_eq!(refused, Some((Code::Invalid, "latest")), "{wrong:?}");
        assert_eq!(list(&mut bench, &mut peer, None), before);
    }
    let same = digest(&bench);
    publish(&mut bench, &peer, 1, "a.b", b"x");
    assert_eq!(digest(&bench), same);
}
