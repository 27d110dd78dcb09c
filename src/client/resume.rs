//! The start of a link: what the client says of itself, and what it does anew once it is welcome.

use crate::client::Client;
use crate::client::io::Event;
use crate::client::link::{Link, Open};
use crate::client::outbox::Entry;
use crate::error::Code;
use crate::id::{Epoch, LaneId, NUMBERS_END, Sequence};
use crate::options::HostKind;
use crate::wire::frame::{Hello, Welcome};
use crate::wire::{AUDIENCES, Frame, VERSION, VERSION_MIN};

impl Client {
    pub(super) fn hello(&self) -> Hello<'_> {
        Hello {
            version_min: VERSION_MIN,
            version_max: VERSION,
            features: AUDIENCES,
            log: self.log,
            lane: self.outbox.lane,
            confirmed: self.outbox.confirmed,
            floor: self.outbox.floor(),
            fresh: self.fresh,
            peer: &self.peer,
            leases: self.consumers.leases(),
            serving: self.services.serving(),
            terms: self.roles.terms(),
            published: self.publishing.reached(),
        }
    }

    pub(super) fn on_welcome(&mut self, epoch: Epoch, welcome: &Welcome) {
        if !(VERSION_MIN..=VERSION).contains(&welcome.version) {
            return self.finish(Code::UpgradeRequired);
        }
        if self.leaves_foreign(epoch, welcome) {
            return;
        }
        let named = (self.log, self.outbox.lane) == (Some(welcome.log), welcome.lane);
        let resumed_another = welcome.resumed && (!named || welcome.lane == LaneId(0));
        if resumed_another || welcome.position.0 >= NUMBERS_END {
            return self.hang_up(Code::Protocol);
        }
        let Some(channel) = self.take_dialed() else { return };
        let (since, body_bytes_max) = (self.now.mono, welcome.body_bytes_max);
        let audience = welcome.audience;
        self.link = Link::Open(Open { channel, epoch, since, body_bytes_max, audience });
        self.highest = epoch;
        self.followed = epoch;
        self.disproved = self.disproved.filter(|claimed| *claimed > epoch);
        let same_log = self.log.is_none_or(|log| log == welcome.log);
        let first = self.fresh;
        self.log = Some(welcome.log);
        self.fresh = false;
        self.refusal = None;
        self.silence.restart();
        let (log, lane, resumed) = (welcome.log, welcome.lane, welcome.resumed);
        let storage = welcome.storage;
        // Nodes that did not tell were those of pages.
        let host = welcome.host.unwrap_or(HostKind::Tab);
        self.events.push_back(Event::Ready { epoch, log, lane, resumed, storage, host });
        self.belong_to(welcome);
        if !same_log {
            self.forget_log();
            // Memory goes with its host, and never promised more.
            if storage.persistent {
                self.events.push_back(Event::Cleared { confirmed: self.outbox.confirmed });
            }
        }
        if self.peer_changed {
            self.change_peer();
        }
        if !resumed {
            // What a client settled is remembered as long as its lane.
            self.doubt_settlements();
        }
        self.drop_stale(&welcome.stale);
        if self.ingests {
            self.push(&Frame::Ingest { on: true });
        }
        self.declare_subscriptions();
        self.declare_services();
        self.resume_roles();
        self.resume_redrives();
        self.resume_sends(welcome);
        if self.rules.resend_after_resume() {
            self.resend_settlements();
            self.resend_calls();
            self.resend_replies();
        }
        self.ask_receipts_again();
        self.declare_consumers();
        self.declare_watches();
        self.declare_checkers();
        self.resume_live(&welcome.newest);
        self.resume_publishing(&welcome.newest, first);
        self.tell_calls_done();
        self.push(&Frame::Resumed);
    }

    /// Tells the node the name and tags of this client, now or after the next Welcome.
    pub(super) fn change_peer(&mut self) {
        let writer = self.link.writer();
        self.peer_changed = writer.is_none();
        if let Some(writer) = writer {
            writer.push(&Frame::PeerInfo { peer: &self.peer });
        }
    }

    /// Goes on with another lane. What has a number of the one before is in doubt.
    pub(super) fn change_lane(&mut self, lane: LaneId, position: Sequence) {
        for request in self.outbox.change_lane(lane, position) {
            let Some(Entry::Send(send)) = self.outbox.take(request) else { continue };
            self.end_without_lane(request, send);
        }
    }

    /// What belonged to the log that is no more.
    fn forget_log(&mut self) {
        self.drop_all_leases();
        self.depose_all();
    }

    /// What belonged to the link that is over.
    pub(super) fn forget_link(&mut self) {
        self.holding.until = None;
        self.calls.forget_link();
        self.live.forget_link();
    }

    /// The highest send number that was ever given on the lane.
    pub(super) fn lane_position(&self) -> (LaneId, Sequence) {
        (self.outbox.lane, self.outbox.last)
    }
}
