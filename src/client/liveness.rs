//! Whether the node lives. Only a client that waits for something asks, and only time in which the
//! client itself ran counts.

use crate::client::Client;
use crate::client::io::Event;
use crate::client::link::Link;
use crate::limits::Limits;
use crate::time::Instant;
use crate::wire::Frame;

/// Probes without an answer before the node counts as silent.
const PROBES: u32 = 2;

#[derive(Debug, Default)]
pub(super) struct Silence {
    /// Since when something is awaited and the node has said nothing.
    since: Option<Instant>,
    /// Probes sent and alarms raised since then.
    step: u32,
}

impl Silence {
    pub const fn heard(&mut self, now: Instant) {
        if self.since.is_some() {
            self.since = Some(now);
            self.step = 0;
        }
    }

    /// Begins the count anew with the next look at it.
    pub const fn restart(&mut self) {
        self.since = None;
        self.step = 0;
    }

    /// When the next probe or alarm is due: silence, two probes half as far apart, then alarms.
    fn due_at(&self, limits: &Limits) -> Option<Instant> {
        let silence_ms = limits.node_silence_ms.max(2);
        let probes = u64::from(self.step.min(PROBES));
        let alarms = u64::from(self.step.saturating_sub(PROBES));
        let wait_ms = silence_ms
            .saturating_add(probes * (silence_ms / 2))
            .saturating_add(alarms.saturating_mul(silence_ms));
        Some(self.since?.after_ms(wait_ms))
    }
}

impl Client {
    /// Something that only the node can give is awaited.
    pub(super) fn has_work(&self) -> bool {
        !self.requests.is_empty()
            || !self.calls.is_empty()
            || !self.awaited.is_empty()
            || self.services.is_waiting()
            || self.live.is_waiting()
    }

    /// Takes the time of an input. After a pause the silence of the node is not its fault.
    pub(super) fn begin(&mut self, now: crate::time::Now) {
        let paused_ms = now.mono.ms_since(self.now.mono);
        self.now.unix = now.unix;
        self.now.mono = self.now.mono.max(now.mono);
        if paused_ms <= self.limits.pause_ms_max {
            return;
        }
        self.calls.woke(self.now.mono);
        if self.silence.since.is_some() {
            self.silence.heard(self.now.mono);
            self.ping();
        }
    }

    fn ping(&mut self) {
        self.last_ping = self.last_ping.wrapping_add(1);
        let nonce = self.last_ping;
        self.push(&Frame::Ping { nonce });
    }

    /// Probes a silent node, and tells when it stays silent.
    pub(super) fn watch_silence(&mut self) {
        if !self.has_work() || matches!(self.link, Link::Parked | Link::Closed) {
            return self.silence.restart();
        }
        let now = self.now.mono;
        self.silence.since.get_or_insert(now);
        if self.silence.due_at(&self.limits).is_none_or(|due_at| due_at > now) {
            return;
        }
        if self.silence.step >= PROBES {
            self.events.push_back(Event::NodeSilent { epoch: self.highest });
        }
        self.silence.step = self.silence.step.saturating_add(1);
        self.ping();
    }

    /// While something is awaited the client wakes often enough to tell a pause from waiting.
    pub(super) fn silence_wake_at(&self) -> Option<Instant> {
        let due_at = self.silence.due_at(&self.limits)?;
        Some(due_at.min(self.now.mono.after_ms(self.limits.pause_ms_max.div_ceil(2).max(1))))
    }
}
