//! A node and what comes to it: a script of connections, frames, time, and answers of the storage.
//!
//! Holds: nothing panics or runs on; the bounds of sessions, lanes and queues are kept; every
//! message that leaves is one of the protocol; what is kept is what the next node finds.

use std::collections::BTreeSet;

use tabmq::broker::io::{Event, Input};
use tabmq::id::{ClientId, ConnId, LinkNonce};
use tabmq::log::MemoryStore;
use tabmq::store::{StorageAction, StorageFault};
use tabmq::wire::{Envelope, Message};

use crate::bytes::{Script, write_bytes};
use crate::host::{End, Host, LIMITS, START};
use crate::recovered::{is_found_again, work};

/// Clients of a script; more than may have a session.
const PEERS: usize = 5;
const STEPS_MAX: usize = 200;

/// The kinds of steps, of which each begins with its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Step {
    /// A peer begins a new link.
    Connect,
    /// A peer says these frames.
    Say,
    /// Bytes without an envelope.
    SayRaw,
    /// A peer says these frames to everyone.
    SayToAll,
    PassMs,
    /// The storage answers the oldest operation, as long as it is held.
    Answer,
    HoldStorage,
    ReleaseStorage,
    Disconnect,
    Gone,
    Present,
    /// Another node takes over the store.
    Restart,
}

const STEPS: [Step; 12] = [
    Step::Connect,
    Step::Say,
    Step::SayRaw,
    Step::SayToAll,
    Step::PassMs,
    Step::Answer,
    Step::HoldStorage,
    Step::ReleaseStorage,
    Step::Disconnect,
    Step::Gone,
    Step::Present,
    Step::Restart,
];

struct Peer {
    conn: ConnId,
    link: LinkNonce,
    position: u64,
}

struct World {
    host: Host,
    peers: [Option<Peer>; PEERS],
    links: u64,
    watched: BTreeSet<ClientId>,
}

/// The bytes as a script. Gives whether anybody was welcomed.
pub fn broker(data: &[u8]) -> bool {
    let mut world = World::new();
    let mut script = Script::new(data);
    let mut welcomed = false;
    for _ in 0..STEPS_MAX {
        if script.is_over() {
            break;
        }
        world.step(&mut script);
        welcomed |= world.look();
    }
    world.host.holds_storage = false;
    is_found_again(&mut world.host);
    welcomed
}

/// What a script leaves in the store, with a checkpoint if asked for. Nothing if no node serves
/// at its end.
#[must_use]
pub fn store_after(data: &[u8], checkpoint: bool) -> Option<MemoryStore> {
    let mut world = World::new();
    let mut script = Script::new(data);
    while !script.is_over() {
        world.step(&mut script);
        world.look();
    }
    if checkpoint {
        work(&mut world.host);
    }
    world.host.over.is_none().then_some(world.host.store)
}

impl World {
    fn new() -> Self {
        let mut host = Host::new(MemoryStore::default(), START);
        assert_eq!(host.start(), End::Serving, "an empty store is recovered");
        Self { host, peers: Default::default(), links: 0, watched: BTreeSet::new() }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        let step = STEPS[usize::from(script.byte()) % STEPS.len()];
        let now = self.host.now;
        match step {
            Step::Connect => self.connect(slot(script)),
            Step::Say => {
                let (at, frames) = (slot(script), script.bytes());
                self.say(at, frames);
            }
            Step::SayRaw => {
                let (at, bytes) = (slot(script), script.bytes());
                let conn = self.peers[at].as_ref().map_or(ConnId(77), |peer| peer.conn);
                self.host.input(Input::Received { conn, bytes });
            }
            Step::SayToAll => {
                let (at, frames) = (slot(script), script.bytes());
                let bytes = self.message(at, LinkNonce(0), 0, frames);
                self.host.input(Input::Heard { bytes: &bytes });
            }
            Step::PassMs => {
                let ms = u64::from(script.number());
                self.host.pass_ms(ms);
            }
            Step::Answer => {
                let answer = script.byte();
                self.host.answer(|store, action| match answer % 8 {
                    1 => Err(StorageFault::Aborted),
                    2 if matches!(action, StorageAction::Commit { .. }) => Err(StorageFault::Quota),
                    3 => Err(StorageFault::Lost),
                    4 => Err(StorageFault::Fenced),
                    _ => store.perform(action),
                });
                self.host.settle();
            }
            Step::HoldStorage => self.host.holds_storage = true,
            Step::ReleaseStorage => {
                self.host.holds_storage = false;
                self.host.perform_all();
                self.host.settle();
            }
            Step::Disconnect => {
                if let Some(peer) = self.peers[slot(script)].take() {
                    self.host.input(Input::Disconnected { conn: peer.conn });
                }
            }
            Step::Gone => self.host.input(Input::Gone { client: client(slot(script)) }),
            Step::Present => {
                let bits = script.byte();
                let there = (0..PEERS).filter(|at| bits >> at & 1 == 1);
                let clients: Vec<ClientId> = there.map(client).collect();
                self.host.input(Input::Present { clients: &clients });
            }
            Step::Restart => {
                let store = self.host.store.clone();
                self.host = Host::new(store, now);
                self.host.settle();
                self.peers = Default::default();
                self.watched.clear();
            }
        }
    }

    fn connect(&mut self, at: usize) {
        if let Some(before) = self.peers[at].take() {
            self.host.input(Input::Disconnected { conn: before.conn });
        }
        self.links += 1;
        let conn = self.host.node.accept(self.host.now);
        self.peers[at] = Some(Peer { conn, link: LinkNonce(self.links), position: 0 });
    }

    fn say(&mut self, at: usize, frames: &[u8]) {
        let Some(peer) = &mut self.peers[at] else { return };
        peer.position += 1;
        let (conn, link, position) = (peer.conn, peer.link, peer.position);
        let bytes = self.message(at, link, position, frames);
        self.host.input(Input::Received { conn, bytes: &bytes });
    }

    fn message(&self, at: usize, link: LinkNonce, position: u64, frames: &[u8]) -> Vec<u8> {
        let epoch = self.host.node.epoch().unwrap_or_default();
        let mut bytes = Vec::new();
        let head = Envelope { epoch, client: client(at), link, position };
        tabmq::cbor::encode(&head, &mut bytes);
        bytes.extend_from_slice(frames);
        bytes
    }

    /// Judges what the node said. Gives whether anybody was welcomed.
    fn look(&mut self) -> bool {
        let mut welcomed = false;
        for (_, bytes) in self.host.transmitted.drain(..) {
            let message = Message::parse(&bytes).expect("the node writes transport messages");
            for frame in message.frames() {
                let frame = frame.expect("the node writes frames");
                welcomed |= matches!(frame, tabmq::wire::Frame::Welcome(_));
            }
        }
        for event in self.host.events.drain(..) {
            match event {
                Event::Watch { client } => drop(self.watched.insert(client)),
                Event::Unwatch { client } => drop(self.watched.remove(&client)),
                _ => {}
            }
        }
        for conn in self.host.ended.drain(..) {
            let ended = |peer: &Option<Peer>| peer.as_ref().is_some_and(|peer| peer.conn == conn);
            for peer in self.peers.iter_mut().filter(|peer| ended(peer)) {
                *peer = None;
            }
        }
        if let Some(broker) = self.host.node.broker() {
            let state = broker.state();
            assert!(state.queues.len() <= LIMITS.queues_max as usize, "queues_max");
            assert!(state.lanes.len() <= LIMITS.lanes_max as usize + 1, "lanes_max");
            assert!(state.policies.iter().count() <= LIMITS.policies_max as usize, "policies_max");
            let schedules = state.schedules.iter().count();
            assert!(schedules <= LIMITS.schedules_max as usize, "schedules_max");
        }
        welcomed
    }
}

fn slot(script: &mut Script<'_>) -> usize {
    usize::from(script.byte()) % PEERS
}

/// The client of that place.
#[must_use]
pub fn client(at: usize) -> ClientId {
    ClientId([at as u8 + 1; 16])
}

/// Adds a step with frames of a peer to a script.
pub fn write_step(out: &mut Vec<u8>, step: Step, at: u8, frames: &[u8]) {
    /// A Pong, which does nothing.
    const FILLER: &[u8] = &[0x82, 5, 0];
    out.extend_from_slice(&[step as u8, at]);
    write_bytes(out, frames, FILLER);
}
