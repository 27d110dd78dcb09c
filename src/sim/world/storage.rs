//! Nodes and the disk: what they ask for is performed, and the model follows what was accepted.

use alloc::string::ToString;
use alloc::vec::Vec;

use crate::id::OpId;
use crate::log::{Place, Record, records_of};
use crate::sim::check::{Violation, violated};
use crate::sim::damage;
use crate::sim::dice::Ratio;
use crate::sim::disk::{Accepted, Disk};
use crate::sim::fact::{Fact, NodeId};
use crate::sim::fault::Fault;
use crate::sim::model::Model;
use crate::sim::run::Watch;
use crate::sim::world::{Action, World};
use crate::store::StorageAction;

impl World {
    pub(super) fn submit(&mut self, node: NodeId, op: OpId, action: StorageAction) {
        self.mix(5, &op.0.to_le_bytes());
        if let StorageAction::Commit { puts, .. } = &action {
            for (_, bytes) in puts {
                self.mix(6, bytes);
            }
        }
        if let Some(after) = self.disk.submit(node, op, action, &mut self.faults) {
            self.schedule.after(after, Action::Perform { node });
        }
    }

    /// The disk performs the next operation of a node, which may be frozen.
    pub(super) fn perform(&mut self, node: NodeId) -> Result<(), Violation> {
        let dies = !self.calm
            && self.disk.rewrites_next(node)
            && self.fault_dice.chance(self.plan.died_rewriting)
            && self.faults.occurs(Fault::NodeDiedRewriting);
        if dies && self.fault_dice.chance(Ratio::one_in(2)) {
            return self.kill_node(node);
        }
        let now = self.schedule.now();
        let Some(done) = self.disk.perform(now, node, &mut self.faults) else { return Ok(()) };
        if let Some(accepted) = done.accepted {
            self.accept(node, &accepted)?;
        }
        if dies {
            return self.kill_node(node);
        }
        let (op, result) = (done.op, done.result);
        self.schedule.after(done.answer_after, Action::Stored { node, op, result });
        if let Some(after) = done.next_after {
            self.schedule.after(after, Action::Perform { node });
        }
        Ok(())
    }

    /// A write is on the disk: the model follows.
    pub(super) fn accept(&mut self, node: NodeId, accepted: &Accepted) -> Result<(), Violation> {
        let epoch = accepted.epoch;
        let records = !accepted.chunks.is_empty();
        self.observe(&Fact::Accepted { node, epoch, records })?;
        self.checkpoints += u64::from(accepted.checkpoint);
        self.chunks_deleted += accepted.chunks_deleted;
        if self.watch == Watch::Outputs {
            return Ok(());
        }
        for (_, bytes) in &accepted.chunks {
            let records = read_records(bytes)?;
            for (place, record) in &records {
                self.moves += u64::from(matches!(record, Record::Moved { .. }));
                self.model.apply(*place, record)?;
            }
            self.model.forget_what_is_over();
            self.observe(&Fact::Stored { node, epoch, records: &records })?;
        }
        Ok(())
    }

    /// Whatever happens to nodes, the disk holds what the model says.
    pub(super) fn check_recovery(&self) -> Result<(), Violation> {
        if self.watch == Watch::Outputs {
            return Ok(());
        }
        damage::recovers(self.disk.store(), &self.model, &self.plan.limits, self.rules)
    }
}

/// The records of a chunk.
pub fn read_records(bytes: &[u8]) -> Result<Vec<(Place, Record<'_>)>, Violation> {
    match records_of(bytes) {
        Some(records) => Ok(records),
        None => violated("records-make-sense", "a stored chunk can't be read".to_string()),
    }
}

/// What the chunks that a disk still has amount to.
///
/// # Errors
/// If one can't be read, or makes no sense after those before it.
pub fn replayed(disk: &Disk) -> Result<Model, Violation> {
    let mut model = Model::default();
    for (_, bytes) in disk.journal() {
        for (place, record) in read_records(bytes)? {
            model.apply(place, &record)?;
        }
        model.forget_what_is_over();
    }
    Ok(model)
}
