//! A log over a store in memory, and what its records say.

use std::collections::{BTreeMap, VecDeque};

use tabmq::id::{Epoch, LaneId, LeaseNumber, LogId, MessageNumber, OpId, QueueId, Sequence};
use tabmq::limits::Limits;
use tabmq::log::record::{LeaseEnd, StoredMessage};
use tabmq::log::{
    Log, LogConfig, LogEvent, MemoryStore, NewIdentity, Place, Record, Recovery, RecoveryFault,
};
use tabmq::rules::Rules;
use tabmq::store::{StorageAction, StorageResult};
use tabmq::time::UnixMillis;

/// Small bounds, so that a few records reach each of them.
pub const LIMITS: Limits = Limits {
    chunk_bytes_max: 256,
    page_bytes_max: 128,
    resident_bytes_max: 1024,
    checkpoint_bytes_min: 2048,
    log_reserve_bytes: 0,
    ..Limits::DEFAULTS
};

pub fn config() -> LogConfig {
    LogConfig::new(&LIMITS, Rules::ON)
}

/// The identity of the node that starts as number `start`.
pub fn identity(start: u64) -> NewIdentity {
    let mut log = [0; 16];
    log[..8].copy_from_slice(&start.to_le_bytes());
    NewIdentity { log: LogId(log), incarnation: 1000 + start }
}

/// What a log holds: the place of each message that has not ended.
pub type Live = BTreeMap<MessageNumber, Place>;

/// All messages count the same in these tests, whatever their bodies.
pub const MESSAGE_BYTES: u32 = 60;

/// Does to `live` what a record says.
pub fn apply(live: &mut Live, place: Place, record: &Record<'_>) {
    match record {
        Record::Message(message) => {
            live.insert(message.number, place);
        }
        Record::Kept { number, place, .. } => {
            live.insert(*number, *place);
        }
        Record::Moved { from, message, .. } => {
            let before = live.insert(message.number, place);
            assert_eq!(before, Some(*from), "a message moves from where it is");
        }
        Record::Ended { lease, .. } => {
            live.remove(&MessageNumber(lease.0));
        }
        _ => {}
    }
}

/// The record by which a checkpoint keeps a message.
fn kept(number: MessageNumber, place: Place) -> Record<'static> {
    Record::Kept {
        queue: QueueId(1),
        number,
        place,
        body_bytes: 0,
        attempts: 0,
        due_at: None,
        deaths: None,
        properties_bytes: None,
        expires_at: None,
        key: None,
        priority: None,
    }
}

/// The record of a message.
pub fn message(number: u64, body: &[u8]) -> Record<'_> {
    Record::Message(StoredMessage {
        queue: QueueId(1),
        number: MessageNumber(number),
        lane: LaneId(1),
        sequence: Sequence(number),
        index: 0,
        stored_at: UnixMillis(0),
        due_at: None,
        body,
        properties: None,
        tracked: None,
        past: None,
        expires_at: None,
        priority: None,
    })
}

/// The record of a message's end. These tests give the lease the number of its message.
pub fn ended(number: u64) -> Record<'static> {
    let lease = LeaseNumber(number);
    Record::Ended { lease, end: LeaseEnd::Acked { value: None }, by_holder: true }
}

/// Runs a recovery over `store` to its end.
pub fn recover_with(
    store: &mut MemoryStore,
    mut recovery: Recovery,
) -> Result<(Log, Live), RecoveryFault> {
    let mut live = Live::new();
    loop {
        let (op, action) = recovery.poll_storage().expect("a recovery asks until it is done");
        let result = store.perform(&action);
        let done = recovery.handle_stored(op, result, &mut |place, record| {
            apply(&mut live, place, record);
        })?;
        if done {
            let mut log = recovery.finish();
            for place in live.values() {
                log.retain(*place, MESSAGE_BYTES);
            }
            return Ok((log, live));
        }
    }
}

pub fn recover(store: &mut MemoryStore, start: u64) -> Result<(Log, Live), RecoveryFault> {
    recover_with(store, Recovery::new(config(), identity(start), Epoch::default()))
}

/// A log, its store, what it was asked to do and what it holds.
pub struct Bench {
    pub store: MemoryStore,
    pub log: Log,
    pub live: Live,
    pub next: u64,
    pub starts: u64,
    /// Storage operations that were taken from the log and not performed.
    pub asked: VecDeque<(OpId, StorageAction)>,
}

impl Bench {
    pub fn new() -> Self {
        Self::over(MemoryStore::default())
    }

    pub fn over(mut store: MemoryStore) -> Self {
        let (log, live) = recover(&mut store, 1).expect("the store is sound");
        let next = live.last_key_value().map_or(1, |(number, _)| number.0 + 1);
        Self { store, log, live, next, starts: 1, asked: VecDeque::new() }
    }

    /// Appends a message with a body of this length and gives its number.
    pub fn send(&mut self, body_bytes: usize) -> u64 {
        let number = self.next;
        self.next += 1;
        let body = body(number, body_bytes);
        let place = self.log.append(&message(number, &body));
        self.log.retain(place, MESSAGE_BYTES);
        apply(&mut self.live, place, &message(number, &body));
        number
    }

    /// Appends the end of a message.
    pub fn end(&mut self, number: u64) {
        let place = self.live.remove(&MessageNumber(number)).expect("the message lives");
        self.log.append(&ended(number));
        self.log.release(place, MESSAGE_BYTES);
    }

    /// Takes what the log asks for now.
    pub fn ask(&mut self) {
        while let Some(asked) = self.log.poll_storage() {
            self.asked.push_back(asked);
        }
    }

    /// Performs the operation that was taken first.
    pub fn perform(&mut self) -> Option<LogEvent> {
        let (op, action) = self.asked.pop_front()?;
        let result = self.store.perform(&action);
        Some(self.log.handle_stored(op, result))
    }

    /// Answers the operation that was taken first without performing it.
    pub fn answer(&mut self, result: StorageResult) -> LogEvent {
        self.ask();
        let (op, _) = self.asked.pop_front().expect("an operation is asked for");
        self.log.handle_stored(op, result)
    }

    /// Performs all there is.
    pub fn drain(&mut self) -> Vec<LogEvent> {
        let mut events = Vec::new();
        loop {
            self.ask();
            match self.perform() {
                Some(event) => events.push(event),
                None => return events,
            }
        }
    }

    /// Writes a checkpoint of what lives.
    pub fn checkpoint(&mut self) {
        let all = MessageNumber(0)..MessageNumber(u64::MAX);
        for numbers in self.log.begin_pieces(&[all]).into_iter().flatten() {
            // Each piece as it was cut before is a run of its own.
            self.log.begin_run(numbers.start);
            for (number, place) in self.live.range(numbers) {
                self.log.piece_record(*number, &kept(*number, *place));
            }
        }
        self.log.finish_checkpoint();
    }

    /// Moves the messages of sparse chunks, as far as they are in memory, and has the others read.
    pub fn rewrite(&mut self) {
        let sparse = self.log.sparse_chunks();
        for (number, from) in self.live.clone() {
            if !sparse.contains(&from.chunk) {
                continue;
            }
            let Some(message) = self.log.message(from) else {
                self.log.load(from.chunk);
                continue;
            };
            let body = message.body.to_vec();
            let Record::Message(message) = crate::harness::message(number.0, &body) else {
                continue;
            };
            let moved = Record::Moved { from, queue: QueueId(1), lease: None, message };
            let place = self.log.append(&moved);
            self.log.relocate(from, place, MESSAGE_BYTES);
            apply(&mut self.live, place, &moved);
        }
    }

    /// The node dies and another one starts.
    pub fn restart(&mut self) -> Result<(), RecoveryFault> {
        self.asked.clear();
        self.starts += 1;
        (self.log, self.live) = recover(&mut self.store, self.starts)?;
        Ok(())
    }

    /// Reads the body of every live message, by effects where it is not in memory.
    pub fn check_bodies(&mut self) {
        for (number, place) in self.live.clone() {
            if self.log.message(place).is_none() {
                self.log.load(place.chunk);
                let events = self.drain();
                assert!(events.contains(&LogEvent::Loaded(place.chunk)), "{place:?}: {events:?}");
            }
            let message = self.log.message(place).expect("the chunk is in memory");
            assert_eq!(message.number, number);
            assert_eq!(message.body, body(number.0, message.body.len()));
        }
    }
}

/// A body that tells its message.
pub fn body(number: u64, length: usize) -> Vec<u8> {
    (0..length as u64).map(|at| (number.wrapping_mul(31).wrapping_add(at) & 0xff) as u8).collect()
}
