//! The lock that elects: one holder, the others wait in order. It may be stolen.

use alloc::collections::VecDeque;

use crate::sim::fact::ProcessId;

#[derive(Debug, Default)]
pub struct Lock {
    holder: Option<ProcessId>,
    waiting: VecDeque<ProcessId>,
}

impl Lock {
    #[must_use]
    pub const fn holder(&self) -> Option<ProcessId> {
        self.holder
    }

    /// Stands in line. Gives who holds the lock from now on, if that changes.
    pub fn request(&mut self, process: ProcessId) -> Option<ProcessId> {
        if self.holder == Some(process) || self.waiting.contains(&process) {
            return None;
        }
        self.waiting.push_back(process);
        self.grant()
    }

    /// Gives the lock back or leaves the line. Gives who holds the lock from now on, if that
    /// changes.
    pub fn release(&mut self, process: ProcessId) -> Option<ProcessId> {
        self.waiting.retain(|waiting| *waiting != process);
        if self.holder == Some(process) {
            self.holder = None;
        }
        self.grant()
    }

    /// Takes the lock from its holder, who is given.
    pub fn steal(&mut self, process: ProcessId) -> Option<ProcessId> {
        self.waiting.retain(|waiting| *waiting != process);
        self.holder.replace(process)
    }

    fn grant(&mut self) -> Option<ProcessId> {
        if self.holder.is_some() {
            return None;
        }
        self.holder = self.waiting.pop_front();
        self.holder
    }
}
