//! Logs that earlier builds wrote.

use tabmq::broker::io::Event;
use tabmq::id::{ChunkNumber, Epoch, LeaseNumber};
use tabmq::limits::Limits;
use tabmq::log::MemoryStore;
use tabmq::store::Key;
use tabmq::wire::Frame;
use tabmq::wire::frame::Settlement;

use crate::harness::{Bench, Peer};
use crate::overflow::{bodies, counts, take};

/// A log in format 1 as the last build that wrote it left it, a value on each line: messages 0 to
/// 39 of "work", each 5 ms after the one before; one of "later" that is delayed by a minute; of the
/// first four deliveries, to client 2, one was acknowledged and one rejected, so it got two more.
/// Some messages moved.
const FORMAT_1: &str = include_str!("format1.txt");

fn store() -> MemoryStore {
    let mut store = MemoryStore::default();
    for line in FORMAT_1.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words[at].parse().expect("a number");
        let digits = |at: usize| u8::from_str_radix(&words[2][at..at + 2], 16).expect("hex");
        let bytes = || (0..words[2].len()).step_by(2).map(digits).collect();
        let key = match words[0] {
            "fence" => {
                let epoch = Epoch { counter: number(1), incarnation: number(2) };
                *store.fence_mut() = Some(epoch);
                continue;
            }
            "manifest" => Key::Manifest,
            "page" => Key::Page(number(1)),
            "chunk" => Key::Chunk(ChunkNumber(number(1))),
            other => panic!("{other}"),
        };
        store.values_mut().insert(key, bytes());
    }
    store
}

fn limits() -> Limits {
    Limits {
        chunk_bytes_max: 512,
        page_bytes_max: 256,
        checkpoint_bytes_min: 2048,
        log_reserve_bytes: 0,
        ..Limits::default()
    }
}

fn formats(store: &mut MemoryStore) -> Vec<u8> {
    let of = |(key, bytes): (&Key, &Vec<u8>)| match key {
        Key::Manifest => Some(bytes[1]),
        Key::Chunk(_) => Some(bytes[4]),
        Key::Page(_) | Key::Note => None,
    };
    store.values_mut().iter().filter_map(of).collect()
}

fn acknowledge(bench: &mut Bench, worker: &mut Peer, lease: LeaseNumber) {
    let settlement = Settlement::Ack { value: None };
    bench.say(worker, &[Frame::Settle { lease, settlement }]);
}

#[test]
fn a_log_of_the_first_format_is_read_and_becomes_one_of_this_format() {
    let mut bench = Bench::cold(store(), limits());
    bench.settle();
    assert!(matches!(bench.take_events()[..], [Event::Ready { .. }]), "nothing is wrong with it");
    assert!(formats(&mut bench.store).iter().all(|format| *format == 1));
    let mut worker = bench.join(3);
    assert_eq!(counts(&mut bench, &mut worker, "later").delayed, 1);
    let dead = take(&mut bench, &mut worker, "work.dead", 1);
    assert_eq!(bodies(&dead), [b"work 1"]);
    let before = bench.node.broker().expect("it serves").digest();
    bench.restart();
    assert_eq!(bench.node.broker().expect("it serves").digest(), before);

    // What is taken and sent makes checkpoints and moves; the last old chunk goes with its last
    // message.
    let (mut worker, mut producer) = (bench.join(3), bench.join(4));
    let mut taken = take(&mut bench, &mut worker, "work", 100);
    taken.sort_by_key(|delivery| delivery.number);
    // Client 2 may still come back for what it holds.
    let told: Vec<String> = (6..40).map(|number| format!("work {number}")).collect();
    assert_eq!(bodies(&taken), told.iter().map(String::as_bytes).collect::<Vec<_>>());
    for (age_ms, delivery) in (0..).map(|age| age * 5).zip(&taken) {
        assert_eq!(delivery.stored_at.0, taken[0].stored_at.0 + age_ms);
        acknowledge(&mut bench, &mut worker, delivery.lease);
    }
    for _ in 0..100 {
        bench.send(&mut producer, "new", &[7; 100]);
    }
    let found = formats(&mut bench.store);
    assert_eq!(found[0], 2, "a checkpoint was written");
    assert!(found.contains(&1), "the others wait in old chunks");
    let before = bench.node.broker().expect("it serves").digest();
    bench.restart();
    assert_eq!(bench.node.broker().expect("it serves").digest(), before);
    let mut worker = bench.join(3);
    bench.pass_ms(70_000);
    let later = take(&mut bench, &mut worker, "later", 1);
    assert_eq!(bodies(&later), [b"later"]);
    let work = take(&mut bench, &mut worker, "work", 5);
    assert_eq!(bodies(&work), [b"work 2", b"work 3", b"work 4", b"work 5"]);
}
