//! Leadership: at most one client leads a role, under a term that only grows.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use crate::broker::Broker;
use crate::id::{CandidateId, ClientId, ConnId, Term};
use crate::log::Record;
use crate::sorted::Map;
use crate::topic::Name;
use crate::wire::Frame;

/// Who stands for which role, in order of arrival.
#[derive(Debug, Default)]
pub struct Roles {
    pub(super) candidates: Map<String, Vec<(ClientId, CandidateId)>>,
    /// The candidacy that each term was given to: a client may stand for one role more than once.
    pub(super) leading: Map<String, (ClientId, CandidateId)>,
}

impl Roles {
    pub fn remove(&mut self, role: &str, client: ClientId, candidate: CandidateId) {
        let Some(candidates) = self.candidates.get_mut(role) else { return };
        candidates.retain(|standing| *standing != (client, candidate));
        if candidates.is_empty() {
            self.candidates.remove(role);
        }
    }

    fn first(&self, role: &str) -> Option<(ClientId, CandidateId)> {
        self.candidates.get(role)?.first().copied()
    }
}

impl Broker {
    pub(super) fn on_stand(
        &mut self,
        conn: ConnId,
        client: ClientId,
        candidate: CandidateId,
        role: &str,
        holds: Option<Term>,
    ) {
        let handles_max = self.limits.handles_max as usize;
        let valid = Name::parse(role, &self.limits).is_ok();
        let Some(session) = self.sessions.get_mut(&client) else { return };
        if !valid || session.candidates.len() >= handles_max {
            return self.links.push(conn, &Frame::Depose { candidate, refused: None });
        }
        if session.candidates.insert(candidate, role.to_owned()).is_none() {
            let standing = self.roles.candidates.get_or_default(role.to_owned());
            standing.push((client, candidate));
        }
        let leader = self.state.leaders.get(role).copied();
        match (leader, holds) {
            (Some(leader), Some(term)) if leader.client == client && leader.term == term => {
                self.roles.leading.insert(role.to_owned(), (client, candidate));
                self.gated(conn, &Frame::Lead { candidate, term });
            }
            (_, Some(_)) => self.gated(conn, &Frame::Depose { candidate, refused: None }),
            _ => {}
        }
        self.elect(role);
    }

    /// One who stood when the node fell asleep.
    pub(super) fn recall_candidate(
        &mut self,
        client: ClientId,
        candidate: CandidateId,
        role: &str,
        leads: bool,
    ) {
        let Some(session) = self.sessions.get_mut(&client) else { return };
        session.candidates.insert(candidate, role.to_owned());
        self.roles.candidates.get_or_default(role.to_owned()).push((client, candidate));
        if leads {
            self.roles.leading.insert(role.to_owned(), (client, candidate));
        }
    }

    pub(super) fn on_resign(&mut self, client: ClientId, candidate: CandidateId) {
        let Some(session) = self.sessions.get_mut(&client) else { return };
        let Some(role) = session.candidates.remove(&candidate) else { return };
        self.roles.remove(&role, client, candidate);
        if self.roles.leading.get(&role) == Some(&(client, candidate)) {
            self.end_term(&role);
        }
        self.elect(&role);
    }

    fn end_term(&mut self, role: &str) {
        self.roles.leading.remove(role);
        self.commit(&Record::TermEnded { role });
    }

    /// Ends the term of a role if this client leads it.
    pub(super) fn end_term_of(&mut self, role: &str, client: ClientId) {
        if self.state.leaders.get(role).is_some_and(|leader| leader.client == client) {
            self.end_term(role);
            self.elect(role);
        }
    }

    /// The client is gone: its terms end.
    pub(super) fn end_terms_of(&mut self, client: ClientId) {
        self.end_terms_not_held(client, &[]);
    }

    /// Ends the terms of a client that it does not name.
    pub(super) fn end_terms_not_held(&mut self, client: ClientId, held: &[Term]) {
        let led: Vec<String> = self
            .state
            .leaders
            .iter()
            .filter(|(_, leader)| leader.client == client && !held.contains(&leader.term))
            .map(|(role, _)| role.clone())
            .collect();
        for role in led {
            self.end_term(&role);
            self.elect(&role);
        }
    }

    /// Begins a term of the first candidate if nobody leads. Only a stored end of the last term
    /// makes room, so absence alone never does.
    fn elect(&mut self, role: &str) {
        if self.is_out_of_room() || self.state.leaders.contains_key(role) {
            return;
        }
        let Some((client, candidate)) = self.roles.first(role) else { return };
        let term = self.next_term();
        self.commit(&Record::TermBegan { role, term, client });
        self.roles.leading.insert(role.to_owned(), (client, candidate));
        if let Some(conn) = self.sessions.get(&client).and_then(|session| session.conn) {
            self.gated(conn, &Frame::Lead { candidate, term });
        }
    }

    /// Ends the terms of leaders that neither resumed nor are present.
    pub(super) fn end_terms_of_absent(&mut self) {
        let absent: Vec<ClientId> = self
            .state
            .leaders
            .values()
            .map(|leader| leader.client)
            .filter(|client| !self.sessions.contains_key(client))
            .collect();
        for client in absent {
            self.end_terms_of(client);
        }
    }
}
