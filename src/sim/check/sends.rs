//! `confirmed-is-kept`: a confirmed message leaves only by a recorded act.
//! `duplicate-is-stored-once`: an item that is said to repeat a message has the id of that message
//! and is not stored.
//! `sends-end-in-order`: the sends of one process are answered in the order in which it asked.
//! `rollback-is-told`: who lost a confirmed send to a rollback learns of it. Not a page whose place
//! another one took while it lay in the cache: its lane is closed, and nobody can tell.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::client::io::Event;
use crate::id::{ClientId, LaneId, MessageNumber, RequestId, Sequence};
use crate::options::Durability;
use crate::sim::check::{Checker, View, Violation, violated};
use crate::sim::fact::{Ask, Fact, ProcessId, Tag};
use crate::sim::model::Model;
use crate::wire::frame::Duplicate;

const KEPT: &str = "confirmed-is-kept";
const ONCE: &str = "duplicate-is-stored-once";
const IN_ORDER: &str = "sends-end-in-order";
const TOLD: &str = "rollback-is-told";

#[derive(Debug)]
struct Asked {
    tags: Vec<Tag>,
    ids: Vec<String>,
    /// A transaction may be refused before it is sent.
    in_order: bool,
    durability: Option<Durability>,
}

#[derive(Debug, Default)]
pub struct Sends {
    living: BTreeSet<ProcessId>,
    asked: BTreeMap<(ProcessId, RequestId), Asked>,
    /// The last send of each process that was answered.
    answered: BTreeMap<ProcessId, RequestId>,
    /// Items that repeated a message.
    duplicates: usize,
    /// Confirmed messages; true for those confirmed as strict.
    confirmed: BTreeMap<Tag, bool>,
    /// Messages that a rollback took.
    lost: BTreeSet<Tag>,
    /// Living processes that lost a confirmed send and have not been told.
    owed: BTreeMap<ProcessId, Tag>,
    clients: BTreeMap<ProcessId, ClientId>,
    parked: BTreeSet<ProcessId>,
    /// Those whose identity a guest had meanwhile.
    taken: BTreeSet<ProcessId>,
}

impl Sends {
    /// How many messages were confirmed.
    #[must_use]
    pub fn confirmed(&self) -> usize {
        self.confirmed.len()
    }

    /// How many items were told to repeat a message.
    #[must_use]
    pub const fn duplicates(&self) -> usize {
        self.duplicates
    }

    /// A send is answered.
    fn take(&mut self, asked: (ProcessId, RequestId)) -> Result<Option<Asked>, Violation> {
        let Some(send) = self.asked.remove(&asked) else { return Ok(None) };
        let (process, request) = asked;
        if !send.in_order {
            return Ok(Some(send));
        }
        match self.answered.insert(process, request).filter(|last| *last > request) {
            Some(last) => {
                let what =
                    format!("process {}: {} is answered after {}", process.0, request.0, last.0);
                violated(IN_ORDER, what)
            }
            None => Ok(Some(send)),
        }
    }

    fn repeated(
        &mut self,
        view: View<'_>,
        process: ProcessId,
        tag: Tag,
        id: Option<&String>,
        number: MessageNumber,
    ) -> Result<(), Violation> {
        self.duplicates += 1;
        if view.model.by_tag.contains_key(&tag) {
            return violated(ONCE, format!("{tag} is stored and told to be a duplicate"));
        }
        match (view.model.messages.contains_key(&number), view.model.id_of(number)) {
            (true, Some(original)) if id.is_none_or(|id| id != original) => {
                violated(ONCE, format!("{tag} has not the id of message {}", number.0))
            }
            (true, _) => Ok(()),
            // The first message was taken back, and with it that this one repeats it.
            (false, _) if !self.lost.is_empty() => {
                self.owed.insert(process, tag);
                Ok(())
            }
            (false, _) => violated(ONCE, format!("{tag} repeats what is not stored")),
        }
    }

    fn sent(
        &mut self,
        view: View<'_>,
        asked: (ProcessId, RequestId),
        lane: LaneId,
        sequence: Sequence,
        duplicates: &[Duplicate],
    ) -> Result<(), Violation> {
        let Some(send) = self.take(asked)? else {
            return violated(KEPT, format!("process {} had not asked for this send", asked.0.0));
        };
        for (index, tag) in (0..).zip(&send.tags) {
            if let Some(duplicate) = duplicates.iter().find(|duplicate| duplicate.index == index) {
                let id = send.ids.get(index as usize);
                self.repeated(view, asked.0, *tag, id, duplicate.number)?;
                continue;
            }
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
            Fact::Asked { process, ask: Ask::Send { request, tags, ids, durability, .. } } => {
                let (tags, ids) = (tags.clone(), ids.clone());
                let durability = *durability;
                let asked = Asked { tags, ids, durability, in_order: true };
                self.asked.insert((*process, *request), asked);
            }
            // Ordered as a send is. What becomes of its message is another checker's affair.
            Fact::Asked { process, ask: Ask::Prepare { request, .. } } => {
                let (tags, ids) = (Vec::new(), Vec::new());
                let asked = Asked { tags, ids, durability: None, in_order: true };
                self.asked.insert((*process, *request), asked);
            }
            Fact::Asked { process, ask: Ask::Commit { request, tags, .. } } => {
                let asked = Asked {
                    tags: tags.clone(),
                    ids: Vec::new(),
                    durability: None,
                    in_order: false,
                };
                self.asked.insert((*process, *request), asked);
            }
            Fact::Told { process, event: Event::Sent { request, lane, sequence, duplicates } } => {
                return self.sent(view, (*process, *request), *lane, *sequence, duplicates);
            }
            Fact::Told { process, event: Event::Failed { request, .. } } => {
                self.take((*process, *request))?;
            }
            Fact::Told { process, event: Event::RolledBack { .. } } => {
                self.owed.remove(process);
            }
            Fact::TailLost { before, after } => return self.rolled_back(before, after),
            Fact::Began { process, client } => {
                let of_client = |parked: &&ProcessId| self.clients.get(*parked) == Some(client);
                self.taken.extend(self.parked.iter().filter(of_client));
                self.clients.insert(*process, *client);
                self.living.insert(*process);
            }
            Fact::Parked { process } => {
                self.parked.insert(*process);
            }
            Fact::Thawed { process } => {
                self.parked.remove(process);
                if self.taken.remove(process) {
                    self.owed.remove(process);
                }
            }
            Fact::Ended { process } | Fact::Told { process, event: Event::Closed { .. } } => {
                self.living.remove(process);
                self.parked.remove(process);
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
