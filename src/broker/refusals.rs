//! How a frame is refused that the grant of its connection does not cover: as its verb is refused
//! for any other reason, and the link goes on.

use alloc::string::ToString;

use crate::broker::Broker;
use crate::broker::gate::Gated;
use crate::error::{Code, Refused};
use crate::id::{ClientId, ConnId, Sequence};
use crate::time::Now;
use crate::wire::Frame;
use crate::wire::frame::Outcome;

impl Broker {
    /// A frame that has no refusal of its own ends the link.
    pub(super) fn refuse_frame(
        &mut self,
        now: Now,
        conn: ConnId,
        client: ClientId,
        frame: Frame<'_>,
        refused: Refused,
    ) {
        match frame {
            Frame::Declare { request, .. }
            | Frame::Inspect { request, .. }
            | Frame::Pause { request, .. }
            | Frame::Purge { request, .. }
            | Frame::DeleteQueue { request, .. }
            | Frame::Browse { request, .. }
            | Frame::Track { request, .. }
            | Frame::Redrive { request, .. }
            | Frame::ListQueues { request, .. }
            | Frame::SetPolicy { request, .. }
            | Frame::ListPolicies { request }
            | Frame::ListServices { request, .. }
            | Frame::Trace { request, .. }
            | Frame::Unschedule { request, .. }
            | Frame::ListSchedules { request, .. }
            | Frame::Decide { request, .. } => self.answer_refused(conn, request, refused),
            Frame::Send { sequence, queue, refusals_seen, .. } => {
                let numbered = Numbered { sequence, refusals_seen, blocks: Some(queue) };
                self.refuse_numbered(now, conn, client, numbered, refused);
            }
            Frame::Commit { sequence, refusals_seen, .. }
            | Frame::Schedule { sequence, refusals_seen, .. } => {
                let numbered = Numbered { sequence, refusals_seen, blocks: None };
                self.refuse_numbered(now, conn, client, numbered, refused);
            }
            _ => self.refuse_handle(now, conn, client, frame, refused.code),
        }
    }

    /// Refuses what the client says again on each link.
    fn refuse_handle(
        &mut self,
        now: Now,
        conn: ConnId,
        client: ClientId,
        frame: Frame<'_>,
        code: Code,
    ) {
        let refused = Some(code);
        match frame {
            Frame::JoinGroup { subscription, .. } => {
                self.links.push(conn, &Frame::GroupJoined { subscription, refused });
            }
            Frame::Consume { consumer, .. } => {
                self.gated(conn, &Frame::Consuming { consumer, refused, single_active: None });
            }
            Frame::WatchQueue { watch, .. } => {
                let at = now.unix;
                self.gated(conn, &Frame::QueueStats { watch, at, stats: None, refused });
            }
            Frame::Checker { checker, .. } => {
                self.gated(conn, &Frame::Check { checker, message: None, refused });
            }
            Frame::Serve { service, .. } => {
                self.links.push(conn, &Frame::Serving { service, refused });
            }
            Frame::Stand { candidate, role, holds } => {
                if holds.is_some() {
                    self.end_term_of(role, client);
                }
                self.gated(conn, &Frame::Depose { candidate, refused });
            }
            Frame::Call { call, first_epoch, .. } => {
                // One that was transmitted before may have run at an earlier node.
                let outcome = Outcome::Failed { code, maybe_executed: first_epoch.is_some() };
                self.links.push(conn, &Frame::CallResult { call, outcome });
            }
            _ => self.hang_up(now, conn, code),
        }
    }

    fn refuse_numbered(
        &mut self,
        now: Now,
        conn: ConnId,
        client: ClientId,
        numbered: Numbered<'_>,
        refused: Refused,
    ) {
        let Numbered { sequence, refusals_seen, blocks } = numbered;
        let turn = self.take_turn(now, conn, client, sequence, refusals_seen);
        let Some(lane) = turn else { return };
        if let (Some(queue), Some(session)) = (blocks, self.sessions.get_mut(&client)) {
            session.blocked.get_or_insert_with(queue.to_string(), || sequence);
        }
        self.refuse_number(conn, lane, sequence, refused.into());
        self.hold(conn, Gated::Sent(sequence, now.mono));
    }
}

/// What has a number of its lane.
#[derive(Clone, Copy, Debug)]
struct Numbered<'a> {
    sequence: Sequence,
    refusals_seen: Sequence,
    /// The queue to which later sends wait until the refusal was seen.
    blocks: Option<&'a str>,
}
