//! `single-epoch`: no write of a lower epoch is accepted after one of a higher epoch, and no
//! client follows a node of a lower epoch than one it followed before.

use alloc::collections::BTreeMap;
use alloc::format;

use crate::client::io::Event;
use crate::id::Epoch;
use crate::sim::check::{Checker, View, Violation, violated};
use crate::sim::fact::{Fact, ProcessId};

const SINGLE: &str = "single-epoch";

#[derive(Debug, Default)]
pub struct Epochs {
    stored: Epoch,
    followed: BTreeMap<ProcessId, Epoch>,
    nodes: usize,
}

impl Epochs {
    /// How many nodes served.
    #[must_use]
    pub const fn served(&self) -> usize {
        self.nodes
    }
}

impl Checker for Epochs {
    fn observe(&mut self, _view: View<'_>, fact: &Fact<'_>) -> Result<(), Violation> {
        match fact {
            Fact::Accepted { node, epoch, .. } => {
                if *epoch < self.stored {
                    let what = format!(
                        "node {} writes under epoch {} after epoch {}",
                        node.0, epoch.counter, self.stored.counter
                    );
                    return violated(SINGLE, what);
                }
                self.stored = *epoch;
            }
            Fact::Serves { node, epoch, .. } => {
                self.nodes += 1;
                if *epoch > self.stored {
                    let what = format!("node {} serves under an epoch it did not store", node.0);
                    return violated(SINGLE, what);
                }
            }
            Fact::Told { process, event: Event::Ready { epoch, .. } } => {
                let followed = self.followed.entry(*process).or_default();
                if *epoch < *followed {
                    let what = format!(
                        "process {} goes back from epoch {} to {}",
                        process.0, followed.counter, epoch.counter
                    );
                    return violated(SINGLE, what);
                }
                *followed = *epoch;
            }
            _ => {}
        }
        Ok(())
    }
}
