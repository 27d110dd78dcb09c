//! `few-per-key`: a queue that bounds what it keeps of each key never has more once a write is
//! stored. `rate-is-kept`: a queue with a rate is served no more often, whichever node serves it.

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::String;

use crate::id::QueueId;
use crate::log::Record;
use crate::sim::check::{Checker, View, Violation, violated};
use crate::sim::fact::Fact;
use crate::sim::model::Model;
use crate::sim::per_key::bound_of;
use crate::sim::schedule::{MILLI, Micros};

const FEW: &str = "few-per-key";
const RATE: &str = "rate-is-kept";

/// Writes over which the rate of a queue is looked at.
const WRITES: usize = 64;

/// Leases of one write.
#[derive(Debug)]
struct Served {
    /// None of them was given before that.
    since: Micros,
    leases: u64,
}

#[derive(Debug, Default)]
pub struct Flow {
    /// Messages of each key, where more than its queue keeps were there before it was declared.
    counts: BTreeMap<(QueueId, String), u64>,
    /// When the last writes were stored. What is in one was done after the last but one before it.
    stored: [Micros; 3],
    /// A chunk was stored since keys were counted. Others of the same write may follow.
    uncounted: bool,
    served: BTreeMap<QueueId, VecDeque<Served>>,
    judged: usize,
}

impl Flow {
    /// How many deliveries of queues with a rate were judged.
    #[must_use]
    pub const fn judged(&self) -> usize {
        self.judged
    }

    fn few_per_key(&mut self, model: &Model) -> Result<(), Violation> {
        let mut counts = BTreeMap::<(QueueId, &str), u64>::new();
        let undecided = model.undecided().map(|message| (message, false));
        let sent = model.living().map(|(_, message)| (message, message.waits()));
        for (message, waits) in sent.chain(undecided) {
            let Some(key) = message.key.as_deref() else { continue };
            let queue = model.queues.get(&message.queue);
            let Some((_, held_count)) = queue.and_then(|queue| bound_of(&queue.options)) else {
                continue;
            };
            let counted = waits || held_count;
            *counts.entry((message.queue, key)).or_default() += u64::from(counted);
        }
        for ((id, key), count) in &counts {
            let Some(queue) = model.queues.get(id) else { continue };
            let Some((max, held_count)) = bound_of(&queue.options) else { continue };
            let before = self.counts.get(&(*id, (*key).to_owned())).copied().unwrap_or(0);
            // Where sends are refused, nothing that is there leaves for a bound that comes.
            let most = if held_count { max.max(before) } else { max };
            if *count > most {
                return violated(FEW, format!("{} keeps {count} of {key}", queue.name));
            }
        }
        let owned = |((id, key), count): ((QueueId, &str), u64)| ((id, key.to_owned()), count);
        self.counts = counts.into_iter().map(owned).collect();
        Ok(())
    }

    /// Counts what was there before a queue was declared as it is.
    fn count_all(&mut self, model: &Model) {
        self.counts.clear();
        let living = model.living().map(|(_, message)| message);
        for message in living.chain(model.undecided()) {
            if let Some(key) = &message.key {
                *self.counts.entry((message.queue, key.clone())).or_default() += 1;
            }
        }
    }

    fn rate_is_kept(
        &mut self,
        view: View<'_>,
        queue: QueueId,
        leases: u64,
    ) -> Result<(), Violation> {
        let rate = view.model.queues.get(&queue).and_then(|queue| queue.options.rate);
        let Some(rate) = rate else { return Ok(()) };
        self.judged += 1;
        let served = self.served.entry(queue).or_default();
        served.push_back(Served { since: self.stored[0], leases });
        if served.len() > WRITES {
            served.pop_front();
        }
        let every = (rate.per_ms * MILLI).div_ceil(u64::from(rate.limit));
        let burst = u64::from(rate.burst.unwrap_or(rate.limit));
        let mut count = 0;
        for Served { since, leases } in served.iter().rev() {
            count += leases;
            if count > burst + view.now.saturating_sub(*since) / every + 1 {
                return violated(RATE, format!("queue {} gives {count} since {since}", queue.0));
            }
        }
        Ok(())
    }
}

impl Checker for Flow {
    fn observe(&mut self, view: View<'_>, fact: &Fact<'_>) -> Result<(), Violation> {
        let of_write = matches!(fact, Fact::Stored { .. } | Fact::TailLost { .. });
        if self.uncounted && !of_write {
            self.uncounted = false;
            self.few_per_key(view.model)?;
        }
        match fact {
            Fact::Stored { records, .. } => {
                let declared = |record: &Record<'_>| {
                    matches!(
                        record,
                        Record::Declared { .. } | Record::Policy(_) | Record::PolicyRemoved { .. }
                    )
                };
                let mut leases = BTreeMap::<QueueId, u64>::new();
                for (_, record) in *records {
                    if let Record::Leased { queue, .. } = record {
                        *leases.entry(*queue).or_default() += 1;
                    }
                }
                if records.iter().any(|(_, record)| declared(record)) {
                    self.count_all(view.model);
                    // Some of its leases may have been given before it had this rate.
                    self.served.clear();
                    leases.clear();
                }
                self.uncounted = true;
                for (queue, leases) in leases {
                    self.rate_is_kept(view, queue, leases)?;
                }
            }
            // One that makes room may come between a write and those that had to wait for it.
            Fact::Accepted { records: true, .. } => {
                self.stored = [self.stored[1], self.stored[2], view.now];
            }
            Fact::TailLost { after, .. } => {
                self.uncounted = false;
                self.count_all(after);
            }
            _ => {}
        }
        Ok(())
    }
}
