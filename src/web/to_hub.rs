//! A client whose node is at a hub: whom it follows, whether the hub is still there, and what its
//! user is told of that.

use crate::client::io::Input;
use crate::error::Code;
use crate::id::Epoch;
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

/// So often an answer may be late because whoever asked stood still.
const PAUSES_MAX: u32 = 3;

/// Somebody was asked for a sign of life.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    asked_at: Option<Instant>,
    asked: u32,
}

impl Doubt {
    /// When the answer is late.
    pub fn ends_at(&self, silence_ms: u64) -> Option<Instant> {
        self.asked_at.map(|at| at.after_ms(silence_ms))
    }

    /// Whether to ask, for the first time or again: after a pause the answer may have come, and
    /// wait in line. False if nobody answers.
    pub fn asks(&mut self, now: Now, limits: &Limits) -> bool {
        let patience_ms = limits.node_silence_ms.saturating_add(limits.pause_ms_max);
        let before = self.asked_at.replace(now.mono);
        let paused = before.is_none_or(|at| now.mono.ms_since(at) > patience_ms);
        self.asked += 1;
        paused && self.asked <= PAUSES_MAX
    }

    pub const fn is_open(&self) -> bool {
        self.asked_at.is_some()
    }
}

#[derive(Debug, Default)]
pub(super) struct ToHub {
    /// When something came from the hub, or whoever relays was there.
    heard_at: Instant,
    /// Whoever relays was asked whether it is there, and has not answered.
    doubt: Doubt,
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

    /// What the hub says of another token is news, also if it is the same.
    pub(super) fn token_offered(&mut self) {
        self.to_hub.told = None;
    }

    pub(super) fn hub_answered(&mut self) {
        self.to_hub.told = None;
        self.to_hub.unreachable = false;
    }

    pub(super) fn heard_of_hub(&mut self, now: Now) {
        self.to_hub.heard_at = now.mono;
        self.to_hub.doubt = Doubt::default();
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
        if self.to_hub.doubt.asks(now, &self.config.limits) {
            return self.check_relay();
        }
        self.heard_of_hub(now);
        self.node_silent();
    }

    pub(super) fn hub_check_at(&self) -> Option<Instant> {
        if self.config.node_at != NodeAt::Hub {
            return None;
        }
        if self.hosting.is_relaying() {
            return self.relay_wake_at();
        }
        let silence_ms = self.config.limits.node_silence_ms;
        let patience_ends = self.to_hub.doubt.ends_at(silence_ms);
        let idle_ends = self.to_hub.heard_at.after_ms(idle_ms(silence_ms));
        self.client.is_open().then(|| patience_ends.unwrap_or(idle_ends))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::UnixMillis;

    fn asks_at(doubt: &mut Doubt, ms: u64) -> bool {
        doubt.asks(Now { mono: Instant(0).after_ms(ms), unix: UnixMillis(0) }, &Limits::DEFAULTS)
    }

    #[test]
    fn who_is_silent_is_asked_once() {
        let mut doubt = Doubt::default();
        assert!(asks_at(&mut doubt, 0));
        assert_eq!(doubt.ends_at(3000), Some(Instant(0).after_ms(3000)));
        assert!(!asks_at(&mut doubt, 3000));
    }

    #[test]
    fn after_a_pause_it_is_asked_again_but_not_for_ever() {
        let mut doubt = Doubt::default();
        let minutes = (0..10).map(|minute| asks_at(&mut doubt, minute * 60_000));
        assert_eq!(minutes.take_while(|asks| *asks).count(), 3);
    }
}
