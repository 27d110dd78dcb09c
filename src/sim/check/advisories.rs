//! `advisory-is-true`: what the node tells on topics of the system is stored, and comes to those
//! alone whose filter names them.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;

use crate::cbor::{self, Malformed};
use crate::client::io::Event;
use crate::id::{MessageNumber, SubscriptionId};
use crate::log::record::Decision;
use crate::sim::check::{Checker, View, Violation, violated};
use crate::sim::deaths::Death;
use crate::sim::fact::{Ask, Fact, ProcessId};
use crate::sim::model::Whereabouts;
use crate::sim::prepared::Fate;
use crate::wire::frame::Reason;

const TRUE: &str = "advisory-is-true";
const SYSTEM: &str = "$tabmq.";

#[derive(Debug, Default)]
pub struct Advisories {
    filters: BTreeMap<(ProcessId, SubscriptionId), String>,
    /// The log lost something, so what was told of may be gone.
    shaken: bool,
    told: usize,
}

/// Whether a topic is one of the system.
pub fn is_system(topic: &str) -> bool {
    topic.starts_with(SYSTEM)
}

impl Advisories {
    /// How many were told.
    #[must_use]
    pub const fn told(&self) -> usize {
        self.told
    }

    fn hear(
        &mut self,
        view: View<'_>,
        by: (ProcessId, SubscriptionId),
        topic: &str,
        body: &[u8],
    ) -> Result<(), Violation> {
        self.told += 1;
        if !self.filters.get(&by).is_some_and(|filter| filter.starts_with(SYSTEM)) {
            return violated(TRUE, format!("process {} hears {topic} unasked", by.0.0));
        }
        let Some(told) = parse(body).ok().filter(|told| topic.ends_with(&*told.queue)) else {
            return violated(TRUE, format!("{topic} says {body:x?}"));
        };
        let message = told.number.and_then(|number| view.model.messages.get(&number));
        let holds = match (topic.split('.').nth(2), message) {
            (Some("dead-lettered"), Some(message)) => {
                message.deaths.iter().any(|death| death.queue == told.queue)
            }
            (Some("expired"), Some(message)) => {
                let died = |death: &Death| death.reason == Reason::Expired;
                message.expired || message.deaths.iter().any(died)
            }
            (Some("discarded"), Some(message)) => message.whereabouts == Whereabouts::Discarded,
            (Some("rolled-back"), _) => {
                let half = told.number.and_then(|number| view.model.halves.get(&number));
                half.is_some_and(|half| half.fate == Fate::Decided(Decision::Unanswered))
                    || half.is_some_and(|half| half.fate == Fate::Decided(Decision::TooOld))
            }
            (Some("dead-lettered" | "discarded" | "expired"), None) => false,
            _ => true,
        };
        if !holds && !self.shaken {
            return violated(TRUE, format!("{topic} is said of {:?}", told.number));
        }
        Ok(())
    }
}

struct Told {
    queue: String,
    number: Option<MessageNumber>,
}

fn parse(body: &[u8]) -> Result<Told, Malformed> {
    let (mut queue, mut number) = (None, None);
    for (key, value) in cbor::entries(body)? {
        match cbor::decode::<String>(key)?.as_str() {
            "queue" => queue = Some(cbor::decode(value)?),
            "number" => number = Some(MessageNumber(cbor::decode(value)?)),
            _ => {}
        }
    }
    Ok(Told { queue: queue.ok_or(Malformed)?, number })
}

impl Checker for Advisories {
    fn observe(&mut self, view: View<'_>, fact: &Fact<'_>) -> Result<(), Violation> {
        match fact {
            Fact::Asked { process, ask: Ask::Subscribe { subscription, filter, .. } } => {
                self.filters.insert((*process, *subscription), filter.clone());
            }
            Fact::Told { process, event: Event::Live { subscription, topic, body, .. } }
                if is_system(topic) =>
            {
                return self.hear(view, (*process, *subscription), topic, body);
            }
            Fact::TailLost { .. } => self.shaken = true,
            _ => {}
        }
        Ok(())
    }
}
