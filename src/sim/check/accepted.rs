//! `accepted-is-sent`: a send that is written down leaves the outbox, and not before it is stored
//! or has failed, whatever becomes of its page.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec::Vec;

use crate::client::io::Event;
use crate::id::RequestId;
use crate::sim::check::{Checker, View, Violation, violated};
use crate::sim::fact::{Ask, Fact, ProcessId, Tag};
use crate::sim::outbox::Place;
use crate::sim::schedule::Micros;

const SENT: &str = "accepted-is-sent";

#[derive(Debug, Default)]
pub struct Accepted {
    /// What pages asked for that can be told apart in the log.
    asked: BTreeMap<(ProcessId, RequestId), Vec<Tag>>,
    /// What is written down.
    written: BTreeMap<Place, Vec<Tag>>,
    /// Those whose client said that they failed.
    failed: BTreeSet<Place>,
    /// Messages that a rollback took.
    lost: BTreeSet<Tag>,
    count: usize,
    /// Until when processes are out of reach.
    apart: BTreeMap<ProcessId, Micros>,
    /// What was written down meanwhile.
    written_apart: BTreeSet<Place>,
    merged: usize,
}

impl Accepted {
    /// How many sends were written down.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// How many were written down out of reach, and stored.
    #[must_use]
    pub const fn merged(&self) -> usize {
        self.merged
    }

    fn erased(&mut self, view: View<'_>, place: Place) -> Result<(), Violation> {
        let tags = self.written.remove(&place).unwrap_or_default();
        if self.failed.remove(&place) {
            return Ok(());
        }
        let stored = |tag: &&Tag| view.model.by_tag.contains_key(tag) || self.lost.contains(tag);
        match tags.iter().find(|tag| !stored(tag)) {
            Some(tag) => violated(SENT, format!("{tag} leaves the outbox and is not stored")),
            None => {
                self.merged += usize::from(self.written_apart.remove(&place));
                Ok(())
            }
        }
    }
}

impl Checker for Accepted {
    fn observe(&mut self, view: View<'_>, fact: &Fact<'_>) -> Result<(), Violation> {
        match fact {
            Fact::Asked { process, ask: Ask::Send { request, tags, ids, .. } }
                if ids.is_empty() =>
            {
                self.asked.insert((*process, *request), tags.clone());
            }
            Fact::WrittenDown { process, request, place } => {
                let tags = self.asked.get(&(*process, *request)).cloned().unwrap_or_default();
                self.count += usize::from(!self.written.contains_key(place));
                self.written.entry(*place).or_insert(tags);
                if self.apart.get(process).is_some_and(|until| view.now < *until) {
                    self.written_apart.insert(*place);
                }
            }
            Fact::Partitioned { process, until } => {
                self.apart.insert(*process, *until);
            }
            Fact::GivenUp { place } => {
                self.failed.insert(*place);
            }
            Fact::Erased { place } => return self.erased(view, *place),
            Fact::TailLost { before, after } => {
                let kept = |tag: &&Tag| after.by_tag.contains_key(tag);
                self.lost.extend(before.by_tag.keys().filter(|tag| !kept(tag)));
            }
            Fact::Told { process, event: Event::Sent { request, .. } } => {
                // It may be written down still, until the page has erased it.
                self.asked.remove(&(*process, *request));
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, _view: View<'_>) -> Result<(), Violation> {
        match self.written.first_key_value() {
            Some((place, tags)) => {
                violated(SENT, format!("{} of {:?} waits for ever", tags.len(), place))
            }
            None => Ok(()),
        }
    }
}
