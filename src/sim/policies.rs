//! What the model makes of policies.

use alloc::borrow::ToOwned;
use alloc::format;

use crate::log::Record;
use crate::sim::check::{Violation, violated};
use crate::sim::model::{Model, RECORDS};
use crate::topic::fits;
use crate::wire::frame::Policy;

impl Model {
    pub(super) fn policy(&mut self, record: &Record<'_>) -> Result<(), Violation> {
        match record {
            Record::Policy(Policy { name, pattern, priority, options }) => {
                let policy = ((*pattern).to_owned(), *priority, options.clone());
                self.policies.insert((*name).to_owned(), policy);
            }
            Record::PolicyRemoved { name } if self.policies.remove(*name).is_none() => {
                return violated(RECORDS, format!("policy {name} is not there to remove"));
            }
            _ => {}
        }
        self.follow_policies();
        Ok(())
    }

    /// Of the policies that fit, the one of the highest priority, and of these the first by name.
    pub(super) fn follow_policies(&mut self) {
        for queue in self.queues.values_mut() {
            queue.options = queue.declared.clone();
            let mut best = None;
            for (pattern, priority, options) in self.policies.values() {
                if fits(pattern, &queue.name) && best.is_none_or(|best| *priority > best) {
                    best = Some(*priority);
                    queue.options = queue.declared.or_tunables(options);
                }
            }
        }
    }
}
