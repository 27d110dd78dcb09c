//! `nothing-before-stored`: no frame that reveals a write leaves a node before the write is
//! stored. Each frame is compared with what is stored at the moment it leaves.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;

use crate::error::Code;
use crate::id::{ClientId, Epoch, LaneId, LeaseNumber, Sequence};
use crate::sim::check::{Checker, View, Violation, violated};
use crate::sim::fact::{Fact, NodeId};
use crate::wire::frame::{Delivery, Frame, Welcome};

const STORED: &str = "nothing-before-stored";

#[derive(Debug, Default)]
pub struct Stored {
    /// The lane that a node welcomed a client to.
    lanes: BTreeMap<(NodeId, ClientId), LaneId>,
    /// Sends that a node refused for lack of room. It can't store that their numbers are used up;
    /// their clients say so to the next node.
    unrecorded: BTreeMap<(NodeId, ClientId), Sequence>,
    /// The node that serves under the highest epoch.
    newest: Option<(Epoch, NodeId)>,
    frames: usize,
}

impl Stored {
    /// How many frames were compared.
    #[must_use]
    pub const fn frames(&self) -> usize {
        self.frames
    }

    fn left(
        &mut self,
        view: View<'_>,
        node: NodeId,
        client: ClientId,
        frame: &Frame<'_>,
    ) -> Result<(), Violation> {
        let model = view.model;
        let lane = self.lanes.get(&(node, client)).and_then(|lane| model.lanes.get(lane));
        let unrecorded = self.unrecorded.get(&(node, client)).copied().unwrap_or_default();
        let position = lane.map_or(unrecorded, |lane| lane.position.max(unrecorded));
        let early = match frame {
            Frame::Welcome(welcome) => return self.welcomed(view, (node, client), welcome),
            Frame::Sent { position: told } => {
                (*told > position).then(|| format!("Sent {}", told.0))
            }
            Frame::SendRefused { sequence, code, .. } => {
                // What no grant covers is refused as that, whether or not there is room to say so.
                let uncovered = *code == Code::NotAuthorized && *sequence > position;
                if *code == Code::Storage || uncovered || unrecorded > Sequence(0) {
                    self.unrecorded.insert((node, client), unrecorded.max(*sequence));
                }
                None
            }
            Frame::Deliver(delivery) => return self.delivered(view, client, delivery),
            Frame::Check { message: Some(asked), .. } => {
                let half = model.halves.get(&asked.number);
                let stored = half.is_some_and(|half| half.checks >= asked.attempts);
                (!stored).then(|| format!("Check {}", asked.number.0))
            }
            Frame::Settled { lease, refused: None } => unsettled(view, *lease),
            Frame::Lead { term, .. } => {
                let began = model.terms.get(term).is_some_and(|(_, leader)| *leader == client);
                (!began).then(|| format!("Lead {}", term.0))
            }
            _ => return Ok(()),
        };
        self.frames += 1;
        match early {
            Some(what) => {
                violated(STORED, format!("node {}: {what} leaves before its write", node.0))
            }
            None => Ok(()),
        }
    }

    fn welcomed(
        &mut self,
        view: View<'_>,
        link: (NodeId, ClientId),
        welcome: &Welcome,
    ) -> Result<(), Violation> {
        self.lanes.insert(link, welcome.lane);
        self.frames += 1;
        if welcome.lane == LaneId(0) {
            return Ok(());
        }
        let stored = view.model.lanes.get(&welcome.lane);
        // A node that stood still does not know yet what the next one closed. Nobody follows it.
        let open = |lane: &&crate::sim::model::Lane| {
            lane.open || self.newest.is_some_and(|(_, newest)| newest != link.0)
        };
        let stored = stored.filter(|lane| lane.client == link.1).filter(open);
        let unrecorded = self.unrecorded.get(&link).copied().unwrap_or_default();
        if stored.is_some_and(|lane| lane.position.max(unrecorded) >= welcome.position) {
            return Ok(());
        }
        let what = format!("node {} welcomes to lane {} too early", link.0.0, welcome.lane.0);
        violated(STORED, what)
    }

    fn delivered(
        &mut self,
        view: View<'_>,
        client: ClientId,
        delivery: &Delivery<'_>,
    ) -> Result<(), Violation> {
        self.frames += 1;
        let stored = view.model.leases.get(&delivery.lease);
        if stored.is_some_and(|lease| lease.client == client && lease.number == delivery.number) {
            return Ok(());
        }
        violated(STORED, format!("lease {} is delivered before it is stored", delivery.lease.0))
    }
}

/// What a confirmed settlement reveals and is not stored.
fn unsettled(view: View<'_>, lease: LeaseNumber) -> Option<String> {
    let stored = view.model.leases.get(&lease);
    let done = stored.is_some_and(|lease| lease.end.is_some() || lease.extensions > 0);
    (!done).then(|| format!("Settled {}", lease.0))
}

impl Checker for Stored {
    fn observe(&mut self, view: View<'_>, fact: &Fact<'_>) -> Result<(), Violation> {
        match fact {
            Fact::Left { node, client, frame } => self.left(view, *node, *client, frame),
            Fact::Serves { node, epoch } => {
                self.newest = self.newest.max(Some((*epoch, *node)));
                Ok(())
            }
            Fact::NodeEnded { node } => {
                self.lanes.retain(|(owner, _), _| owner != node);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
