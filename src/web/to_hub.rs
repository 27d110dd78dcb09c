//! A client whose node is at a hub: whom it follows, whether the hub is still there, and what its
//! user is told of that.

use crate::client::io::Input;
use crate::error::Code;
use crate::limits::Limits;
use crate::time::{Instant, Now};
use crate::web::io::Notice;
use crate::web::realm::{NodeAt, Realm};

/// After so many times the silence that a client with work allows, an idle one asks as well: a way
/// that died without a word (a laptop that moved, a router that forgot) is found by nothing else.
const IDLE_FACTOR: u64 = 10;

/// How long an idle way is silent before somebody asks.
pub(super) const fn idle_ms(silence_ms: u64) -> u64 {
    silence_ms.saturating_mul(IDLE_FACTOR)
}

#[derive(Debug, Default)]
pub(super) struct ToHub {
    /// When something came from the hub, or whoever relays was there.
    heard_at: Instant,
    /// When whoever relays was asked whether it is there, if it does not answer.
    asked_at: Option<Instant>,
    /// What was told of why it refuses, since it last answered.
    told: Option<Code>,
    /// It was dialed in vain: that is told once the client has said all it has to say.
    unreachable: bool,
}

impl Realm {
    /// There is a way to the hub, or there may be.
    pub(super) fn hub_may_answer(&mut self, now: Now) {
        self.heard_of_hub(now);
        self.client.handle_input(now, Input::Disconnected);
        self.client.reached(now);
    }

    /// There is none.
    pub(super) fn hub_is_lost(&mut self, now: Now) {
        self.to_hub.unreachable |= !self.client.is_open();
        self.client.handle_input(now, Input::Disconnected);
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
        self.to_hub.asked_at = None;
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

    /// Makes sure that somebody relays, and that there is a hub, though nothing comes from it.
    pub(super) fn tick_hub(&mut self, now: Now) {
        if self.hosting.is_relaying() {
            return self.tick_relay(now);
        }
        if self.hub_check_at().is_none_or(|at| at > now.mono) {
            return;
        }
        let asked_at = self.to_hub.asked_at.replace(now.mono);
        if asked_at.is_none_or(|at| self.was_paused_since(now, at)) {
            return self.check_relay();
        }
        self.heard_of_hub(now);
        self.node_silent();
    }

    /// Whether this realm stood still after it asked: the answer may have come, and wait in line.
    pub(super) fn was_paused_since(&self, now: Now, asked_at: Instant) -> bool {
        let Limits { node_silence_ms, pause_ms_max, .. } = self.config.limits;
        now.mono.ms_since(asked_at) > node_silence_ms.saturating_add(pause_ms_max)
    }

    pub(super) fn hub_check_at(&self) -> Option<Instant> {
        if self.config.node_at != NodeAt::Hub {
            return None;
        }
        if self.hosting.is_relaying() {
            return self.relay_wake_at();
        }
        let silence_ms = self.config.limits.node_silence_ms;
        let patience_ends = self.to_hub.asked_at.map(|at| at.after_ms(silence_ms));
        let idle_ends = self.to_hub.heard_at.after_ms(idle_ms(silence_ms));
        self.client.is_open().then(|| patience_ends.unwrap_or(idle_ends))
    }
}
