//! `call-at-most-once`: a call runs at most once, its answer is its server's, and a failure says
//! rightly whether the call may have run.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec::Vec;

use crate::client::io::{CallOutcome, Event};
use crate::id::CallId;
use crate::sim::check::{Checker, View, Violation, violated};
use crate::sim::fact::{Ask, Fact, ProcessId, Tag};

const ONCE: &str = "call-at-most-once";

#[derive(Debug, Default)]
pub struct Calls {
    asked: BTreeMap<(ProcessId, CallId), Tag>,
    ran: BTreeMap<Tag, ProcessId>,
    /// Calls that ended with "not executed".
    untouched: BTreeSet<Tag>,
    ended: usize,
}

/// The body of the answer to a call; the user's handlers give it, too.
#[must_use]
pub fn answer(tag: Tag, threw: bool) -> Vec<u8> {
    let mut body = tag.body(12);
    body.push(u8::from(threw));
    body
}

impl Calls {
    /// How many calls ended.
    #[must_use]
    pub const fn ended(&self) -> usize {
        self.ended
    }

    fn dispatched(&mut self, server: ProcessId, arguments: &[u8]) -> Result<(), Violation> {
        let Some(tag) = Tag::of(arguments) else {
            return violated(ONCE, format!("process {} gets changed arguments", server.0));
        };
        if self.untouched.contains(&tag) {
            let what = format!("call {tag} runs though its caller was told that it did not");
            return violated(ONCE, what);
        }
        match self.ran.insert(tag, server) {
            Some(first) => {
                violated(ONCE, format!("call {tag} runs at {} and at {}", first.0, server.0))
            }
            None => Ok(()),
        }
    }

    fn ended_with(
        &mut self,
        caller: ProcessId,
        call: CallId,
        outcome: &CallOutcome,
    ) -> Result<(), Violation> {
        let Some(tag) = self.asked.remove(&(caller, call)) else { return Ok(()) };
        self.ended += 1;
        let ran = self.ran.contains_key(&tag);
        match outcome {
            CallOutcome::Value(body) if !ran || *body != answer(tag, false) => {
                violated(ONCE, format!("call {tag} returns what no server gave"))
            }
            CallOutcome::Threw(body) if !ran || *body != answer(tag, true) => {
                violated(ONCE, format!("call {tag} throws what no server threw"))
            }
            CallOutcome::Failed { code, maybe_executed: false } => {
                if ran {
                    let what = format!("call {tag} ran, and fails with {code:?} as if it had not");
                    return violated(ONCE, what);
                }
                self.untouched.insert(tag);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Checker for Calls {
    fn observe(&mut self, _view: View<'_>, fact: &Fact<'_>) -> Result<(), Violation> {
        match fact {
            Fact::Asked { process, ask: Ask::Call { call, tag, .. } } => {
                self.asked.insert((*process, *call), *tag);
                Ok(())
            }
            Fact::Told { process, event: Event::Dispatch { arguments, .. } } => {
                self.dispatched(*process, arguments)
            }
            Fact::Told { process, event: Event::CallEnded { call, outcome } } => {
                self.ended_with(*process, *call, outcome)
            }
            _ => Ok(()),
        }
    }
}
