//! `one-leader-per-term`: a term is of one role and one client, and terms of a role only grow.
//! `leads-at-most-one-live`: of two clients that believe they lead a role, all but one are dead,
//! frozen or out of reach. A claim that is about to be refused may overlap for a moment.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;

use crate::client::io::Event;
use crate::id::{CandidateId, ClientId, Epoch, Term};
use crate::sim::check::{Checker, View, Violation, violated};
use crate::sim::fact::{Ask, Fact, ProcessId};
use crate::sim::schedule::{Micros, SECOND};

const TERM: &str = "one-leader-per-term";
const LIVE: &str = "leads-at-most-one-live";

/// How long a frame that ends a belief may be under way.
const OVERLAP_MAX: Micros = 10 * SECOND;

#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    client: ClientId,
    /// The epoch it has a link under, if it has one.
    linked: Option<Epoch>,
    frozen: bool,
    partitioned_until: Micros,
}

#[derive(Debug, Default)]
pub struct Roles {
    processes: BTreeMap<ProcessId, Standing>,
    candidates: BTreeMap<(ProcessId, CandidateId), String>,
    terms: BTreeMap<Term, (String, ClientId)>,
    /// Who believes to lead which role, under which term.
    believers: BTreeMap<(String, ProcessId), (CandidateId, Term)>,
    overlap_since: BTreeMap<String, Micros>,
    changes: usize,
}

impl Roles {
    /// How often a client began to lead.
    #[must_use]
    pub const fn changes(&self) -> usize {
        self.changes
    }

    fn leading(
        &mut self,
        process: ProcessId,
        candidate: CandidateId,
        term: Term,
    ) -> Result<(), Violation> {
        let Some(role) = self.candidates.get(&(process, candidate)).cloned() else { return Ok(()) };
        let client = self.processes.get(&process).map(|p| p.client).unwrap_or_default();
        let held = self.terms.entry(term).or_insert_with(|| (role.clone(), client));
        if *held != (role.clone(), client) {
            return violated(TERM, format!("term {} of {role} has two leaders", term.0));
        }
        self.changes += 1;
        self.believers.insert((role, process), (candidate, term));
        Ok(())
    }

    fn drop_process(&mut self, process: ProcessId) {
        self.believers.retain(|(_, believer), _| *believer != process);
        self.processes.remove(&process);
    }

    fn drop_candidate(&mut self, process: ProcessId, candidate: CandidateId) {
        self.believers.retain(|(_, p), (c, _)| (*p, *c) != (process, candidate));
    }

    fn in_reach(&self, now: Micros, process: ProcessId) -> Option<Epoch> {
        let standing = self.processes.get(&process)?;
        standing.linked.filter(|_| !standing.frozen && standing.partitioned_until < now)
    }

    /// Two believers with a link to one node, for longer than a frame may take.
    fn overlaps(&mut self, now: Micros) -> Result<(), Violation> {
        let mut overlapping = BTreeMap::new();
        let mut last: Option<(&String, Epoch, ProcessId)> = None;
        for (role, process) in self.believers.keys() {
            let Some(epoch) = self.in_reach(now, *process) else { continue };
            if let Some((_, _, other)) = last.filter(|(r, e, _)| (*r, *e) == (role, epoch)) {
                overlapping.insert(role.clone(), (other, *process));
            }
            last = Some((role, epoch, *process));
        }
        self.overlap_since.retain(|role, _| overlapping.contains_key(role));
        for (role, (one, other)) in overlapping {
            let since = *self.overlap_since.entry(role.clone()).or_insert(now);
            if now - since > OVERLAP_MAX {
                return violated(LIVE, format!("processes {} and {} lead {role}", one.0, other.0));
            }
        }
        Ok(())
    }
}

impl Checker for Roles {
    fn observe(&mut self, view: View<'_>, fact: &Fact<'_>) -> Result<(), Violation> {
        match fact {
            Fact::Began { process, client } => {
                let standing = Standing { client: *client, ..Standing::default() };
                self.processes.insert(*process, standing);
            }
            Fact::Ended { process } => self.drop_process(*process),
            Fact::Froze { process } | Fact::Thawed { process } => {
                let frozen = matches!(fact, Fact::Froze { .. });
                if let Some(standing) = self.processes.get_mut(process) {
                    standing.frozen = frozen;
                }
            }
            Fact::Partitioned { process, until } => {
                if let Some(standing) = self.processes.get_mut(process) {
                    standing.partitioned_until = *until;
                }
            }
            Fact::Asked { process, ask: Ask::Lead { candidate, role } } => {
                self.candidates.insert((*process, *candidate), role.clone());
            }
            Fact::Asked { process, ask: Ask::Resign { candidate } }
            | Fact::Told { process, event: Event::Deposed { candidate } } => {
                self.drop_candidate(*process, *candidate);
            }
            Fact::Told { process, event: Event::Leading { candidate, term } } => {
                self.leading(*process, *candidate, *term)?;
            }
            Fact::Told { process, event: Event::Ready { epoch, .. } } => {
                if let Some(standing) = self.processes.get_mut(process) {
                    standing.linked = Some(*epoch);
                }
            }
            Fact::Told { process, event: Event::Lost } => {
                if let Some(standing) = self.processes.get_mut(process) {
                    standing.linked = None;
                }
            }
            Fact::Told { process, event: Event::Closed { .. } } => self.drop_process(*process),
            _ => return Ok(()),
        }
        self.overlaps(view.now)
    }

    fn finish(&mut self, view: View<'_>) -> Result<(), Violation> {
        self.overlaps(view.now)
    }
}
