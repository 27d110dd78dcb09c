//! Random work, and a node that dies at any moment: between two operations, while one is performed,
//! before its answer. What comes back is exactly what was appended up to some chunk, and no chunk
//! that was reported as stored is missing.

use proptest::collection::vec;
use proptest::prelude::*;
use tabmq::id::{ChunkNumber, MessageNumber};
use tabmq::log::{LogEvent, Record, records_of};
use tabmq::store::{Key, StorageAction};

use crate::harness::{Bench, Live};

#[derive(Clone, Debug)]
enum Step {
    Send {
        body_bytes: usize,
    },
    Batch {
        messages: usize,
    },
    End {
        which: usize,
    },
    Read {
        which: usize,
    },
    Strict,
    Checkpoint,
    /// Moves what lives in sparse chunks, into one.
    Rewrite,
    Ask,
    Perform,
    Drain,
    /// The node dies. `performed` operations were performed and not answered; of the next one,
    /// `parts` writes were made and `bytes` bytes of the one after them.
    Crash {
        performed: usize,
        parts: usize,
        bytes: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..300_usize).prop_map(|body_bytes| Step::Send { body_bytes }),
        2 => (1..8_usize).prop_map(|messages| Step::Batch { messages }),
        8 => any::<usize>().prop_map(|which| Step::End { which }),
        2 => any::<usize>().prop_map(|which| Step::Read { which }),
        1 => Just(Step::Strict),
        2 => Just(Step::Checkpoint),
        2 => Just(Step::Rewrite),
        4 => Just(Step::Ask),
        4 => Just(Step::Perform),
        2 => Just(Step::Drain),
        2 => (0..3_usize, 0..6_usize, 0..400_usize)
            .prop_map(|(performed, parts, bytes)| Step::Crash { performed, parts, bytes }),
    ]
}

/// A log, and what it should hold if it ended with each chunk.
struct World {
    bench: Bench,
    /// What lived after the newest record of each chunk. Chunk 0 is the empty log.
    lived: Vec<(ChunkNumber, Live)>,
    durable: ChunkNumber,
}

impl World {
    fn new() -> Self {
        let lived = vec![(ChunkNumber(0), Live::new())];
        Self { bench: Bench::new(), lived, durable: ChunkNumber(0) }
    }

    fn remember(&mut self) {
        let chunk = self.bench.log.appended();
        if self.lived.last().is_some_and(|(last, _)| *last == chunk) {
            self.lived.pop();
        }
        self.lived.push((chunk, self.bench.live.clone()));
    }

    fn perform(&mut self) {
        match self.bench.perform() {
            Some(LogEvent::Durable(chunk)) => {
                assert!(chunk >= self.durable, "what is stored stays stored");
                self.durable = chunk;
            }
            Some(LogEvent::Unreadable(chunk)) => panic!("{chunk:?} is unreadable"),
            Some(LogEvent::Failed(fault)) => panic!("{fault:?}"),
            Some(LogEvent::Full | LogEvent::Room) => panic!("there is no reserve"),
            Some(LogEvent::Loaded(_) | LogEvent::Nothing) | None => {}
        }
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Send { body_bytes } => {
                self.bench.send(*body_bytes);
            }
            Step::Batch { messages } => {
                self.bench.log.begin_batch();
                let first = self.bench.next;
                for _ in 0..*messages {
                    self.bench.send(60);
                }
                self.bench.log.end_batch();
                let chunk = |number| self.bench.live[&MessageNumber(number)].chunk;
                assert_eq!(chunk(first), chunk(self.bench.next - 1), "a batch is one chunk");
            }
            Step::End { which } => {
                let live: Vec<MessageNumber> = self.bench.live.keys().copied().collect();
                if !live.is_empty() {
                    self.bench.end(live[which % live.len()].0);
                }
            }
            Step::Read { which } => {
                let live: Vec<_> = self.bench.live.values().copied().collect();
                if !live.is_empty() {
                    let place = live[which % live.len()];
                    if self.bench.log.message(place).is_none() {
                        self.bench.log.load(place.chunk);
                    }
                }
            }
            Step::Strict => self.bench.log.require_strict(),
            Step::Checkpoint => {
                if !self.bench.asked.iter().any(|(_, action)| writes_manifest(action)) {
                    self.bench.checkpoint();
                }
            }
            Step::Rewrite => {
                self.bench.log.begin_batch();
                self.bench.rewrite();
                self.bench.log.end_batch();
            }
            Step::Ask => self.bench.ask(),
            Step::Perform => self.perform(),
            Step::Drain => {
                self.bench.ask();
                while !self.bench.asked.is_empty() {
                    self.perform();
                    self.bench.ask();
                }
                assert_eq!(self.bench.log.durable(), self.bench.log.appended());
            }
            Step::Crash { performed, parts, bytes } => {
                return self.crash(*performed, *parts, *bytes);
            }
        }
        self.remember();
    }

    fn crash(&mut self, performed: usize, parts: usize, bytes: usize) {
        let mut asked = std::mem::take(&mut self.bench.asked).into_iter();
        for (_, action) in asked.by_ref().take(performed) {
            self.bench.store.perform(&action).expect("this node holds the fence");
        }
        if let Some((_, action)) = asked.next() {
            perform_partly(&mut self.bench, action, parts, bytes);
        }
        self.bench.restart().expect("the log is sound");
        let last = self.bench.log.durable();
        assert!(last >= self.durable, "{last:?} is before {:?}", self.durable);
        self.durable = last;
        let position = self.lived.iter().rposition(|(chunk, _)| *chunk <= last).unwrap();
        assert_eq!(self.bench.live, self.lived[position].1, "what lived up to {last:?}");
        self.lived.truncate(position + 1);
        self.bench.check_bodies();
    }
}

fn writes_manifest(action: &StorageAction) -> bool {
    let StorageAction::Commit { puts, .. } = action else { return false };
    puts.iter().any(|(key, _)| *key == Key::Manifest)
}

/// What a medium without transactions may have done when the power went: puts, then the manifest,
/// then deletes, in that order, the last put only in part.
fn perform_partly(bench: &mut Bench, action: StorageAction, parts: usize, bytes: usize) {
    let StorageAction::Commit { puts, deletes, .. } = action else { return };
    let (manifest, values): (Vec<_>, Vec<_>) =
        puts.into_iter().partition(|(key, _)| *key == Key::Manifest);
    let stored = bench.store.values_mut();
    for (index, (key, value)) in values.iter().enumerate() {
        if index == parts {
            let part = value.get(..bytes).unwrap_or(value);
            stored.insert(*key, part.to_vec());
        }
        if index >= parts {
            return;
        }
        stored.insert(*key, value.clone());
    }
    if parts == values.len() {
        return;
    }
    stored.extend(manifest);
    for key in deletes.iter().take(parts - values.len() - 1) {
        stored.remove(key);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_comes_back_is_what_was_appended_up_to_some_chunk(steps in vec(step(), 1..150)) {
        let mut world = World::new();
        for step in &steps {
            world.run(step);
        }
        world.run(&Step::Drain);
        world.run(&Step::Crash { performed: 0, parts: 0, bytes: 0 });
        assert_eq!(world.bench.live, world.lived.last().unwrap().1);
    }
}

/// What the operations of a run did.
#[derive(Debug, Default)]
struct Seen {
    checkpoints: usize,
    deletes: usize,
    moves: usize,
}

impl Seen {
    fn look(&mut self, action: &StorageAction) {
        let StorageAction::Commit { puts, deletes, .. } = action else { return };
        self.checkpoints += usize::from(writes_manifest(action));
        self.deletes += deletes.iter().filter(|key| matches!(key, Key::Chunk(_))).count();
        let records = puts.iter().filter_map(|(_, bytes)| records_of(bytes)).flatten();
        self.moves += records.filter(|(_, r)| matches!(r, Record::Moved { .. })).count();
    }
}

/// A run of sends, ends, checkpoints and moves that is cut after so many operations, by that crash.
/// False if it ends before.
fn cut(operations: usize, crash: &Step, seen: &mut Seen) -> bool {
    let mut world = World::new();
    let mut left = operations;
    for round in 0..24 {
        for body_bytes in [30, 300, 300] {
            world.run(&Step::Send { body_bytes });
        }
        for _ in 0..2 {
            // The newest: of every three the first lives on.
            let which = world.bench.live.len() - 1;
            world.run(&Step::End { which });
        }
        if round % 4 == 3 {
            world.run(&Step::Checkpoint);
        }
        world.run(&Step::Rewrite);
        world.run(&Step::Ask);
        while let Some((_, action)) = world.bench.asked.front() {
            if left == 0 {
                world.run(crash);
                world.run(&Step::Rewrite);
                world.run(&Step::Drain);
                world.run(&Step::Checkpoint);
                world.run(&Step::Drain);
                world.run(&Step::Crash { performed: 0, parts: 0, bytes: 0 });
                return true;
            }
            left -= 1;
            seen.look(action);
            world.run(&Step::Perform);
            world.run(&Step::Ask);
        }
    }
    false
}

#[test]
fn a_crash_before_in_or_after_any_operation_loses_nothing_that_was_confirmed() {
    let mut crashes: Vec<Step> =
        (0..2).map(|performed| Step::Crash { performed, parts: 0, bytes: 0 }).collect();
    for parts in 0..16 {
        for bytes in [60, 10_000] {
            crashes.push(Step::Crash { performed: 0, parts, bytes });
        }
    }
    let (mut operations, mut seen) = (0, Seen::default());
    while crashes.iter().all(|crash| {
        seen = Seen::default();
        cut(operations, crash, &mut seen)
    }) {
        operations += 1;
    }
    assert!(operations > 24, "{operations} operations");
    assert!(seen.checkpoints > 4 && seen.deletes > 20 && seen.moves > 10, "{seen:?}");
}
