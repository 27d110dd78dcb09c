//! `confirmed-is-kept`: a confirmed message leaves only by a recorded act.
//! `rollback-is-told`: who lost a confirmed send to a rollback learns of it.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec::Vec;

use crate::client::io::Event;
use crate::id::{LaneId, RequestId, Sequence};
use crate::options::Durability;
use crate::sim::check::{Checker, View, Violation, violated};
use crate::sim::fact::{Ask, Fact, ProcessId, Tag};
use crate::sim::model::Model;

const KEPT: &str = "confirmed-is-kept";
const TOLD: &str = "rollback-is-told";

#[derive(Debug)]
struct Asked {
    tags: Vec<Tag>,
    durability: Option<Durability>,
}

#[derive(Debug, Default)]
pub struct Sends {
    living: BTreeSet<ProcessId>,
    asked: BTreeMap<(ProcessId, RequestId), Asked>,
    /// Confirmed messages; true for those confirmed as strict.
    confirmed: BTreeMap<Tag, bool>,
    /// Messages that a rollback took.
    lost: BTreeSet<Tag>,
    /// Living processes that lost a confirmed send and have not been told.
    owed: BTreeMap<ProcessId, Tag>,
}

impl Sends {
    /// How many messages were confirmed.
    #[must_use]
    pub fn confirmed(&self) -> usize {
        self.confirmed.len()
    }

    fn sent(
        &mut self,
        view: View<'_>,
        asked: (ProcessId, RequestId),
        lane: LaneId,
        sequence: Sequence,
    ) -> Result<(), Violation> {
        let Some(send) = self.asked.remove(&asked) else {
            return violated(KEPT, format!("process {} had not asked for this send", asked.0.0));
        };
        for (index, tag) in (0..).zip(&send.tags) {
            let strict = send.durability == Some(Durability::Strict);
            self.confirmed.insert(*tag, strict);
            let message = view.model.by_tag.get(tag).and_then(|n| view.model.messages.get(n));
            let Some(message) = message else {
                // Its confirmation was on its way when the rollback took it.
                if self.lost.contains(tag) {
                    self.owed.insert(asked.0, *tag);
                    continue;
                }
                return violated(KEPT, format!("{tag} is confirmed but not stored"));
            };
            self.lost.remove(tag);
            if (message.lane, message.sequence, message.index) != (lane, sequence, index) {
                return violated(KEPT, format!("{tag} is confirmed under the id of another"));
            }
        }
        Ok(())
    }

    fn rolled_back(&mut self, before: &Model, after: &Model) -> Result<(), Violation> {
        for tag in before.by_tag.keys().filter(|tag| !after.by_tag.contains_key(tag)) {
            self.lost.insert(*tag);
            match self.confirmed.get(tag) {
                Some(true) => {
                    return violated(
                        KEPT,
                        format!("{tag} was confirmed as strict but not flushed"),
                    );
                }
                // The page that sent it may be gone: nobody waits to be told.
                Some(false) if self.living.contains(&tag.process) => {
                    self.owed.insert(tag.process, *tag);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Checker for Sends {
    fn observe(&mut self, view: View<'_>, fact: &Fact<'_>) -> Result<(), Violation> {
        match fact {
            Fact::Asked { process, ask: Ask::Send { request, tags, durability, .. } } => {
                let asked = Asked { tags: tags.clone(), durability: *durability };
                self.asked.insert((*process, *request), asked);
            }
            Fact::Asked { process, ask: Ask::Commit { request, tags, .. } } => {
                let asked = Asked { tags: tags.clone(), durability: None };
                self.asked.insert((*process, *request), asked);
            }
            Fact::Told { process, event: Event::Sent { request, lane, sequence } } => {
                return self.sent(view, (*process, *request), *lane, *sequence);
            }
            Fact::Told { process, event: Event::RolledBack { .. } } => {
                self.owed.remove(process);
            }
            Fact::TailLost { before, after } => return self.rolled_back(before, after),
            Fact::Began { process, .. } => {
                self.living.insert(*process);
            }
            Fact::Ended { process } | Fact::Told { process, event: Event::Closed { .. } } => {
                self.living.remove(process);
                self.owed.remove(process);
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, view: View<'_>) -> Result<(), Violation> {
        for tag in self.confirmed.keys() {
            if !view.model.by_tag.contains_key(tag) && !self.lost.contains(tag) {
                return violated(KEPT, format!("{tag} was confirmed and is not in the log"));
            }
        }
        match self.owed.first_key_value() {
            Some((process, tag)) => {
                violated(TOLD, format!("process {} was not told that {tag} is lost", process.0))
            }
            None => Ok(()),
        }
    }
}
