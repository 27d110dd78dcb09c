//! `slow-is-slow`: a consumer is told to be slow only when it has held a delivery for as long as
//! its queue says.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;

use crate::cbor::{self, Malformed};
use crate::client::io::Event;
use crate::id::{ClientId, MessageNumber};
use crate::log::Record;
use crate::sim::check::{Checker, View, Violation, violated};
use crate::sim::fact::Fact;
use crate::sim::schedule::{MILLI, Micros};

const SLOW: &str = "slow-is-slow";
const TOPIC: &str = "$tabmq.queue.slow-consumer.";

/// A delivery, as an advisory names it.
type Delivery = (MessageNumber, u64, ClientId);

#[derive(Debug, Default)]
pub struct Slow {
    /// When the last writes were stored. What is in one was done after the last but one before it.
    stored: [Micros; 3],
    /// No delivery of that name was made before then.
    since: BTreeMap<Delivery, Micros>,
    told: usize,
}

impl Slow {
    /// How often somebody was told to be slow.
    #[must_use]
    pub const fn told(&self) -> usize {
        self.told
    }

    fn hear(&mut self, view: View<'_>, queue: &str, body: &[u8]) -> Result<(), Violation> {
        let Ok(delivery) = parse(body) else {
            return violated(SLOW, format!("{queue}: {body:x?}"));
        };
        self.told += 1;
        let options = view.model.queues.values().find(|known| known.name == queue);
        let slow = options.and_then(|known| known.options.slow);
        let (Some(slow), Some(since)) = (slow, self.since.get(&delivery)) else { return Ok(()) };
        let held = view.now.saturating_sub(*since);
        if held < slow.after_ms * MILLI {
            let what = format!("{delivery:?} is told to be slow after {held} us at most");
            return violated(SLOW, what);
        }
        Ok(())
    }
}

fn parse(body: &[u8]) -> Result<Delivery, Malformed> {
    let (mut number, mut attempt, mut client) = (None, None, None);
    for (key, value) in cbor::entries(body)? {
        match cbor::decode::<String>(key)?.as_str() {
            "number" => number = Some(MessageNumber(cbor::decode(value)?)),
            "attempt" => attempt = Some(cbor::decode(value)?),
            "client" => client = Some(ClientId(cbor::decode(value)?)),
            _ => {}
        }
    }
    let (Some(number), Some(attempt), Some(client)) = (number, attempt, client) else {
        return Err(Malformed);
    };
    Ok((number, attempt, client))
}

impl Checker for Slow {
    fn observe(&mut self, view: View<'_>, fact: &Fact<'_>) -> Result<(), Violation> {
        match fact {
            // One that makes room may come between a write and those that had to wait for it.
            Fact::Accepted { records: true, .. } => {
                self.stored = [self.stored[1], self.stored[2], view.now];
            }
            Fact::Stored { records, .. } => {
                for (_, record) in *records {
                    if let Record::Leased { number, attempt, client, .. } = record {
                        // After a rollback the same one may be made again, later.
                        let delivery = (*number, u64::from(*attempt), *client);
                        self.since.entry(delivery).or_insert(self.stored[0]);
                    }
                }
            }
            Fact::Told { event: Event::Live { topic, body, .. }, .. } => {
                if let Some(queue) = topic.strip_prefix(TOPIC) {
                    return self.hear(view, queue, body);
                }
            }
            _ => {}
        }
        Ok(())
    }
}
