//! A client whose node is at a hub: whom it follows, whether the hub is still there, and what its
//! user is told of that.

use crate::client::io::Input;
use crate::error::Code;
use crate::id::Epoch;
use crate::time::{Instant, Now};
use crate::web::io::Notice;
use crate::web::realm::{NodeAt, Realm};

/// After so many times the silence that a client with work allows, an idle one asks as well: a way
/// that died without a word (a laptop that moved, a router that forgot) is found by nothing else.
const IDLE_FACTOR: u64 = 10;

#[derive(Debug, Default)]
pub(super) struct ToHub {
    /// When something came from the hub, or it was asked whether it is there.
    heard_at: Instant,
    /// What was told of why it refuses, since it last answered.
    told: Option<Code>,
    /// It was dialed in vain: that is told once the client has said all it has to say.
    unreachable: bool,
}

impl Realm {
    /// There is a way to the hub, or there may be.
    pub(super) fn hub_may_answer(&mut self, now: Now) {
        self.to_hub.heard_at = now.mono;
        self.client.handle_input(now, Input::Disconnected);
        self.client.reached(now);
    }

    /// There is none.
    pub(super) fn hub_is_lost(&mut self, now: Now) {
        self.to_hub.unreachable |= !self.client.is_open();
        self.client.handle_input(now, Input::Disconnected);
    }

    /// It has another log than the one that is meant, so it is left for the next door.
    pub(super) fn hub_is_another(&mut self, epoch: Epoch) {
        self.to_hub.unreachable = true;
        self.leave_door(epoch);
    }

    /// Why the hub refuses is told once; the client dials again all the same, for who is refused
    /// today may be let in tomorrow.
    pub(super) fn hub_refuses(&mut self, code: Code) {
        let passes = matches!(code, Code::Closed | Code::Unavailable);
        if !passes && self.to_hub.told.replace(code) != Some(code) {
            self.tell(Notice::Error { code, reason: "hub" });
        }
    }

    pub(super) fn hub_answered(&mut self) {
        self.to_hub.told = None;
        self.to_hub.unreachable = false;
    }

    pub(super) fn heard_of_hub(&mut self, now: Now) {
        self.to_hub.heard_at = now.mono;
    }

    /// What the user does not know yet, once the client has said everything.
    pub(super) fn tell_of_hub(&mut self) {
        if self.config.node_at != NodeAt::Hub {
            return;
        }
        if let Some(code) = self.client.refusal() {
            self.hub_refuses(code);
        }
        if core::mem::take(&mut self.to_hub.unreachable) {
            self.tell(Notice::Unreachable);
        }
    }

    /// Asks a hub that said nothing for long for a sign of life.
    pub(super) fn tick_hub(&mut self, now: Now) {
        if self.hub_check_at().is_some_and(|at| at <= now.mono) {
            self.to_hub.heard_at = now.mono;
            self.client.handle_input(now, Input::Reachable);
        }
    }

    pub(super) fn hub_check_at(&self) -> Option<Instant> {
        let asks = self.config.node_at == NodeAt::Hub && self.client.is_open();
        let idle_ms = self.config.limits.node_silence_ms.saturating_mul(IDLE_FACTOR);
        asks.then(|| self.to_hub.heard_at.after_ms(idle_ms))
    }
}
