//! The part of a user that runs the queues: it lists and watches them, traces them, and sets
//! policies.

use alloc::borrow::ToOwned;
use alloc::vec::Vec;

use crate::client::Client;
use crate::id::WatchId;
use crate::options::{Overflow, QueueOptions};
use crate::sim::dice::{Dice, Ratio};
use crate::sim::fact::Ask;
use crate::sim::queues::QUEUES;
use crate::time::Now;
use crate::wire::frame::Policy;

#[derive(Debug, Default)]
pub struct Operator {
    watches: Vec<WatchId>,
}

impl Operator {
    pub fn work(&mut self, dice: &mut Dice, client: &mut Client, now: Now) -> Option<Ask> {
        let queue = *dice.choose(&QUEUES);
        let flag = dice.chance(Ratio::one_in(2));
        let asked = match dice.weighted(&[2, 3, 2, 1, 2, 2]) {
            0 => client.list_queues(now, flag.then_some("plain"), flag.then_some("#")),
            1 => {
                let watch = client.watch_queue(now, queue).ok()?;
                self.watches.push(watch);
                return Some(Ask::Watch { watch, queue: queue.to_owned() });
            }
            2 => {
                if self.watches.is_empty() {
                    return None;
                }
                let watch = self.watches.swap_remove(dice.index(self.watches.len()));
                client.unwatch_queue(now, watch);
                return Some(Ask::Unwatch { watch });
            }
            3 => client.list_policies(now),
            4 => client.trace(now, queue, flag),
            _ => {
                let name = if flag { "all" } else { "some" };
                let gone = dice.chance(Ratio::one_in(3));
                client.set_policy(now, name, Some(policy(dice, name)).filter(|_| !gone))
            }
        };
        let queue = queue.to_owned();
        asked.ok().map(|request| Ask::Operate { request, queue })
    }
}

fn policy(dice: &mut Dice, name: &'static str) -> Policy<'static> {
    let options = match name {
        "all" => {
            QueueOptions { lease_ms: Some(dice.between(500, 3000)), ..QueueOptions::default() }
        }
        _ => QueueOptions {
            messages_max: Some(dice.between(5, 30)),
            overflow: Some(Overflow::DropOldest),
            ttl_ms: dice.chance(Ratio::one_in(2)).then_some(4000),
            ..QueueOptions::default()
        },
    };
    let pattern = if name == "all" { "#" } else { *dice.choose(&["plain", "*.dead", "single"]) };
    let priority = u32::try_from(dice.between(0, 2)).unwrap_or(0);
    Policy { name, pattern, priority, options }
}
