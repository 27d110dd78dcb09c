//! `sampled-is-published`: a schedule that samples a topic sends what was published to it, of each
//! publisher in order, and from one node no value twice.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;

use crate::id::{LaneId, MessageNumber};
use crate::log::Record;
use crate::sim::check::{Checker, View, Violation, violated};
use crate::sim::fact::{Ask, Fact, NodeId, ProcessId, Tag};

const SAMPLED: &str = "sampled-is-published";

#[derive(Debug, Default)]
pub struct Sampling {
    /// The topic of each publish.
    published: BTreeMap<Tag, String>,
    /// The topic that each schedule samples.
    topics: BTreeMap<MessageNumber, String>,
    /// The newest serial of a publisher that a node sent for a schedule.
    newest: BTreeMap<(NodeId, MessageNumber, ProcessId), u32>,
    sent: usize,
}

impl Sampling {
    /// How many values were sent.
    #[must_use]
    pub const fn sent(&self) -> usize {
        self.sent
    }

    fn value(&mut self, node: NodeId, number: MessageNumber, tag: Tag) -> Result<(), Violation> {
        let Some(topic) = self.topics.get(&number) else { return Ok(()) };
        if self.published.get(&tag) != Some(topic) {
            return violated(SAMPLED, format!("schedule {} sends {tag} of {topic}", number.0));
        }
        self.sent += 1;
        match self.newest.insert((node, number, tag.process), tag.serial) {
            Some(newest) if newest >= tag.serial => {
                violated(SAMPLED, format!("schedule {} sends {tag} after {newest}", number.0))
            }
            _ => Ok(()),
        }
    }
}

impl Checker for Sampling {
    fn observe(&mut self, _view: View<'_>, fact: &Fact<'_>) -> Result<(), Violation> {
        let (node, records) = match fact {
            Fact::Asked { ask: Ask::Publish { topic, tag, .. }, .. } => {
                self.published.insert(*tag, topic.clone());
                return Ok(());
            }
            Fact::Stored { node, records, .. } => (*node, *records),
            _ => return Ok(()),
        };
        let mut stored = None;
        for (_, record) in records {
            match record {
                Record::Scheduled { number, scheduling, .. } => {
                    self.topics.remove(number);
                    let topic = scheduling.latest.map(ToOwned::to_owned);
                    self.topics.extend(topic.map(|topic| (*number, topic)));
                }
                Record::Message(message) if message.lane == LaneId(0) => {
                    stored = Tag::of(message.body);
                }
                Record::ScheduleDue { number, .. } => {
                    if let Some(tag) = stored.take() {
                        self.value(node, *number, tag)?;
                    }
                }
                Record::Unscheduled { .. } => stored = None,
                _ => {}
            }
        }
        Ok(())
    }
}
