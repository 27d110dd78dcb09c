//! Roles that this tab stands for or leads.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use crate::client::Client;
use crate::client::io::{Event, Handle};
use crate::error::{Code, Refused};
use crate::id::{CandidateId, Term};
use crate::sorted::Map;
use crate::topic::Name;
use crate::wire::Frame;

#[derive(Debug)]
struct Candidate {
    role: String,
    term: Option<Term>,
    /// Given up while the node could not be told. It is told on the next link.
    resigned: bool,
}

#[derive(Debug, Default)]
pub(super) struct Roles {
    candidates: Map<CandidateId, Candidate>,
    last: u32,
}

impl Roles {
    pub fn is_empty(&self) -> bool {
        self.candidates.is_empty()
    }

    /// Terms the node must not end. One that was given up is among them until its end is told, for
    /// the Hello may be on its way.
    pub fn terms(&self) -> Vec<Term> {
        self.candidates.values().filter_map(|candidate| candidate.term).collect()
    }
}

impl Client {
    pub(super) fn begin_stand(&mut self, role: &str) -> Result<CandidateId, Refused> {
        Name::parse(role, &self.limits)?;
        self.check_handles(self.roles.candidates.len())?;
        self.roles.last = self.roles.last.saturating_add(1);
        let candidate = CandidateId(self.roles.last);
        self.push(&Frame::Stand { candidate, role, holds: None });
        let standing = Candidate { role: role.to_owned(), term: None, resigned: false };
        self.roles.candidates.insert(candidate, standing);
        Ok(candidate)
    }

    pub(super) fn end_candidate(&mut self, candidate: CandidateId) {
        let open = self.link.is_open();
        match self.roles.candidates.get_mut(&candidate) {
            Some(resigning) if !open && resigning.term.is_some() => resigning.resigned = true,
            Some(_) => {
                self.roles.candidates.remove(&candidate);
                self.push(&Frame::Resign { candidate });
            }
            None => {}
        }
    }

    /// Stands again, with the terms it holds.
    pub(super) fn resume_roles(&mut self) {
        let Some(writer) = self.link.writer() else { return };
        for (id, candidate) in self.roles.candidates.iter() {
            let Candidate { role, term, resigned } = candidate;
            writer.push(&Frame::Stand { candidate: *id, role, holds: *term });
            if *resigned {
                writer.push(&Frame::Resign { candidate: *id });
            }
        }
        self.roles.candidates.retain(|_, candidate| !candidate.resigned);
    }

    pub(super) fn on_lead(&mut self, candidate: CandidateId, term: Term) {
        let Some(leading) = self.roles.candidates.get_mut(&candidate) else { return };
        let earlier = leading.term.replace(term);
        if earlier == Some(term) {
            return;
        }
        if earlier.is_some() {
            self.events.push_back(Event::Deposed { candidate });
        }
        self.events.push_back(Event::Leading { candidate, term });
    }

    /// The claim was refused. One that led stands on, unless a code says that it may not; one that
    /// never did has no place.
    pub(super) fn on_depose(&mut self, candidate: CandidateId, refused: Option<Code>) {
        let Some(deposed) = self.roles.candidates.get_mut(&candidate) else { return };
        let led = deposed.term.take().is_some();
        if led {
            self.events.push_back(Event::Deposed { candidate });
        }
        if led && refused.is_none() {
            return;
        }
        self.roles.candidates.remove(&candidate);
        let (handle, code) = (Handle::Candidate(candidate), refused.unwrap_or(Code::Full));
        self.events.push_back(Event::HandleRefused { handle, code });
    }

    /// No term goes on: the log they were of is no more, or the client leaves.
    pub(super) fn depose_all(&mut self) {
        self.roles.candidates.retain(|_, candidate| !candidate.resigned);
        let Self { roles, events, .. } = self;
        roles.candidates.for_each_mut(|candidate, deposed| {
            if deposed.term.take().is_some() {
                events.push_back(Event::Deposed { candidate: *candidate });
            }
        });
    }
}
