//! Whether the node lives. Only a client that waits for something asks, and only time in which the
//! client itself ran counts.

use crate::client::Client;
use crate::client::io::Event;
use crate::client::link::Link;
use crate::limits::Limits;
use crate::marks::{Mark, mark};
use crate::time::Instant;
use crate::wire::Frame;

/// Probes without an answer before the node counts as silent.
const PROBES: u32 = 2;

/// The wait between two alarms doubles this often: a node that needs long to recover is not
/// thrown over again and again.
const DOUBLINGS_MAX: u32 = 6;

/// A client that only waits for what may come asks this much less often than one that waits for an
/// answer.
const IDLE_FACTOR: u64 = 10;

#[derive(Debug, Default)]
pub(super) struct Silence {
    /// Since when something is awaited and the node has said nothing.
    since: Option<Instant>,
    /// Probes sent and alarms raised since then.
    step: u32,
    /// When the node was last heard.
    heard_at: Instant,
    /// An idle client has asked whether the node is there.
    checking: bool,
    /// Pauses of this client since the node was last heard. It asks after each.
    pauses: u32,
    /// The host looks after an idle way to the node.
    by_host: bool,
}

impl Silence {
    pub const fn heard(&mut self, now: Instant) {
        self.pauses = 0;
        self.ran_from(now);
    }

    /// Counts silence from here on.
    const fn ran_from(&mut self, now: Instant) {
        self.heard_at = now;
        self.checking = false;
        if self.since.is_some() {
            self.since = Some(now);
            self.step = 0;
        }
    }

    /// Begins the count anew with the next look at it.
    pub const fn restart(&mut self) {
        self.since = None;
        self.step = 0;
        self.checking = false;
        self.pauses = 0;
    }

    /// When the next probe or alarm is due: silence, two probes half as far apart, then alarms.
    fn due_at(&self, limits: &Limits) -> Option<Instant> {
        let silence_ms = limits.node_silence_ms.max(2);
        let probes = u64::from(self.step.min(PROBES));
        let alarms = self.step.saturating_sub(PROBES);
        let doublings = alarms.min(DOUBLINGS_MAX);
        // After those they come at the longest wait, for as long as nobody answers.
        let further = u64::from(alarms - doublings) << DOUBLINGS_MAX;
        let wait_ms = silence_ms
            .saturating_add(probes * (silence_ms / 2))
            .saturating_add(silence_ms.saturating_mul((1 << doublings) - 1 + further));
        Some(self.since?.after_ms(wait_ms))
    }

    fn idle_check_at(&self, limits: &Limits) -> Option<Instant> {
        let idle_ms = limits.node_silence_ms.saturating_mul(IDLE_FACTOR);
        (!self.by_host).then(|| self.heard_at.after_ms(idle_ms))
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

    /// The node may have something for this client at any time.
    fn is_served(&self) -> bool {
        !self.consumers.is_empty()
            || !self.services.is_empty()
            || !self.roles.is_empty()
            || self.live.has_groups()
    }

    /// Whether the node is still there while nothing is awaited from it is found out by the host:
    /// it is in the same process, or a way leads to it that can be asked itself.
    pub const fn leave_idle_checks(&mut self) {
        self.silence.by_host = true;
    }

    /// Asks whether the node is still there, though nothing is awaited from it.
    pub(super) fn check_node(&mut self) {
        if self.link.is_open() && !self.silence.checking {
            self.silence.checking = true;
            self.ping();
        }
    }

    /// Takes the time of an input. After a pause the silence of the node is not its fault. But
    /// where timers fire once a minute every wake ends a pause, and questions that stay open over
    /// several of them are answered by nobody.
    pub(super) fn begin(&mut self, now: crate::time::Now) {
        let before = self.now.mono;
        let paused_ms = now.mono.ms_since(before);
        self.now.unix = now.unix;
        self.now.mono = self.now.mono.max(now.mono);
        if paused_ms <= self.limits.pause_ms_max {
            return;
        }
        self.calls.woke(before, self.now.mono);
        if self.silence.since.is_some() {
            self.silence.ran_from(self.now.mono);
            self.silence.pauses = self.silence.pauses.saturating_add(1);
            self.check_node();
        }
    }

    fn ping(&mut self) {
        self.last_ping = self.last_ping.wrapping_add(1);
        let nonce = self.last_ping;
        self.push(&Frame::Ping { nonce });
    }

    /// Probes a silent node, and tells when it stays silent.
    pub(super) fn watch_silence(&mut self) {
        let now = self.now.mono;
        let idle_check_at = self.silence.idle_check_at(&self.limits);
        if self.is_served() && idle_check_at.is_some_and(|at| at <= now) {
            self.check_node();
        }
        // Whoever opened a bus waits for it, even if nothing was asked of it so far.
        let waits = self.has_work() || self.silence.checking || self.fresh;
        if !waits || matches!(self.link, Link::Parked | Link::Closed) {
            return self.silence.restart();
        }
        self.silence.since.get_or_insert(now);
        if self.silence.pauses <= PROBES {
            if self.silence.due_at(&self.limits).is_none_or(|due_at| due_at > now) {
                return;
            }
            let probes = self.silence.step;
            self.silence.step = probes.saturating_add(1);
            if probes < PROBES {
                return self.ping();
            }
        }
        self.silence.pauses = 0;
        mark(Mark::NodeSilent);
        self.events.push_back(Event::NodeSilent { epoch: self.highest });
        if self.link.is_open() {
            // The node may have changed while nobody listened: whoever is there answers a Hello.
            self.lose_link(0);
            self.dial_if_due();
        }
    }

    /// While something is awaited the client wakes often enough to tell a pause from waiting.
    pub(super) fn silence_wake_at(&self) -> Option<Instant> {
        let Some(due_at) = self.silence.due_at(&self.limits) else {
            let idle_check_at = self.silence.idle_check_at(&self.limits);
            return idle_check_at.filter(|_| self.link.is_open() && self.is_served());
        };
        Some(due_at.min(self.now.mono.after_ms(self.limits.pause_ms_max.div_ceil(2).max(1))))
    }
}
