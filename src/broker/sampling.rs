//! What schedules sample: the newest live publish of a topic, kept until the schedule has sent it.
//! It is in memory alone, so after a change of host only what is published from then on counts.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use crate::broker::Broker;
use crate::broker::schedules::Schedule;
use crate::cbor;
use crate::id::MessageNumber;
use crate::limits::Limits;
use crate::sorted::{Map, Set};
use crate::topic::Topic;
use crate::wire::frame::{Live, Properties};

/// What was published, as a message of a queue has it.
#[derive(Debug)]
pub struct Value {
    pub body: Vec<u8>,
    pub properties: Option<Vec<u8>>,
}

impl Value {
    /// None if no queue could take it. The id stays behind: it names the publish, and a value that
    /// was sent is no repetition of another.
    fn of(live: &Live<'_>, limits: &Limits) -> Option<Self> {
        let body = live.body.to_owned();
        let Some(properties) = live.properties else {
            return Some(Self { body, properties: None });
        };
        let known: Properties<'_> = cbor::decode(properties).ok()?;
        let known = Properties { id: None, ..known };
        if properties.len() > limits.headers_bytes_max as usize {
            return None;
        }
        let mut properties = Vec::new();
        cbor::encode(&known, &mut properties);
        Some(Self { body, properties: Some(properties) })
    }
}

/// At most one value for each schedule that samples, so at most `schedules_max`.
#[derive(Debug, Default)]
pub struct Samples {
    by_topic: Map<String, Set<MessageNumber>>,
    values: Map<MessageNumber, Value>,
}

impl Samples {
    fn begin(&mut self, number: MessageNumber, topic: &str, earlier: Option<MessageNumber>) {
        let numbers = self.by_topic.get_or_default(topic.to_owned());
        numbers.insert(number);
        let earlier = earlier.filter(|earlier| numbers.contains(earlier));
        if let Some(value) = earlier.and_then(|earlier| self.take(earlier)) {
            self.values.insert(number, value);
        }
    }

    /// Forgets those that are gone, which may have gone with their queue.
    fn keep_only(&mut self, is_there: impl Fn(MessageNumber) -> bool) {
        self.values.retain(|number, _| is_there(*number));
        self.by_topic.retain(|_, numbers| {
            numbers.retain(|number| is_there(*number));
            !numbers.is_empty()
        });
    }

    /// What was published since this was last taken.
    pub fn newest(&self, number: MessageNumber) -> Option<&Value> {
        self.values.get(&number)
    }

    pub fn take(&mut self, number: MessageNumber) -> Option<Value> {
        self.values.remove(&number)
    }

    pub fn put(&mut self, number: MessageNumber, value: Value) {
        self.values.insert(number, value);
    }
}

impl Broker {
    /// A schedule is there, which may sample a topic. `earlier` is the one whose place it took.
    /// What that has not sent is sent by this one, if it is of the same topic.
    pub(super) fn begin_sampling(&mut self, number: MessageNumber, earlier: Option<MessageNumber>) {
        let order = self.state.schedules.get(number).and_then(Schedule::order);
        if let Some(topic) = order.and_then(|order| order.latest) {
            self.timetable.samples.begin(number, topic, earlier);
        }
        self.end_sampling();
    }

    /// Schedules are gone.
    pub(super) fn end_sampling(&mut self) {
        let schedules = &self.state.schedules;
        self.timetable.samples.keep_only(|number| schedules.get(number).is_some());
    }

    /// A live message that this node has not heard before.
    pub(super) fn sample(&mut self, topic: &Topic, live: &Live<'_>) {
        let Some(numbers) = self.timetable.samples.by_topic.get(topic.as_str()) else { return };
        for number in numbers.iter() {
            if let Some(value) = Value::of(live, &self.limits) {
                self.timetable.samples.values.insert(*number, value);
            }
        }
    }
}
