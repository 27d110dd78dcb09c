//! What the log itself costs, over a store in memory.

use std::ops::Range;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use tabmq::id::{ChunkNumber, Epoch, LaneId, LogId, MessageNumber, QueueId, Sequence};
use tabmq::limits::Limits;
use tabmq::log::record::StoredMessage;
use tabmq::log::{Log, LogConfig, MemoryStore, NewIdentity, Place, Record, Recovery};
use tabmq::rules::Rules;
use tabmq::time::UnixMillis;

fn main() {
    divan::main();
}

const MESSAGES: u64 = 10_000;
/// Messages to a commit.
const BATCH: u64 = 100;
const BODY: [u8; 200] = [7; 200];

fn message(number: u64) -> Record<'static> {
    Record::Message(StoredMessage {
        queue: QueueId(1),
        number: MessageNumber(number),
        lane: LaneId(1),
        sequence: Sequence(number),
        index: 0,
        stored_at: UnixMillis(1_764_000_000_000),
        due_at: None,
        body: &BODY,
        properties: None,
        tracked: None,
        past: None,
        expires_at: None,
        priority: None,
    })
}

fn recover(store: &mut MemoryStore) -> (Log, u64) {
    let config = LogConfig::new(&Limits::DEFAULTS, Rules::ON);
    let identity = NewIdentity { log: LogId([1; 16]), incarnation: 1 };
    let mut recovery = Recovery::new(config, identity, Epoch::default());
    let mut records = 0;
    while let Some((op, action)) = recovery.poll_storage() {
        let result = store.perform(&action);
        recovery.handle_stored(op, result, &mut |_, _| records += 1).unwrap();
    }
    (recovery.finish(), records)
}

fn drain(log: &mut Log, store: &mut MemoryStore) {
    while let Some((op, action)) = log.poll_storage() {
        let result = store.perform(&action);
        log.handle_stored(op, result);
    }
}

fn fill(store: &mut MemoryStore) {
    let (mut log, _) = recover(store);
    for number in 1..=MESSAGES {
        log.append(&message(number));
        if number % BATCH == 0 {
            drain(&mut log, store);
        }
    }
}

#[divan::bench]
fn append_and_commit(bencher: Bencher<'_, '_>) {
    let bytes = MESSAGES * BODY.len() as u64;
    let bencher = bencher.counter(ItemsCount::new(MESSAGES)).counter(BytesCount::new(bytes));
    bencher.bench(|| {
        let mut store = MemoryStore::default();
        fill(&mut store);
        store
    });
}

#[divan::bench]
fn recover_a_tail(bencher: Bencher<'_, '_>) {
    let mut store = MemoryStore::default();
    fill(&mut store);
    bencher.counter(ItemsCount::new(MESSAGES)).bench_local(|| {
        let (_, records) = recover(&mut store);
        assert_eq!(records, MESSAGES);
    });
}

/// What a checkpoint costs for each message that waits, though few of its pages are written.
#[divan::bench]
fn checkpoint_again(bencher: Bencher<'_, '_>) {
    let mut store = MemoryStore::default();
    let (mut log, _) = recover(&mut store);
    let mut first = 1;
    bencher.counter(ItemsCount::new(MESSAGES)).bench_local(|| {
        let end = first + MESSAGES;
        let ends = [(first.saturating_sub(BATCH), first), (end.saturating_sub(BATCH), end)];
        let changed = ends.map(|(start, end)| MessageNumber(start)..MessageNumber(end));
        let runs = log.begin_pieces(&changed);
        let numbers = |run: &Vec<Range<MessageNumber>>| {
            run[0].start.0.max(first)..run[run.len() - 1].end.0.min(end)
        };
        for run in &runs {
            log.begin_run(run[0].start);
            for number in numbers(run) {
                log.piece_record(
                    MessageNumber(number),
                    &Record::Kept {
                        queue: QueueId(1),
                        number: MessageNumber(number),
                        place: Place { chunk: ChunkNumber(number / 1000), offset: 48 },
                        body_bytes: 200,
                        attempts: 0,
                        due_at: None,
                        deaths: None,
                        properties_bytes: None,
                        key: None,
                        expires_at: None,
                        priority: None,
                    },
                );
            }
        }
        log.finish_checkpoint();
        drain(&mut log, &mut store);
        first += BATCH;
    });
}
