//! Transport messages: what clients and nodes send, on its way and as it arrives.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use crate::client::io as client;
use crate::id::{ClientId, ConnId};
use crate::sim::check::{Violation, violated};
use crate::sim::fact::{Fact, NodeId, ProcessId, Tag};
use crate::sim::network::{Kind, Party, Way};
use crate::sim::run::Watch;
use crate::sim::schedule::MILLI;
use crate::sim::world::{Action, World};
use crate::wire::frame::Frame;
use crate::wire::{Message, Summary, envelope};

/// Names one life of a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Socket {
    pub node: NodeId,
    pub serial: u32,
}

/// What arrives at one end.
#[derive(Clone, Debug)]
pub enum Letter {
    /// On the inbox of the receiver.
    Channel(Rc<[u8]>),
    Socket(Socket, Rc<[u8]>),
    Everyone(Rc<[u8]>),
    /// The socket is gone.
    Cut(Socket),
    /// A node may be reached.
    Reachable,
}

impl World {
    /// A client sends to whoever is the node.
    pub(super) fn client_transmits(&mut self, process: ProcessId, bytes: Vec<u8>) {
        self.mix(1, &bytes);
        let Some(sender) = self.processes.get(&process) else { return };
        let bytes: Rc<[u8]> = bytes.into();
        if !sender.has_socket {
            let nodes: Vec<NodeId> = self.nodes.keys().copied().collect();
            for node in nodes {
                self.post_to_node(process, node, Kind::Channel, &Letter::Channel(bytes.clone()));
            }
        } else if let Some(socket) = sender.socket {
            self.post_to_node(process, socket.node, Kind::Socket, &Letter::Socket(socket, bytes));
        }
    }

    /// A client sends to everyone.
    pub(super) fn client_broadcasts(
        &mut self,
        process: ProcessId,
        bytes: Vec<u8>,
    ) -> Result<(), Violation> {
        self.mix(2, &bytes);
        if self.watch != Watch::Outputs {
            self.observe_publishes(process, &bytes)?;
        }
        let letter = Letter::Everyone(bytes.into());
        let nodes: Vec<NodeId> = self.nodes.keys().copied().collect();
        for node in nodes {
            self.post_to_node(process, node, Kind::Everyone, &letter);
        }
        let others: Vec<ProcessId> = self.processes.keys().copied().collect();
        for other in others.into_iter().filter(|other| *other != process) {
            self.post_to_client(Party::Client(process), process, other, Kind::Everyone, &letter);
        }
        Ok(())
    }

    fn observe_publishes(&mut self, process: ProcessId, bytes: &[u8]) -> Result<(), Violation> {
        let Ok(message) = Message::parse(bytes) else {
            return violated("wire-is-well-formed", "a client broadcasts nonsense".into());
        };
        for frame in message.frames().flatten() {
            if let Frame::Publish(live) = frame {
                let Some(tag) = Tag::of(live.body) else { continue };
                self.observe(&Fact::Posted { process, number: live.number, tag })?;
            }
        }
        Ok(())
    }

    fn post_to_node(&mut self, from: ProcessId, node: NodeId, kind: Kind, letter: &Letter) {
        let Some(home) = self.nodes.get(&node).map(|host| host.home) else { return };
        let way = Way { from: Party::Client(from), to: Party::Node(node), kind };
        let now = self.schedule.now();
        let arrivals = self.network.arrivals(now, way, (from, home), &mut self.faults);
        for at in arrivals.into_iter().flatten() {
            self.schedule.at(at, Action::ToNode { node, from, letter: letter.clone() });
        }
    }

    fn post_to_client(
        &mut self,
        from: Party,
        home: ProcessId,
        process: ProcessId,
        kind: Kind,
        letter: &Letter,
    ) {
        let way = Way { from, to: Party::Client(process), kind };
        let now = self.schedule.now();
        let arrivals = self.network.arrivals(now, way, (home, process), &mut self.faults);
        for at in arrivals.into_iter().flatten() {
            self.schedule.at(at, Action::ToClient { process, letter: letter.clone() });
        }
    }

    /// A node sends on a connection.
    pub(super) fn node_transmits(
        &mut self,
        node: NodeId,
        conn: ConnId,
        bytes: Vec<u8>,
    ) -> Result<(), Violation> {
        self.mix(3, &bytes);
        if self.watch != Watch::Outputs {
            self.observe_frames(node, conn, &bytes)?;
        }
        let Some(host) = self.nodes.get(&node) else { return Ok(()) };
        let Some(link) = host.links.get(&conn) else {
            return violated("wire-is-well-formed", "a node sends on no connection".into());
        };
        let (home, client, socket) = (host.home, link.client, link.socket);
        let bytes: Rc<[u8]> = bytes.into();
        if let Some((process, socket)) = socket {
            let letter = Letter::Socket(socket, bytes);
            self.post_to_client(Party::Node(node), home, process, Kind::Socket, &letter);
            return Ok(());
        }
        let letter = Letter::Channel(bytes);
        for process in self.processes_of(client) {
            self.post_to_client(Party::Node(node), home, process, Kind::Channel, &letter);
        }
        Ok(())
    }

    /// The living processes of a client: one, or none.
    pub(super) fn processes_of(&self, client: ClientId) -> Vec<ProcessId> {
        let of_client =
            |(_, process): &(&ProcessId, &super::processes::Process)| process.client_id == client;
        self.processes.iter().filter(of_client).map(|(id, _)| *id).collect()
    }

    pub(super) fn node_broadcasts(&mut self, node: NodeId, bytes: Vec<u8>) {
        self.mix(4, &bytes);
        let Some(home) = self.nodes.get(&node).map(|host| host.home) else { return };
        let letter = Letter::Everyone(bytes.into());
        let processes: Vec<ProcessId> = self.processes.keys().copied().collect();
        for process in processes {
            self.post_to_client(Party::Node(node), home, process, Kind::Everyone, &letter);
        }
    }

    /// Shows each frame that leaves to the checkers; parts once they are whole.
    fn observe_frames(
        &mut self,
        node: NodeId,
        conn: ConnId,
        bytes: &[u8],
    ) -> Result<(), Violation> {
        let Ok(message) = Message::parse(bytes) else {
            return violated("wire-is-well-formed", "a node sends nonsense".into());
        };
        let client = message.envelope.client;
        for frame in message.frames() {
            let Ok(frame) = frame else {
                return violated("wire-is-well-formed", "a node sends a broken frame".into());
            };
            let Frame::Fragment { last, bytes } = frame else {
                self.observe(&Fact::Left { node, client, frame: &frame })?;
                continue;
            };
            let Some(link) = self.nodes.get_mut(&node).and_then(|host| host.links.get_mut(&conn))
            else {
                continue;
            };
            if let Ok(Some(whole)) = link.parts.push(last, bytes) {
                let Ok(frame) = envelope::decode_frame(&whole) else {
                    return violated("wire-is-well-formed", "parts make no frame".into());
                };
                self.observe(&Fact::Left { node, client, frame: &frame })?;
            }
        }
        Ok(())
    }

    /// A letter reaches a client.
    pub(super) fn receive(&mut self, process: ProcessId, letter: Letter) -> Result<(), Violation> {
        self.trace_letter(|| format!("{process:?}"), &letter);
        let Some(receiver) = self.processes.get_mut(&process) else { return Ok(()) };
        let input = match &letter {
            Letter::Channel(bytes) if !receiver.has_socket => client::Input::Received { bytes },
            Letter::Socket(socket, bytes) if receiver.socket == Some(*socket) => {
                client::Input::Received { bytes }
            }
            Letter::Everyone(bytes) => client::Input::Heard { bytes },
            Letter::Cut(socket) if receiver.socket == Some(*socket) => {
                receiver.socket = None;
                // A page that slept may have been told to dial before it hears that it has to.
                self.schedule.after(20 * MILLI, Action::Redial { process });
                client::Input::Disconnected
            }
            Letter::Reachable => client::Input::Reachable,
            _ => return Ok(()),
        };
        self.client_input(process, input)
    }

    /// Writes down what arrives, if the world was asked to.
    pub(super) fn trace_letter(&mut self, receiver: impl Fn() -> String, letter: &Letter) {
        if self.trace.is_none() {
            return;
        }
        let text = match letter {
            Letter::Channel(bytes) | Letter::Socket(_, bytes) | Letter::Everyone(bytes) => {
                match Message::parse(bytes) {
                    Ok(message) => frames_in_words(&message),
                    Err(_) => String::from("nonsense"),
                }
            }
            Letter::Cut(_) => String::from("cut"),
            Letter::Reachable => String::from("reachable"),
        };
        self.note(&format!("{} gets {text}", receiver()));
    }
}

/// The frames of a transport message, as a trace shows them.
#[must_use]
pub fn frames_in_words(message: &Message<'_>) -> String {
    let head = message.envelope;
    let (client, epoch) = (u16::from_be_bytes([head.client.0[0], head.client.0[1]]), head.epoch);
    let mut text = format!("{client:04x} epoch {} #{}:", epoch.counter, head.position);
    for frame in message.frames().flatten() {
        text.push_str(&format!(" {};", Summary(&frame)));
    }
    text
}
