//! Policies: options for all queues whose names fit a pattern. What a queue declares goes before.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use crate::broker::Broker;
use crate::broker::queue::Settings;
use crate::broker::state::State;
use crate::error::{Code, Refused};
use crate::id::{ConnId, QueueId, RequestId};
use crate::log::Record;
use crate::options::QueueOptions;
use crate::sorted::Map;
use crate::topic::{Filter, Name, fits};
use crate::wire::Frame;
use crate::wire::envelope::encode_frame;
use crate::wire::frame::Policy;

/// By their names.
pub type Policies = Map<String, KeptPolicy>;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptPolicy {
    pattern: String,
    priority: u32,
    options: QueueOptions,
}

impl KeptPolicy {
    pub fn as_frame<'a>(&'a self, name: &'a str) -> Policy<'a> {
        let Self { pattern, priority, options } = self;
        Policy { name, pattern, priority: *priority, options: options.clone() }
    }
}

impl State {
    pub(super) fn apply_policy(&mut self, record: &Record<'_>) {
        match record {
            Record::Policy(Policy { name, pattern, priority, options }) => {
                let (pattern, options) = ((*pattern).to_owned(), options.clone());
                let policy = KeptPolicy { pattern, priority: *priority, options };
                self.policies.insert((*name).to_owned(), policy);
            }
            Record::PolicyRemoved { name } => drop(self.policies.remove(*name)),
            _ => {}
        }
        for id in self.queues.keys().copied().collect::<Vec<_>>() {
            self.follow_policy(id);
        }
    }

    /// How many priorities the queue of that name has, or will have when a send makes it.
    pub(super) fn priorities_of(&self, queue: &str) -> u32 {
        let made = || policy_for(&self.policies, queue).map(|(_, policy)| &policy.options);
        let known = self.queue_named(queue).and_then(|id| self.queues.get(&id));
        let options = known.map(|queue| &queue.options).or_else(made);
        options.and_then(|options| options.priorities).unwrap_or(1)
    }

    /// Fills in what the queue does not declare.
    pub(super) fn follow_policy(&mut self, id: QueueId) {
        let messages_max = self.queue_messages_max;
        let Some(queue) = self.queues.get_mut(&id) else { return };
        let first = policy_for(&self.policies, &queue.name);
        queue.options = match first {
            Some((_, policy)) => queue.declared.or_tunables(&policy.options),
            None => queue.declared.clone(),
        };
        queue.policy = first.map(|(name, _)| name.clone());
        queue.settings = Settings::new(&queue.options, messages_max);
        self.regroup(id);
        self.count_keys(id);
    }
}

/// The one that applies to a queue of this name.
fn policy_for<'a>(policies: &'a Policies, queue: &str) -> Option<(&'a String, &'a KeptPolicy)> {
    let fitting = policies.iter().filter(|(_, policy)| fits(&policy.pattern, queue));
    fitting.min_by_key(|(_, policy)| core::cmp::Reverse(policy.priority))
}

impl Broker {
    pub(super) fn on_set_policy(
        &mut self,
        conn: ConnId,
        request: RequestId,
        name: &str,
        policy: Option<&Policy<'_>>,
    ) {
        if let Err(refused) = self.judge_policy(name, policy) {
            return self.answer_refused(conn, request, refused);
        }
        let before: Vec<(QueueId, QueueOptions)> =
            self.state.queues.iter().map(|(id, queue)| (*id, queue.options.clone())).collect();
        match policy {
            Some(policy) => {
                let known = self.state.policies.get(name).map(|known| known.as_frame(name));
                if known.as_ref() != Some(policy) {
                    self.commit(&Record::Policy(policy.clone()));
                }
            }
            None if self.state.policies.contains_key(name) => {
                self.commit(&Record::PolicyRemoved { name });
            }
            None => {}
        }
        for (id, options) in before {
            if self.state.queues.get(&id).is_some_and(|queue| queue.options != options) {
                self.follow_options(id);
            }
        }
        let queues = self.state.queues.values();
        let count = queues.filter(|queue| queue.policy.as_deref() == Some(name)).count() as u64;
        self.gated(conn, &Frame::Counted { request, count });
    }

    fn judge_policy(&self, name: &str, policy: Option<&Policy<'_>>) -> Result<(), Refused> {
        Name::parse(name, &self.limits)?;
        if self.is_out_of_room() {
            return Err(Refused::new(Code::Storage, "quota"));
        }
        let Some(policy) = policy else { return Ok(()) };
        if policy.name != name {
            return Err(Refused::new(Code::Invalid, "name"));
        }
        Filter::parse(policy.pattern, &self.limits)?;
        if QueueOptions::default().or_tunables(&policy.options) != policy.options {
            return Err(Refused::new(Code::Invalid, "structural"));
        }
        self.check_tunables(&policy.options)?;
        let known = self.state.policies.contains_key(name);
        if !known && self.state.policies.len() >= self.limits.policies_max as usize {
            return Err(Refused::new(Code::Full, "policies_max"));
        }
        if self.is_full() {
            return Err(Refused::new(Code::Storage, "quota"));
        }
        Ok(())
    }

    pub(super) fn on_list_policies(&mut self, conn: ConnId, request: RequestId) {
        let policies = self.state.policies.iter();
        let policies = policies.map(|(name, policy)| policy.as_frame(name)).collect();
        let mut encoded = Vec::new();
        encode_frame(&Frame::PolicyList { request, policies }, &mut encoded);
        self.gated_encoded(conn, encoded);
    }
}
