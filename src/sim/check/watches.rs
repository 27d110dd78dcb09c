//! `stats-are-true`: totals that a watch tells are never ahead of the log and never go back, and
//! what it told last holds at the end.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;

use crate::client::io::{Event, Handle};
use crate::id::{LaneId, WatchId};
use crate::log::{Place, Record};
use crate::sim::check::expiry::expires;
use crate::sim::check::{Checker, View, Violation, violated};
use crate::sim::fact::{Ask, Fact, ProcessId};
use crate::sim::model::{Model, Whereabouts};
use crate::sim::prepared::Fate;
use crate::sim::schedule::{Micros, SECOND};
use crate::wire::frame::{QueueCounts, QueueStats};

const TRUE: &str = "stats-are-true";

#[derive(Clone, Debug)]
struct Watched {
    queue: String,
    told: Option<Option<QueueStats>>,
}

#[derive(Debug, Default)]
pub struct Watches {
    watched: BTreeMap<(ProcessId, WatchId), Watched>,
    leaving: BTreeSet<ProcessId>,
    /// The log lost something, so totals may be lower than they were.
    shaken: bool,
    /// When a schedule was fired last, a prepared message decided about, or a lease ran out.
    fired_at: Micros,
    told: usize,
}

impl Watches {
    /// How many times counts were told.
    #[must_use]
    pub const fn told(&self) -> usize {
        self.told
    }

    fn hear(
        &mut self,
        process: ProcessId,
        watch: WatchId,
        stats: Option<QueueStats>,
    ) -> Result<(), Violation> {
        self.told += 1;
        let Some(watched) = self.watched.get_mut(&(process, watch)) else {
            return violated(TRUE, format!("process {} does not watch {}", process.0, watch.0));
        };
        let before = watched.told.replace(stats).flatten();
        let (Some(before), Some(after)) = (before, stats) else { return Ok(()) };
        let (before, after) = (before.state, after.state);
        let back = before.id == after.id && before.sent_total > after.sent_total;
        if back && !self.shaken {
            return violated(TRUE, format!("{} goes from {before:?} to {after:?}", watched.queue));
        }
        Ok(())
    }
}

/// What is ready or delayed, leased and prepared in a queue, and the bodies of it.
fn counted(model: &Model, name: &str) -> Option<(u64, u64, u64, u64)> {
    let (id, _) = model.queues.iter().find(|(_, queue)| queue.name == name)?;
    let mut counts = (0, 0, 0, 0);
    for message in model.messages.values().filter(|message| message.queue == *id) {
        match message.whereabouts {
            Whereabouts::Waiting { .. } => counts.0 += 1,
            Whereabouts::Leased(_) => counts.1 += 1,
            _ => {}
        }
        counts.3 += message.body_bytes * u64::from(is_here(message.whereabouts));
    }
    let open = model.halves.values().filter(|half| half.fate == Fate::Open);
    for half in open.filter(|half| half.message.queue == *id) {
        counts.2 += 1;
        counts.3 += half.message.body_bytes;
    }
    Some(counts)
}

fn is_here(whereabouts: Whereabouts) -> bool {
    !matches!(whereabouts, Whereabouts::Acked | Whereabouts::Discarded)
}

impl Checker for Watches {
    fn observe(&mut self, view: View<'_>, fact: &Fact<'_>) -> Result<(), Violation> {
        match fact {
            Fact::Asked { process, ask: Ask::Watch { watch, queue } } => {
                let watched = Watched { queue: queue.clone(), told: None };
                self.watched.insert((*process, *watch), watched);
            }
            Fact::Asked { process, ask: Ask::Unwatch { watch } } => {
                self.watched.remove(&(*process, *watch));
            }
            Fact::Told {
                process,
                event: Event::HandleRefused { handle: Handle::Watch(watch), .. },
            } => {
                self.watched.remove(&(*process, *watch));
            }
            Fact::Told { process, event: Event::QueueStats { watch, stats, .. } } => {
                return self.hear(*process, *watch, *stats);
            }
            Fact::Asked { process, ask: Ask::Close } => drop(self.leaving.insert(*process)),
            Fact::Ended { process } => {
                self.watched.retain(|(watcher, _), _| watcher != process);
            }
            Fact::Stored { records, .. } => {
                // Nobody did it: time did.
                let fired = |(_, record): &(Place, Record<'_>)| match record {
                    Record::Message(message) => message.lane == LaneId(0),
                    Record::Removed { removal, .. } => expires(removal),
                    // The node gives it up at a time, too, or asks at one.
                    Record::Decided { .. } => true,
                    // A lease runs out, and what was leased goes to the next.
                    Record::Ended { by_holder, .. } => !by_holder,
                    _ => false,
                };
                if records.iter().any(fired) {
                    self.fired_at = view.now;
                }
            }
            Fact::TailLost { .. } => self.shaken = true,
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, view: View<'_>) -> Result<(), Violation> {
        if view.now < self.fired_at.saturating_add(SECOND) {
            // What was due just now is told in a moment.
            return Ok(());
        }
        let staying = |process: &ProcessId| !self.leaving.contains(process);
        for ((process, _), watched) in self.watched.iter().filter(|((p, _), _)| staying(p)) {
            let told = watched.told.map(|stats| {
                stats.map(|QueueStats { state, bytes, .. }| {
                    let QueueCounts { ready, delayed, leased, prepared, .. } = state;
                    (ready + delayed, leased, prepared.unwrap_or(0), bytes)
                })
            });
            let is = counted(view.model, &watched.queue);
            if told != Some(is) {
                let queue = &watched.queue;
                let what = format!("process {}: {queue} has {is:?}, told {told:?}", process.0);
                return violated(TRUE, what);
            }
        }
        Ok(())
    }
}
