//! Lanes: the numbering of each client's sends, for as long as the client may come back.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::broker::Broker;
use crate::broker::state::{Lane, State};
use crate::error::Code;
use crate::id::{ClientId, LaneId, Sequence};
use crate::log::Record;
use crate::marks::{Mark, mark};
use crate::sorted::Map;
use crate::time::Now;
use crate::wire::frame::Hello;

impl State {
    pub(super) fn apply_lane(&mut self, record: &Record<'_>) {
        match record {
            Record::LaneOpened { lane, client, position, user } => {
                let (client, position, user) = (*client, *position, user.map(Into::into));
                let (refused, duplicates) = (Map::new(), VecDeque::new());
                self.lanes.insert(*lane, Lane { client, user, position, refused, duplicates });
                self.next.lane = self.next.lane.max(lane.next());
            }
            Record::LaneVoid { lane, position, refused } => {
                self.move_lane(*lane, *position);
                if let (Some(code), Some(lane)) = (refused, self.lanes.get_mut(lane)) {
                    lane.refused.insert(*position, *code);
                }
            }
            Record::LaneClosed { lane } => {
                if let Some(closed) = self.lanes.remove(lane) {
                    self.forget_without_lane(closed.client);
                    self.senders.keep(*lane, closed);
                }
            }
            _ => {}
        }
    }

    /// The client has left, unless it goes on with another lane.
    fn forget_without_lane(&mut self, client: ClientId) {
        let known = self.settled_lately.contains_key(&client) || self.has_redrives_of(client);
        if known && !self.lanes.values().any(|lane| lane.client == client) {
            self.settled_lately.remove(&client);
            self.forget_redrives_of(client);
        }
    }

    pub(super) fn move_lane(&mut self, lane: LaneId, position: Sequence) {
        if let Some(lane) = self.lanes.get_mut(&lane) {
            lane.position = lane.position.max(position);
        }
    }
}

impl Broker {
    /// The lane the client goes on with: `(lane, resumed, kept)`. The last is what is left of the
    /// lane it named, if sends of it were lost. `None` if there is no room for one more lane.
    pub(super) fn resume_lane(
        &mut self,
        now: Now,
        client: ClientId,
        hello: &Hello<'_>,
    ) -> Option<(LaneId, bool, Option<Sequence>)> {
        let own = self.state.lanes.get(&hello.lane).is_some_and(|lane| {
            lane.client == client && hello.log.is_none_or(|log| log == self.log.id())
        });
        let known = self.lane_position(hello.lane).filter(|_| own);
        if own {
            self.forget_refusals(hello.lane, hello.floor);
        }
        // A lane that is not known was closed: none is lost, for it is flushed before it is told.
        // Sends that were lost on it were told of before it was closed.
        let kept = known.filter(|position| hello.confirmed > *position);
        if kept.is_some() {
            mark(Mark::RollbackNoticed);
        }
        self.idle_lanes.remove(hello.lane);
        let lane = match known {
            Some(known) if kept.is_none() => {
                let position = Sequence(hello.floor.0.saturating_sub(1));
                if position > known {
                    self.cover_hole(hello.lane, position);
                }
                hello.lane
            }
            _ => {
                if own {
                    self.lane_rests(now, hello.lane);
                }
                self.open_lane(client)?
            }
        };
        let resumed = lane == hello.lane && lane != LaneId(0);
        let lanes_left = self.lanes_left(client, lane, resumed || kept.is_some());
        let session = self.sessions.get_mut(&client)?;
        let earlier = core::mem::replace(&mut session.lane, lane);
        session.lanes_left = lanes_left;
        if !resumed {
            session.blocked.clear();
        }
        if earlier != lane {
            self.lane_rests(now, earlier);
        }
        Some((lane, resumed, kept))
    }

    /// The lanes that the client had before this one, if it knows of them: it named this lane, or
    /// the one in whose place it is. Somebody who names none may only claim to be that client.
    fn lanes_left(&self, client: ClientId, lane: LaneId, is_known: bool) -> Vec<LaneId> {
        let own = self.state.lanes.iter().filter(|(_, other)| is_known && other.client == client);
        own.map(|(id, _)| *id).filter(|id| *id < lane).collect()
    }

    /// A client sends on a lane, so it knows what became of those that it had before. They are
    /// closed: whoever comes back with one may have sends that were in doubt, and would store them
    /// behind these. Until now the client may have come again to be told, for want of the Welcome.
    pub(super) fn leave_lanes(&mut self, client: ClientId) {
        if self.is_out_of_room() {
            return;
        }
        let Some(session) = self.sessions.get_mut(&client) else { return };
        for lane in core::mem::take(&mut session.lanes_left) {
            if self.state.lanes.contains_key(&lane) {
                mark(Mark::LaneLeft);
                self.close_lane(lane);
            }
        }
    }

    fn open_lane(&mut self, client: ClientId) -> Option<LaneId> {
        if self.is_out_of_room() {
            return Some(LaneId(0));
        }
        while self.state.lanes.len() >= self.limits.lanes_max as usize {
            let longest_idle = self.idle_lanes.first_key()?;
            self.close_lane(longest_idle);
        }
        let lane = self.state.next.lane;
        let user = self.sessions.get(&client).and_then(|session| session.user.clone());
        let (position, user) = (Sequence(0), user.as_deref());
        self.commit(&Record::LaneOpened { lane, client, position, user });
        Some(lane)
    }

    /// Who came while the storage was full got no lane. Its next Hello asks for one.
    pub(super) fn hang_up_without_lane(&mut self, now: Now) {
        if self.is_out_of_room() {
            return;
        }
        let without = self.sessions.values().filter(|session| session.lane == LaneId(0));
        for conn in without.filter_map(|session| session.conn).collect::<Vec<_>>() {
            self.hang_up(now, conn, Code::Unavailable);
        }
    }

    pub(super) fn close_lane(&mut self, lane: LaneId) {
        self.idle_lanes.remove(lane);
        self.unrecorded.drop_lane(lane);
        self.commit(&Record::LaneClosed { lane });
    }

    /// Nobody uses the lane from now on. Idle time is time in which a node ran: a wall clock that
    /// jumps, or a device that was off for long, must not end what a tab comes back to.
    pub(super) fn lane_rests(&mut self, now: Now, lane: LaneId) {
        if self.state.lanes.contains_key(&lane) {
            self.idle_lanes.set(lane, now.mono.after_ms(self.limits.lane_keep_ms));
        }
    }

    /// After a start every lane rests until its client resumes.
    pub(super) fn rest_all_lanes(&mut self, now: Now) {
        for lane in self.state.lanes.keys() {
            self.idle_lanes.set(*lane, now.mono.after_ms(self.limits.lane_keep_ms));
        }
    }

    /// Lets go of lanes that nobody used for `limits.lane_keep_ms`.
    pub(super) fn retire_lanes(&mut self, now: Now) {
        while let Some(lane) = self.idle_lanes.pop_due(now.mono) {
            mark(Mark::LaneRetired);
            self.close_lane(lane);
        }
    }
}
