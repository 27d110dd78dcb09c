//! `chain-once`: what a stage of a chain gives on is stored together with the acknowledgement of
//! what it was made of, and each message is gone on from once.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;

use crate::id::LeaseNumber;
use crate::log::{LeaseEnd, Place, Record};
use crate::sim::check::{Checker, View, Violation, violated};
use crate::sim::fact::{Ask, Fact, Tag};
use crate::sim::model::Model;

const ONCE: &str = "chain-once";

#[derive(Debug, Default)]
pub struct Chain {
    /// By what was asked to be given on: the lease that was to end with it.
    made_under: BTreeMap<Tag, LeaseNumber>,
    /// Leases that were to end with something that is given on.
    steps: BTreeSet<LeaseNumber>,
    /// What each message became.
    became: BTreeMap<Tag, Tag>,
    given_on: usize,
}

impl Chain {
    /// How many messages were gone on from.
    #[must_use]
    pub const fn given_on(&self) -> usize {
        self.given_on
    }

    fn stored(&mut self, model: &Model, records: &[(Place, Record<'_>)]) -> Result<(), Violation> {
        let mut given = BTreeMap::new();
        let mut done = BTreeSet::new();
        for (_, record) in records {
            match record {
                Record::Message(message) => {
                    let tag = Tag::of(message.body);
                    let made = tag.and_then(|tag| Some((*self.made_under.get(&tag)?, tag)));
                    if let Some((lease, tag)) = made
                        && given.insert(lease, tag).is_some()
                    {
                        return violated(ONCE, format!("lease {} gives on twice", lease.0));
                    }
                }
                Record::Ended { lease, end: LeaseEnd::Acked { .. }, .. } => {
                    done.insert(*lease);
                }
                _ => {}
            }
        }
        for lease in done.iter().filter(|lease| self.steps.contains(lease)) {
            if !given.contains_key(lease) {
                let what = format!("lease {} is acknowledged and nothing is given on", lease.0);
                return violated(ONCE, what);
            }
        }
        for (lease, tag) in given {
            if !done.contains(&lease) {
                let what = format!("{tag} is given on and lease {} not acknowledged", lease.0);
                return violated(ONCE, what);
            }
            let input = model.leases.get(&lease).map(|lease| lease.tag);
            self.given_on += 1;
            if let Some(input) = input
                && let Some(earlier) = self.became.insert(input, tag)
            {
                return violated(ONCE, format!("{input} became {earlier} and {tag}"));
            }
        }
        Ok(())
    }
}

impl Checker for Chain {
    fn observe(&mut self, view: View<'_>, fact: &Fact<'_>) -> Result<(), Violation> {
        match fact {
            Fact::Asked { ask: Ask::Commit { lease, tags, .. }, .. } => {
                // After a rollback a client may get the same lease again, and do something else.
                self.steps.remove(lease);
                for tag in tags {
                    self.made_under.insert(*tag, *lease);
                    self.steps.insert(*lease);
                }
            }
            Fact::Stored { records, .. } => return self.stored(view.model, records),
            Fact::TailLost { after, .. } => {
                self.became.retain(|_, made| after.by_tag.contains_key(made));
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, view: View<'_>) -> Result<(), Violation> {
        let lost = self.became.values().find(|made| !view.model.by_tag.contains_key(made));
        match lost {
            Some(made) => violated(ONCE, format!("{made} was given on and is not in the log")),
            None => Ok(()),
        }
    }
}
