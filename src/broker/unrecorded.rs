//! Sends that were refused while nothing could be stored. They use their numbers up all the same,
//! but no record says so, so they stand beside the state and not in it: a checkpoint holds only
//! what records made. Lost with this broker, they are carried over by the client's floor.

use crate::broker::Broker;
use crate::error::Code;
use crate::id::{LaneId, Sequence};
use crate::log::Record;
use crate::marks::{Mark, mark};
use crate::sorted::Map;

/// What one lane has used up without a record.
#[derive(Debug, Default)]
struct Voids {
    position: Sequence,
    refused: Map<Sequence, Code>,
}

#[derive(Debug, Default)]
pub struct Unrecorded {
    lanes: Map<LaneId, Voids>,
}

impl Unrecorded {
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    pub fn refuse(&mut self, lane: LaneId, position: Sequence, code: Code) {
        let voids = self.lanes.get_or_default(lane);
        voids.position = position;
        voids.refused.insert(position, code);
    }

    fn cover(&mut self, lane: LaneId, position: Sequence) {
        self.lanes.get_or_default(lane).position = position;
    }

    pub fn drop_lane(&mut self, lane: LaneId) {
        self.lanes.remove(&lane);
    }

    fn of(&self, lane: LaneId) -> (Sequence, Option<&Map<Sequence, Code>>) {
        self.lanes.get(&lane).map_or((Sequence(0), None), |v| (v.position, Some(&v.refused)))
    }
}

impl Broker {
    /// The last number of the lane that is used up; `None` if there is no such lane.
    pub(super) fn lane_position(&self, lane: LaneId) -> Option<Sequence> {
        let recorded = self.state.lanes.get(&lane)?.position;
        Some(recorded.max(self.unrecorded.of(lane).0))
    }

    /// Why that send of the lane was refused, if it was.
    pub(super) fn refusal_of(&self, lane: LaneId, sequence: Sequence) -> Option<Code> {
        let recorded = self.state.lanes.get(&lane)?.refused.get(&sequence);
        recorded.or_else(|| self.unrecorded.of(lane).1?.get(&sequence)).copied()
    }

    /// The client has seen every refusal below `seen`.
    pub(super) fn forget_refusals(&mut self, lane: LaneId, seen: Sequence) {
        if let Some(lane) = self.state.lanes.get_mut(&lane) {
            lane.refused.retain(|refused, _| *refused >= seen);
            lane.duplicates.retain(|(sequence, _)| *sequence >= seen);
        }
        if let Some(voids) = self.unrecorded.lanes.get_mut(&lane) {
            voids.refused.retain(|refused, _| *refused >= seen);
        }
    }

    /// Uses the lane's numbers up to `position` up: the client names no send of them any more. On a
    /// full disk it is not written, or the Hello that needs it would be the next write to fail, and
    /// the client that says it again would never be welcome.
    pub(super) fn cover_hole(&mut self, lane: LaneId, position: Sequence) {
        mark(Mark::LaneVoid);
        if self.is_out_of_room() {
            self.unrecorded.cover(lane, position);
        } else {
            self.commit(&Record::LaneVoid { lane, position, refused: None });
        }
    }

    /// Stores what was refused while nothing could be stored. Else the next send that is stored
    /// would cover it, and another node would take it for stored.
    pub(super) fn record_voids(&mut self, lane: LaneId) {
        if self.is_out_of_room() {
            return;
        }
        let Some(Voids { position, refused }) = self.unrecorded.lanes.remove(&lane) else { return };
        self.commit(&Record::LaneVoid { lane, position, refused: None });
        for (position, code) in refused {
            self.commit(&Record::LaneVoid { lane, position, refused: Some(code) });
        }
    }
}
