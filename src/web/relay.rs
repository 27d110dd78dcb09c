//! The realms of a device that share one socket to a hub. The one that holds the lock relays: what
//! clients say on its channels goes out on the socket, and what comes on it goes to the client that
//! it is for, or to everyone. The hub is who decides, so nothing breaks while two realms relay.
//!
//! Signals on the channel of everyone say what clients can't see. They begin with a small byte, as
//! no transport message does, and never leave the device.

use alloc::vec::Vec;

use crate::error::Code;
use crate::id::{ClientId, Epoch, LinkNonce};
use crate::marks::{Mark, mark};
use crate::sorted::Set;
use crate::time::{Instant, Now};
use crate::web::io::Effect;
use crate::web::realm::{NodeAt, Realm};
use crate::web::to_hub::{Doubt, idle_ms};
use crate::web::trace::Way;
use crate::wire::envelope::encode_envelope;
use crate::wire::{Envelope, Message};

/// The way to the hub is lost.
const LOST: u8 = 0;
/// There is a way to the hub, or there may be: say Hello.
const DIAL: u8 = 1;
/// A client hears nothing of the hub: who relays?
const ASK: u8 = 2;
/// I do.
const ANSWER: u8 = 3;
/// For these clients, whose ids follow.
const CLIENTS: u8 = 4;
/// For whom was it relayed before? Answered with `CLIENTS`.
const ASK_CLIENTS: u8 = 5;
/// A client that awaits nothing heard nothing for long: who relays, and is the hub there?
const CHECK: u8 = 6;
/// The hub of the epoch that follows is not the one that is meant: to the next door.
const NEXT_DOOR: u8 = 7;
/// The socket to the hub is full: hold back what can wait.
const FULL: u8 = 8;
/// It has room again.
const DRAINED: u8 = 9;
/// First bytes of signals are below this.
const SIGNALS_END: u8 = 10;
const ID_BYTES: usize = 16;

/// What a realm knows of whoever relays, and what it does itself while it does.
#[derive(Debug, Default)]
pub(super) struct Relay {
    /// Other clients that it relays for.
    clients: Set<ClientId>,
    /// Clients of this device that the hub may believe to be there. So that the next one to relay
    /// can tell the hub who is gone, all realms know them.
    known: Set<ClientId>,
    /// The socket is open.
    is_open: bool,
    /// Whose messages come on it.
    epoch: Epoch,
    /// When something came from the hub last.
    heard_at: Option<Instant>,
    /// The hub was asked for a sign of life, which has not come.
    doubt: Doubt,
    /// It asked who relays, and nobody answered so far.
    asked: bool,
}

impl Realm {
    /// This realm relays from now on.
    pub(super) fn begin_relaying(&mut self, now: Now) {
        let known = core::mem::take(&mut self.relay.known);
        self.relay = Relay { known, ..Relay::default() };
        self.socket_changed();
        self.effects.push(Effect::ToAll([ASK_CLIENTS].into()));
        self.signal(now, DIAL);
    }

    /// Another realm took the lock by force, and may have relayed beside this one for a moment.
    /// What clients said then went out on both sockets, and the hub may hold them for clients of
    /// the one that is closed now.
    pub(super) fn relay_robbed(&mut self, now: Now) {
        mark(Mark::RelayRobbed);
        self.signal(now, DIAL);
    }

    /// A message of a client of this device, for the hub.
    pub(super) fn relay_up(&mut self, client: ClientId, bytes: Vec<u8>) {
        // The last words of a page may come after its end; a new link is of another one.
        let begins = Message::parse(&bytes).is_ok_and(|message| message.envelope.position == 1);
        let came_back = begins && self.came_back(client);
        if client != self.config.client && self.relay.clients.insert(client) {
            self.effects.push(Effect::OpenClient(client));
            self.effects.push(Effect::Watch(client));
        } else if came_back {
            self.effects.push(Effect::Watch(client));
        }
        if self.relay.known.insert(client) {
            self.tell_known();
        }
        self.effects.push(Effect::ToHub(bytes));
    }

    /// A message of the hub.
    pub(super) fn relay_down(&mut self, now: Now, bytes: Vec<u8>) {
        self.relay_heard(now);
        let Ok(message) = Message::parse(&bytes) else { return };
        let Envelope { epoch, client, link, .. } = message.envelope;
        self.relay.epoch = epoch;
        if link == LinkNonce(0) {
            self.client_hears(now, &bytes);
            self.effects.push(Effect::ToAll(bytes));
        } else if client == self.config.client {
            self.at_own_client(now, &bytes);
        } else if self.relay.clients.contains(&client) {
            self.trace.record(now, Way::NodeSent, &bytes);
            self.effects.push(Effect::ToClient(client, bytes));
        }
    }

    /// The hub gave a sign of life.
    pub(super) fn relay_heard(&mut self, now: Now) {
        self.relay.heard_at = Some(now.mono);
        self.relay.doubt = Doubt::default();
        self.heard_of_hub(now);
    }

    /// Asks a hub that said nothing for long for a sign of life, which costs it no wake. Without
    /// one the socket leads nowhere.
    pub(super) fn tick_relay(&mut self, now: Now) {
        if self.relay_wake_at().is_none_or(|at| at > now.mono) {
            return;
        }
        if self.relay.doubt.asks(now, &self.config.limits) {
            return self.effects.push(Effect::ProbeHub);
        }
        self.leave_socket_to_hub(now);
    }

    /// When to ask the hub, or to stop waiting for its answer.
    pub(super) fn relay_wake_at(&self) -> Option<Instant> {
        let Relay { heard_at, doubt, is_open: true, .. } = &self.relay else { return None };
        let silence_ms = self.config.limits.node_silence_ms;
        let patience_ends = doubt.ends_at(silence_ms);
        patience_ends.or_else(|| Some((*heard_at)?.after_ms(idle_ms(silence_ms))))
    }

    /// The socket to the hub is open.
    pub(super) fn socket_opened(&mut self, now: Now) {
        self.relay_heard(now);
        self.socket_changed();
        self.relay.is_open = true;
        self.effects.push(Effect::ListPresent(self.hosting.tenure()));
        self.signal(now, DIAL);
    }

    /// Who of this device is there. Others that the hub may believe to be are gone; and one that
    /// died just now may be listed all the same. One that has spoken is watched, and may have begun
    /// after the list was made.
    pub(super) fn relay_present(&mut self, now: Now, clients: &[ClientId]) {
        let own = self.config.client;
        let others = self.relay.known.iter().copied().filter(|client| *client != own);
        for client in others.collect::<Vec<_>>() {
            if clients.contains(&client) || self.relay.clients.contains(&client) {
                self.effects.push(Effect::Watch(client));
            } else {
                mark(Mark::DiedUnrelayed);
                self.depart(now, client);
            }
        }
    }

    /// It is closed, and the hub may have told why.
    pub(super) fn socket_closed(&mut self, now: Now, code: Option<Code>) {
        self.relay.is_open = false;
        self.signal(now, LOST);
        if let Some(code) = code {
            self.hub_refuses(code);
        }
    }

    /// A client is gone without a word: only a realm of its device can tell.
    pub(super) fn relay_gone(&mut self, client: ClientId) {
        if self.relay.clients.remove(&client) {
            self.effects.push(Effect::CloseClient(client));
        }
        // Else the hub is told once there is a way to it.
        if self.relay.is_open && self.relay.known.remove(&client) {
            self.effects.push(Effect::ToHub(farewell_for(client)));
            self.tell_known();
        }
    }

    /// The client of this realm awaits something of a hub that is silent. Whoever relays is asked
    /// first: if it answers it is the hub that is away, and not the relay.
    pub(super) fn hub_silent(&mut self, now: Now) {
        if self.hosting.is_relaying() {
            self.doubt_socket(now);
        } else if self.relay.asked {
            self.relay.asked = false;
            self.node_silent();
        } else {
            self.relay.asked = true;
            self.effects.push(Effect::ToAll([ASK].into()));
        }
    }

    /// The client of this realm means another hub than that of this epoch. Others say the same, and
    /// what they say may come when the next door is open.
    pub(super) fn leave_door(&mut self, epoch: Epoch) {
        let named = epoch_bytes(epoch);
        if self.hosting.is_relaying() {
            return self.next_door(&named);
        }
        self.effects.push(Effect::ToAll([&[NEXT_DOOR], &named[..]].concat()));
    }

    fn next_door(&mut self, named: &[u8]) {
        let is_there = self.hosting.is_relaying() && self.relay.is_open;
        if is_there && *named == epoch_bytes(self.relay.epoch) {
            self.effects.push(Effect::NextDoor);
        }
    }

    /// Something on the channel of everyone. False if it is no signal.
    pub(super) fn take_signal(&mut self, now: Now, bytes: &[u8]) -> bool {
        let ([signal @ ..SIGNALS_END, rest @ ..], NodeAt::Hub) = (bytes, self.config.node_at)
        else {
            return false;
        };
        match *signal {
            CLIENTS => self.learn_clients(rest.as_chunks::<ID_BYTES>().0),
            ASK_CLIENTS if !self.relay.known.is_empty() => self.tell_known(),
            ASK if self.hosting.is_relaying() => {
                self.effects.push(Effect::ToAll([ANSWER].into()));
                self.doubt_socket(now);
            }
            CHECK if self.hosting.is_relaying() => {
                self.effects.push(Effect::ToAll([ANSWER].into()));
                let heard_at = self.relay.heard_at.unwrap_or_default();
                let silent_ms = now.mono.ms_since(heard_at);
                let is_silent = silent_ms >= self.config.limits.node_silence_ms;
                if is_silent && self.relay.is_open && !self.relay.doubt.is_open() {
                    self.relay.doubt.asks(now, &self.config.limits);
                    self.effects.push(Effect::ProbeHub);
                }
            }
            ANSWER => {
                self.relay.asked = false;
                self.heard_of_hub(now);
            }
            NEXT_DOOR => self.next_door(rest),
            LOST | DIAL | FULL | DRAINED => self.follow_signal(now, *signal),
            _ => {}
        }
        true
    }

    /// Whoever relays says for whom; when it does not know, the others say what they heard last.
    fn learn_clients(&mut self, ids: &[[u8; ID_BYTES]]) {
        let told = ids.iter().map(|id| ClientId(*id));
        if !self.hosting.is_relaying() {
            self.relay.known = told.collect();
            return;
        }
        let before = self.relay.known.len();
        self.relay.known.extend(told);
        if self.relay.known.len() > before {
            self.tell_known();
        }
        if self.relay.is_open {
            self.effects.push(Effect::ListPresent(self.hosting.tenure()));
        }
    }

    fn tell_known(&mut self) {
        let mut bytes = Vec::with_capacity(1 + self.relay.known.len() * ID_BYTES);
        bytes.push(CLIENTS);
        for client in self.relay.known.iter() {
            bytes.extend_from_slice(&client.0);
        }
        self.effects.push(Effect::ToAll(bytes));
    }

    fn signal(&mut self, now: Now, signal: u8) {
        self.follow_signal(now, signal);
        self.effects.push(Effect::ToAll([signal].into()));
    }

    /// The clients of this device hold back, or do so no more.
    pub(super) fn tell_full(&mut self, now: Now) {
        self.signal(now, FULL);
    }

    pub(super) fn tell_drained(&mut self, now: Now) {
        self.signal(now, DRAINED);
    }

    /// It relays, and its socket is open.
    pub(super) fn is_connected(&self) -> bool {
        self.hosting.is_relaying() && self.relay.is_open
    }

    fn follow_signal(&mut self, now: Now, signal: u8) {
        self.relay.asked = false;
        if self.is_for_others() {
            return;
        }
        match signal {
            DIAL => self.hub_may_answer(now),
            FULL => self.hold_back(now),
            DRAINED => self.release(now),
            _ => self.hub_is_lost(now),
        }
    }

    /// A socket that brings nothing although something is awaited may be half open.
    fn doubt_socket(&mut self, now: Now) {
        let silence_ms = self.config.limits.node_silence_ms;
        if self.relay.heard_at.is_some_and(|at| now.mono.ms_since(at) >= silence_ms) {
            mark(Mark::HalfOpenDropped);
            self.leave_socket_to_hub(now);
        }
    }

    fn leave_socket_to_hub(&mut self, now: Now) {
        self.relay.heard_at = Some(now.mono);
        self.relay.doubt = Doubt::default();
        self.relay.is_open = false;
        self.effects.push(Effect::DropSocket);
        self.signal(now, LOST);
    }

    /// Asks who relays, on behalf of a client that awaits nothing.
    pub(super) fn check_relay(&mut self) {
        self.effects.push(Effect::ToAll([CHECK].into()));
    }
}

fn epoch_bytes(epoch: Epoch) -> Vec<u8> {
    [epoch.counter.to_be_bytes(), epoch.incarnation.to_be_bytes()].concat()
}

/// What tells a hub that a client is gone: a message to everyone without a frame.
fn farewell_for(client: ClientId) -> Vec<u8> {
    encode_envelope(&Envelope { client, ..Envelope::default() })
}
