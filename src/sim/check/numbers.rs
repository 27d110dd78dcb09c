//! `numbers-once`: a number that a client has seen stands for one thing for the whole run, also
//! after the log went back: message, lease and lane numbers are never issued twice.
//! `sender-is-true`: a delivery names the client that sent it.
//! `lane-goes-on`: a client that lives goes on with its lane, unless the log lost it, or a guest
//! ended it while the client's page lay in the cache.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;

use crate::client::io::Event;
use crate::id::{ClientId, LaneId, LeaseNumber, MessageNumber};
use crate::sim::check::{Checker, View, Violation, violated};
use crate::sim::fact::{Fact, ProcessId, Tag};

const ONCE: &str = "numbers-once";
const SENDER: &str = "sender-is-true";
const LANE: &str = "lane-goes-on";

#[derive(Debug, Default)]
pub struct Numbers {
    clients: BTreeMap<ProcessId, ClientId>,
    messages: BTreeMap<MessageNumber, Tag>,
    numbers: BTreeMap<Tag, MessageNumber>,
    leases: BTreeMap<LeaseNumber, (Tag, ClientId)>,
    lanes: BTreeMap<LaneId, ClientId>,
    /// The lane each process was last welcomed to.
    lane_of: BTreeMap<ProcessId, LaneId>,
    parked: BTreeSet<ProcessId>,
    /// Lanes that a rollback took or moved back.
    shaken: BTreeSet<LaneId>,
    shaken_tags: BTreeSet<Tag>,
}

impl Numbers {
    fn ready(&mut self, process: ProcessId, lane: LaneId, resumed: bool) -> Result<(), Violation> {
        let client = self.clients.get(&process).copied().unwrap_or_default();
        let none = LaneId(0);
        if lane != none && *self.lanes.entry(lane).or_insert(client) != client {
            return violated(ONCE, format!("lane {} is given to two clients", lane.0));
        }
        let earlier = self.lane_of.insert(process, lane).filter(|earlier| *earlier != none);
        let Some(earlier) = earlier.filter(|earlier| !self.shaken.contains(earlier)) else {
            return Ok(());
        };
        if !resumed || earlier != lane {
            let what = format!("process {} has lane {}, then {}", process.0, earlier.0, lane.0);
            return violated(LANE, what);
        }
        Ok(())
    }

    fn delivered(&mut self, process: ProcessId, event: &Event) -> Result<(), Violation> {
        let Event::Delivery { lease, number, body, lane, sender, .. } = event else {
            return Ok(());
        };
        let Some(tag) = Tag::of_message(body, *lane, *number) else { return Ok(()) };
        let from = self.clients.get(&tag.process).filter(|_| *lane != LaneId(0));
        if sender.as_ref() != from {
            return violated(SENDER, format!("{tag} comes from {sender:?}"));
        }
        let client = self.clients.get(&process).copied().unwrap_or_default();
        if *self.messages.entry(*number).or_insert(tag) != tag {
            return violated(ONCE, format!("message number {} is given twice", number.0));
        }
        let known = *self.numbers.entry(tag).or_insert(*number);
        if known != *number && !self.shaken_tags.contains(&tag) {
            let what = format!("{tag} is delivered as {} and {}", known.0, number.0);
            return violated("no-duplicate", what);
        }
        if *self.leases.entry(*lease).or_insert((tag, client)) != (tag, client) {
            return violated(ONCE, format!("lease number {} is given twice", lease.0));
        }
        Ok(())
    }
}

impl Checker for Numbers {
    fn observe(&mut self, _view: View<'_>, fact: &Fact<'_>) -> Result<(), Violation> {
        match fact {
            Fact::Began { process, client } => {
                for parked in &self.parked {
                    if self.clients.get(parked) == Some(client) {
                        self.lane_of.remove(parked);
                    }
                }
                self.clients.insert(*process, *client);
            }
            Fact::Parked { process } => {
                self.parked.insert(*process);
            }
            Fact::Thawed { process } | Fact::Ended { process } => {
                self.parked.remove(process);
            }
            Fact::Told { process, event: Event::Ready { lane, resumed, .. } } => {
                return self.ready(*process, *lane, *resumed);
            }
            Fact::Told { process, event: event @ Event::Delivery { .. } } => {
                return self.delivered(*process, event);
            }
            Fact::TailLost { before, after } => {
                let moved = before.lanes.iter().filter(|(number, lane)| {
                    let kept = after.lanes.get(number);
                    kept.is_none_or(|kept| kept.position != lane.position)
                });
                self.shaken.extend(moved.map(|(number, _)| *number));
                let lost = before.by_tag.keys().filter(|tag| !after.by_tag.contains_key(tag));
                self.shaken_tags.extend(lost);
            }
            _ => {}
        }
        Ok(())
    }
}
