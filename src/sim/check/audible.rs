//! Who may say what live, and who may hear it, where devices have grants.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::sim::fact::ProcessId;
use crate::sim::hub::scope::Scope;

/// Whether a live message may pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Passes {
    Always,
    /// Grants changed meanwhile.
    Perhaps,
    Never,
}

/// The grants of each device, with the time from which on each holds.
#[derive(Debug, Default)]
pub struct Audible {
    devices: BTreeMap<ProcessId, usize>,
    grants: BTreeMap<usize, Vec<(u64, Scope)>>,
}

impl Audible {
    pub fn granted(&mut self, time: u64, process: ProcessId, device: usize, scope: &Scope) {
        self.devices.insert(process, device);
        self.grants.entry(device).or_default().push((time, *scope));
    }

    #[must_use]
    pub fn are_neighbours(&self, one: ProcessId, other: ProcessId) -> bool {
        self.devices.get(&one) == self.devices.get(&other)
    }

    /// Whether what was said on a topic at a time passes from one process to another by the node.
    #[must_use]
    pub fn passes(&self, time: u64, from: ProcessId, to: ProcessId, topic: &str) -> Passes {
        let said = self.since(from, time, |scope| scope.may_publish(topic));
        let heard = self.since(to, time, |scope| scope.may_hear(topic));
        match (said, heard) {
            (Passes::Never, _) | (_, Passes::Never) => Passes::Never,
            (Passes::Always, Passes::Always) => Passes::Always,
            _ => Passes::Perhaps,
        }
    }

    fn since(&self, process: ProcessId, time: u64, may: impl Fn(&Scope) -> bool) -> Passes {
        let grants = self.devices.get(&process).and_then(|device| self.grants.get(device));
        let Some(grants) = grants else { return Passes::Always };
        let first = grants.partition_point(|(from, _)| *from <= time).saturating_sub(1);
        let mut since = grants[first..].iter().map(|(_, scope)| may(scope));
        let any = since.clone().any(|covered| covered);
        match (any, since.all(|covered| covered)) {
            (_, true) => Passes::Always,
            (true, _) => Passes::Perhaps,
            _ => Passes::Never,
        }
    }
}
