//! `processed-is-true`: a producer is told that its message was delivered or processed only if the
//! log says so, and with the value that the message's own handler returned.
//! `failed-is-true`: it is told that its message failed only if that left its queue unprocessed.

use alloc::collections::BTreeMap;
use alloc::format;

use crate::client::io::Event;
use crate::error::Code;
use crate::id::{ClientId, RequestId};
use crate::sim::check::{Checker, View, Violation, violated};
use crate::sim::fact::{Ask, Fact, ProcessId, Tag};
use crate::sim::model::{End, Whereabouts};
use crate::wire::frame::{Frame, Reason, Tracking};

const PROCESSED: &str = "processed-is-true";
const FAILED: &str = "failed-is-true";

#[derive(Debug, Default)]
pub struct Results {
    living: BTreeMap<ClientId, ProcessId>,
    asked: BTreeMap<(ProcessId, RequestId), Tag>,
    told: usize,
}

impl Results {
    /// How many were told of a delivery or an end.
    #[must_use]
    pub const fn told(&self) -> usize {
        self.told
    }

    /// Judged when it leaves the node: a rollback may take what it tells before it is heard.
    fn left(
        &self,
        view: View<'_>,
        client: ClientId,
        request: RequestId,
        outcome: &Tracking<'_>,
    ) -> Result<(), Violation> {
        let process = self.living.get(&client).copied();
        let Some(tag) = process.and_then(|process| self.asked.get(&(process, request))) else {
            // Who asked is gone.
            return Ok(());
        };
        let mut leases = view.model.leases.values().filter(|lease| lease.tag == *tag);
        match outcome {
            Tracking::Delivered => match leases.next() {
                Some(_) => Ok(()),
                None => violated(PROCESSED, format!("{tag} was not delivered")),
            },
            Tracking::Processed { value } => {
                if !leases.any(|lease| matches!(lease.end, Some((End::Acked, true)))) {
                    return violated(PROCESSED, format!("{tag} was not processed"));
                }
                if value.and_then(Tag::of) != Some(*tag) {
                    return violated(PROCESSED, format!("{tag} has the value of another"));
                }
                Ok(())
            }
            Tracking::Failed { code, .. } => failed(view, *tag, *code),
        }
    }
}

fn failed(view: View<'_>, tag: Tag, code: Code) -> Result<(), Violation> {
    let message = view.model.by_tag.get(&tag).and_then(|n| view.model.messages.get(n));
    let Some(message) = message else {
        return violated(FAILED, format!("{tag} is not in the log"));
    };
    let fate = match code {
        Code::DeadLettered => message.moved,
        Code::Expired => {
            message.expired || message.deaths.iter().any(|death| death.reason == Reason::Expired)
        }
        _ => message.whereabouts == Whereabouts::Discarded,
    };
    if fate {
        return Ok(());
    }
    violated(FAILED, format!("{tag} is {:?}, not {}", message.whereabouts, code.text()))
}

impl Checker for Results {
    fn observe(&mut self, view: View<'_>, fact: &Fact<'_>) -> Result<(), Violation> {
        match fact {
            Fact::Began { process, client } => {
                self.living.insert(*client, *process);
            }
            Fact::Asked { process, ask: Ask::Track { request, tag } } => {
                self.asked.insert((*process, *request), *tag);
            }
            Fact::Left { client, frame: Frame::Tracked { request, outcome }, .. } => {
                return self.left(view, *client, *request, outcome);
            }
            Fact::Told { process, event } => {
                let (Event::Tracked { request, .. } | Event::Failed { request, .. }) = event else {
                    return Ok(());
                };
                let known = self.asked.contains_key(&(*process, *request));
                self.told += usize::from(known);
                if !known && matches!(event, Event::Tracked { .. }) {
                    return violated(PROCESSED, format!("process {} had not asked", process.0));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
