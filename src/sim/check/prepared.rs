//! `prepared-is-hidden`: nobody gets a prepared message before it is committed, and nobody one that
//! was rolled back.
//! `decided-as-asked`: a message is committed or rolled back only if somebody asked for that, and
//! told to be only if the log says so.
//! `prepared-is-not-forgotten`: each prepared message is in the log, decided about or not too old.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;

use crate::client::io::Event;
use crate::error::Code;
use crate::id::RequestId;
use crate::log::Record;
use crate::log::record::Decision;
use crate::sim::check::{Checker, View, Violation, violated};
use crate::sim::fact::{Ask, Fact, ProcessId, Tag};
use crate::sim::model::Model;
use crate::sim::prepared::{AGE_MS_MAX, Fate, Half};
use crate::sim::schedule::{Micros, SECOND};

const HIDDEN: &str = "prepared-is-hidden";
const AS_ASKED: &str = "decided-as-asked";
const FORGOTTEN: &str = "prepared-is-not-forgotten";

/// One that grew old is given up a little later: at the next question about it.
const SLACK: Micros = 20 * SECOND;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Wish {
    queue: String,
    id: String,
    commit: bool,
}

#[derive(Debug, Default)]
pub struct Prepared {
    asked: BTreeMap<(ProcessId, RequestId), Tag>,
    /// Every message that was to be prepared.
    tags: BTreeSet<Tag>,
    /// Those whose storage was confirmed.
    confirmed: BTreeSet<Tag>,
    deciding: BTreeMap<(ProcessId, RequestId), Wish>,
    wishes: BTreeSet<Wish>,
    /// The log lost something, so what was told may be gone.
    shaken: bool,
    healed_at: Micros,
    decided: usize,
    questions: usize,
}

impl Prepared {
    /// How many messages were committed or rolled back, by whomever.
    #[must_use]
    pub const fn decided(&self) -> usize {
        self.decided
    }

    /// How many messages somebody was asked about.
    #[must_use]
    pub const fn questions(&self) -> usize {
        self.questions
    }

    fn stored(&mut self, model: &Model, record: &Record<'_>) -> Result<(), Violation> {
        match record {
            Record::Leased { number, .. } => {
                let tag = model.messages.get(number).map(|message| message.tag);
                let Some(tag) = tag.filter(|tag| self.tags.contains(tag)) else { return Ok(()) };
                if half_of(model, tag).is_some_and(is_committed) {
                    return Ok(());
                }
                violated(HIDDEN, format!("{tag} is delivered and was not committed"))
            }
            Record::Decided { number, decision, .. } => {
                self.decided += 1;
                let Some(half) = model.halves.get(number) else { return Ok(()) };
                let commit = match decision {
                    Decision::Committed { .. } | Decision::Repeated { .. } => true,
                    Decision::RolledBack => false,
                    // By the node; the model knows when it may.
                    Decision::Unanswered | Decision::TooOld => return Ok(()),
                };
                let (queue, id) = (half.queue_name.clone(), half.id.clone());
                if self.wishes.contains(&Wish { queue, id, commit }) {
                    return Ok(());
                }
                let tag = half.message.tag;
                violated(AS_ASKED, format!("{tag} is {decision:?}, which nobody asked for"))
            }
            Record::Checked { .. } => {
                self.questions += 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A decision is confirmed, or refused for it went the other way.
    fn answered(
        &mut self,
        model: &Model,
        asked: (ProcessId, RequestId),
        refused: Option<Code>,
    ) -> Result<(), Violation> {
        let Some(wish) = self.deciding.remove(&asked) else { return Ok(()) };
        let commits = match refused {
            None => wish.commit,
            Some(Code::Discarded) => !wish.commit,
            Some(_) => return Ok(()),
        };
        let mut halves = model.halves.values().filter(|h| h.queue_name == wish.queue);
        let holds = halves.any(|half| {
            let decided = matches!(half.fate, Fate::Decided(_));
            half.id == wish.id && decided && is_committed(half) == commits
        });
        if holds || self.shaken {
            return Ok(());
        }
        violated(AS_ASKED, format!("process {} is told of {wish:?}: {refused:?}", asked.0.0))
    }
}

fn half_of(model: &Model, tag: Tag) -> Option<&Half> {
    model.halves.values().find(|half| half.message.tag == tag)
}

/// Whether it was to be sent, be it that it repeats another.
const fn is_committed(half: &Half) -> bool {
    let Fate::Decided(decision) = half.fate else { return false };
    decision.rollback().is_none()
}

impl Checker for Prepared {
    fn observe(&mut self, view: View<'_>, fact: &Fact<'_>) -> Result<(), Violation> {
        match fact {
            Fact::Asked { process, ask: Ask::Prepare { request, tag } } => {
                self.asked.insert((*process, *request), *tag);
                self.tags.insert(*tag);
            }
            Fact::Asked { process, ask: Ask::Decide { request, queue, id, commit } } => {
                let wish = Wish { queue: queue.clone(), id: id.clone(), commit: *commit };
                self.deciding.insert((*process, *request), wish.clone());
                self.wishes.insert(wish);
            }
            Fact::Told { process, event: Event::Sent { request, duplicates, .. } } => {
                let tag = self.asked.remove(&(*process, *request));
                self.confirmed.extend(tag.filter(|_| duplicates.is_empty()));
            }
            Fact::Told { process, event: Event::Counted { request, .. } } => {
                return self.answered(view.model, (*process, *request), None);
            }
            Fact::Told { process, event: Event::Failed { request, code, .. } } => {
                self.asked.remove(&(*process, *request));
                return self.answered(view.model, (*process, *request), Some(*code));
            }
            Fact::Stored { records, .. } => {
                return records.iter().try_for_each(|(_, record)| self.stored(view.model, record));
            }
            Fact::TailLost { before, after } => {
                self.shaken = true;
                let lost = before.halves.iter().filter(|(n, _)| !after.halves.contains_key(n));
                for (_, half) in lost {
                    self.confirmed.remove(&half.message.tag);
                }
            }
            Fact::Healed => self.healed_at = view.now,
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, view: View<'_>) -> Result<(), Violation> {
        let model = view.model;
        for tag in &self.confirmed {
            if half_of(model, *tag).is_none() && !self.shaken {
                return violated(FORGOTTEN, format!("{tag} was prepared and is not in the log"));
            }
        }
        if view.now < self.healed_at + SLACK {
            return Ok(());
        }
        let unix = view.walls.lowest(view.now - SLACK);
        let open = model.halves.values().filter(|half| half.fate == Fate::Open);
        for half in open {
            if unix.0 >= half.prepared_at.0.saturating_add(AGE_MS_MAX) {
                let what = format!("{} is open since {}", half.message.tag, half.prepared_at.0);
                return violated(FORGOTTEN, what);
            }
        }
        Ok(())
    }
}
