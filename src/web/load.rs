//! A socket takes whatever it is given and keeps what the network does not take, without a bound.
//! So whoever relays looks at how much it keeps. Past `socket_buffered_bytes_max` it tells the
//! realms of its device, whose clients hold back what can wait, each where it is anyway. No event
//! tells that a socket has drained, so it is looked at again and again while it is full.
//!
//! Live messages go on between the tabs of the device. To the hub they are dropped meanwhile: who
//! published them says them again until the hub has heard them.

use crate::marks::{Mark, mark};
use crate::time::{Instant, Now};
use crate::web::io::Effect;
use crate::web::realm::Realm;
use crate::wire::Message;

/// How long a full socket is left before it is looked at again.
const LOOK_EVERY_MS: u64 = 20;
/// Realms hold back for so long, and are told again as long as the socket is full: a realm that
/// relays may be gone without a word, and what it says may be lost.
const HOLD_MS: u64 = 2000;
const TELL_EVERY_MS: u64 = 500;

/// The socket to the hub is full, and when what is done then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Full {
    look_at: Instant,
    tell_at: Instant,
}

impl Realm {
    /// The socket to the hub keeps more than it may.
    pub(super) fn socket_full(&mut self, now: Now) {
        if self.is_connected() && self.full.is_none() {
            mark(Mark::SocketFull);
            self.full = Some(Full {
                look_at: now.mono.after_ms(LOOK_EVERY_MS),
                tell_at: now.mono.after_ms(TELL_EVERY_MS),
            });
            self.tell_full(now);
        }
    }

    /// It has room again.
    pub(super) fn socket_drained(&mut self, now: Now) {
        if self.full.take().is_some() {
            self.tell_drained(now);
        }
    }

    /// There is another socket, or none: nothing waits in it.
    pub(super) const fn socket_changed(&mut self) {
        self.full = None;
    }

    /// Something came from the hub: the socket may have drained, though a timer is late.
    pub(super) fn look_at_socket(&mut self) {
        if self.full.is_some() {
            self.effects.push(Effect::LookAtSocket);
        }
    }

    pub(super) fn tick_socket(&mut self, now: Now) {
        if !self.is_connected() {
            self.full = None;
        }
        let Some(full) = &mut self.full else { return };
        let tells = full.tell_at <= now.mono;
        if tells {
            full.tell_at = now.mono.after_ms(TELL_EVERY_MS);
        }
        if full.look_at <= now.mono {
            full.look_at = now.mono.after_ms(LOOK_EVERY_MS);
            self.effects.push(Effect::LookAtSocket);
        }
        if tells {
            self.tell_full(now);
        }
    }

    pub(super) fn socket_wake_at(&self) -> Option<Instant> {
        self.full.filter(|_| self.is_connected()).map(|full| full.look_at)
    }

    /// Whether a message to everyone goes on to the hub now.
    pub(super) fn reaches_hub(&self, bytes: &[u8]) -> bool {
        let says_something = || Message::parse(bytes).is_ok_and(|message| !message.is_empty());
        let is_full = self.full.is_some() && self.is_connected();
        !is_full || !says_something()
    }

    /// Whoever relays has a full socket.
    pub(super) fn hold_back(&mut self, now: Now) {
        if !self.is_for_others() {
            self.client.hold_back(now, HOLD_MS);
        }
    }

    /// Whoever relays has room again.
    pub(super) fn release(&mut self, now: Now) {
        if !self.is_for_others() {
            self.client.release(now);
        }
    }
}
