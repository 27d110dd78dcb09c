//! The part of a user that moves dead letters back.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::client::Client;
use crate::client::io::Event;
use crate::id::RequestId;
use crate::sim::dice::{Dice, Ratio};
use crate::sim::fact::Ask;
use crate::sim::queues::OWN_QUEUES;
use crate::sim::schedule::MILLI;
use crate::time::Now;
use crate::wire::frame::{Filter, Reason, Redrive, Task};

/// Ids it remembers.
const SEEN_MAX: usize = 8;

#[derive(Debug, Default)]
pub struct Redriver {
    asked: Vec<RequestId>,
    /// Ids of dead letters that it has seen lately.
    seen: VecDeque<String>,
}

impl Redriver {
    /// Moves dead letters back, or ends that.
    pub fn work(&mut self, dice: &mut Dice, client: &mut Client, now: Now) -> Option<Ask> {
        let mut one_in = |denominator| dice.chance(Ratio::one_in(denominator));
        if one_in(6) && !self.asked.is_empty() {
            let request = self.asked.swap_remove(dice.index(self.asked.len()));
            client.cancel_request(now, request);
            return Some(Ask::CancelRedrive { request });
        }
        let (named, elsewhere) = (one_in(2), one_in(6));
        let (by_id, paced, bounded) = (one_in(3), one_in(2), one_in(3));
        let filtered = !named || one_in(2);
        let ids: Vec<&str> = self.seen.iter().map(String::as_str).collect();
        let filter = Filter {
            reason: *dice.choose(&[None, Some(Reason::Rejected), Some(Reason::LeaseLost)]),
            queue: Some(*dice.choose(&OWN_QUEUES)),
            ids: Some(ids).filter(|ids| by_id && !ids.is_empty()),
            ..Filter::default()
        };
        let redrive = Redrive {
            task: None,
            queue: named.then(|| *dice.choose(&["brief.dead", "spills.dead"])),
            into: elsewhere.then_some("plain"),
            filter: Some(filter).filter(|_| filtered),
            every_us: paced.then(|| dice.between(1, 400 * MILLI)),
            // One with a rate has to end while the run lasts.
            messages_max: match (bounded, paced) {
                (true, _) => Some(dice.between(1, 9)),
                (false, true) => Some(100),
                (false, false) => None,
            },
        };
        let redrive = if dice.chance(Ratio::one_in(4)) { by_hand(dice, redrive) } else { redrive };
        let request = client.redrive(now, &redrive).ok()?;
        self.asked.push(request);
        Some(Ask::Redrive { request })
    }

    pub fn hear(&mut self, event: &Event) {
        match event {
            Event::Counted { request, .. } | Event::Failed { request, .. } => {
                self.asked.retain(|asked| asked != request);
            }
            Event::Delivery { lane, sequence, index, dead_reason: Some(_), .. } => {
                self.seen.push_front(format!("{}-{}-{index}", lane.0, sequence.0));
                self.seen.truncate(SEEN_MAX);
            }
            _ => {}
        }
    }
}

/// The same for any messages of a queue: to another one, or away.
fn by_hand<'a>(dice: &mut Dice, redrive: Redrive<'a>) -> Redrive<'a> {
    let moves = dice.chance(Ratio::one_in(2));
    let gone = if dice.chance(Ratio::one_in(2)) { Task::Discard } else { Task::Cancel };
    let task = if moves { Task::Move } else { gone };
    let (queue, into) = (*dice.choose(&OWN_QUEUES), *dice.choose(&OWN_QUEUES));
    let filter = redrive.filter.map(|filter| Filter { queue: None, reason: None, ..filter });
    Redrive {
        task: Some(task),
        queue: Some(queue),
        into: moves.then_some(into),
        filter,
        messages_max: redrive.messages_max.or((!moves).then_some(1)),
        ..redrive
    }
}
