//! Who sent a message. It is stored with the lane of its sender, which the node gave to that client
//! and no frame can change; so no message carries more than the number it has anyway.

use crate::broker::state::{Lane, State};
use crate::id::{ClientId, LaneId, Sequence};
use crate::sorted::Line;

/// Lanes that were let go of: what their clients left behind still tells them.
#[derive(Debug)]
pub struct Senders {
    gone: Line<LaneId, Lane>,
    senders_max: usize,
}

impl Senders {
    pub fn new(senders_max: u32) -> Self {
        Self { gone: Line::new(), senders_max: senders_max as usize }
    }

    /// Remembers the client of a lane, if anything was sent on it.
    pub fn keep(&mut self, id: LaneId, mut closed: Lane) {
        if closed.position == Sequence(0) {
            return;
        }
        closed.refused.clear();
        closed.duplicates.clear();
        self.gone.insert(id, closed);
        while self.gone.len() > self.senders_max {
            self.gone.pop_first();
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&LaneId, &Lane)> {
        self.gone.iter()
    }
}

impl State {
    /// The client of a lane. `None` if it was let go of so long ago that it is forgotten.
    pub(super) fn sender(&self, lane: LaneId) -> Option<ClientId> {
        let known = self.lanes.get(&lane).or_else(|| self.senders.gone.get(&lane));
        known.map(|lane| lane.client)
    }
}
