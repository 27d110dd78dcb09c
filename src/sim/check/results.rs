//! `processed-is-true`: a producer is told that its message was delivered or processed only if the
//! log says so, and with the value that the message's own handler returned.
//! `failed-is-true`: it is told that its message failed only if that left its queue unprocessed.

use alloc::collections::BTreeMap;
use alloc::format;

use crate::client::io::{Event, TrackOutcome};
use crate::error::Code;
use crate::id::RequestId;
use crate::sim::check::{Checker, View, Violation, violated};
use crate::sim::fact::{Ask, Fact, ProcessId, Tag};
use crate::sim::model::{End, Whereabouts};

const PROCESSED: &str = "processed-is-true";
const FAILED: &str = "failed-is-true";

#[derive(Debug, Default)]
pub struct Results {
    asked: BTreeMap<(ProcessId, RequestId), Tag>,
    told: usize,
}

impl Results {
    /// How many were told of a delivery or an end.
    #[must_use]
    pub const fn told(&self) -> usize {
        self.told
    }

    fn tracked(
        &mut self,
        view: View<'_>,
        tag: Tag,
        outcome: &TrackOutcome,
    ) -> Result<(), Violation> {
        self.told += 1;
        let mut leases = view.model.leases.values().filter(|lease| lease.tag == tag);
        let TrackOutcome::Processed { value } = outcome else {
            return match leases.next() {
                Some(_) => Ok(()),
                None => violated(PROCESSED, format!("{tag} was not delivered")),
            };
        };
        if !leases.any(|lease| matches!(lease.end, Some((End::Acked, true)))) {
            return violated(PROCESSED, format!("{tag} was not processed"));
        }
        if value.as_deref().and_then(Tag::of) != Some(tag) {
            return violated(PROCESSED, format!("{tag} was answered with the value of another"));
        }
        Ok(())
    }

    fn failed(&mut self, view: View<'_>, tag: Tag, code: Code) -> Result<(), Violation> {
        if !matches!(code, Code::DeadLettered | Code::Discarded) {
            return Ok(());
        }
        self.told += 1;
        let message = view.model.by_tag.get(&tag).and_then(|n| view.model.messages.get(n));
        let Some(message) = message else {
            return violated(FAILED, format!("{tag} is not in the log"));
        };
        let buried = view
            .model
            .leases
            .values()
            .any(|lease| lease.tag == tag && matches!(lease.end, Some((End::DeadLettered, _))));
        let gone = message.whereabouts == Whereabouts::Discarded;
        if gone || buried || message.moved {
            return Ok(());
        }
        violated(FAILED, format!("{tag} is {:?}, not failed", message.whereabouts))
    }
}

impl Checker for Results {
    fn observe(&mut self, view: View<'_>, fact: &Fact<'_>) -> Result<(), Violation> {
        match fact {
            Fact::Asked { process, ask: Ask::Track { request, tag } } => {
                self.asked.insert((*process, *request), *tag);
                Ok(())
            }
            Fact::Told { process, event: Event::Tracked { request, outcome } } => {
                match self.asked.remove(&(*process, *request)) {
                    Some(tag) => self.tracked(view, tag, outcome),
                    None => violated(PROCESSED, format!("process {} had not asked", process.0)),
                }
            }
            Fact::Told { process, event: Event::Failed { request, code, .. } } => {
                match self.asked.remove(&(*process, *request)) {
                    Some(tag) => self.failed(view, tag, *code),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}
