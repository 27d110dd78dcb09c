//! What comes while a node makes sure that it may go on.

use alloc::string::String;
use alloc::vec::Vec;

use crate::broker::io::Input;
use crate::broker::{Broker, Grant};
use crate::cron::{Offset, Offsets};
use crate::id::{ClientId, ConnId, OpId};
use crate::marks::{Mark, mark};
use crate::store::StorageResult;
use crate::time::{Now, UnixMillis};

/// A node that holds back what comes.
#[derive(Debug)]
pub(super) struct Holding {
    pub broker: Broker,
    /// The storage was asked.
    pub asked: bool,
    /// Time may have passed in which nobody could renew a lease.
    pub paused: bool,
    held: Vec<Held>,
    held_bytes: usize,
}

/// An input that waits while the node makes sure.
#[derive(Debug)]
enum Held {
    Received { conn: ConnId, bytes: Vec<u8> },
    Heard { bytes: Vec<u8> },
    Renewed { conn: ConnId, grant: Grant },
    Disconnected { conn: ConnId },
    Gone { client: ClientId },
    Present { clients: Vec<ClientId> },
    Stored { op: OpId, result: StorageResult },
    Zone { zone: String, offsets: Vec<Offset>, until: UnixMillis },
    Drain,
}

impl Holding {
    pub fn new(broker: Broker) -> Self {
        Self { broker, asked: false, paused: false, held: Vec::new(), held_bytes: 0 }
    }

    /// Holds an input back. Gives a connection that is over because there was no room: its client
    /// dials again and sends again what has no answer.
    pub fn hold(&mut self, input: Input<'_>, bytes_max: usize) -> Option<ConnId> {
        let held = Held::of(input)?;
        let bytes = match &held {
            Held::Received { bytes, .. } | Held::Heard { bytes } => bytes.len(),
            _ => 0,
        };
        if self.held_bytes + bytes > bytes_max {
            let Held::Received { conn, .. } = held else { return None };
            self.held.push(Held::Disconnected { conn });
            return Some(conn);
        }
        mark(Mark::HeldForFence);
        self.held_bytes += bytes;
        self.held.push(held);
        None
    }

    /// The broker, which has got all that was held back.
    pub fn release(self, now: Now) -> Broker {
        let Self { mut broker, held, .. } = self;
        for input in &held {
            broker.handle_input(now, input.as_input());
        }
        broker.handle_input(now, Input::Tick);
        broker
    }
}

impl Held {
    fn of(input: Input<'_>) -> Option<Self> {
        Some(match input {
            Input::Tick => return None,
            Input::Received { conn, bytes } => Self::Received { conn, bytes: bytes.to_vec() },
            Input::Heard { bytes } => Self::Heard { bytes: bytes.to_vec() },
            Input::Renewed { conn, grant } => Self::Renewed { conn, grant },
            Input::Disconnected { conn } => Self::Disconnected { conn },
            Input::Gone { client } => Self::Gone { client },
            Input::Present { clients } => Self::Present { clients: clients.to_vec() },
            Input::Stored { op, result } => Self::Stored { op, result },
            Input::Zone { zone, offsets: Offsets { list, until } } => {
                Self::Zone { zone: zone.into(), offsets: list.to_vec(), until }
            }
            Input::Drain => Self::Drain,
        })
    }

    fn as_input(&self) -> Input<'_> {
        match self {
            Self::Received { conn, bytes } => Input::Received { conn: *conn, bytes },
            Self::Heard { bytes } => Input::Heard { bytes },
            Self::Renewed { conn, grant } => Input::Renewed { conn: *conn, grant: grant.clone() },
            Self::Disconnected { conn } => Input::Disconnected { conn: *conn },
            Self::Gone { client } => Input::Gone { client: *client },
            Self::Present { clients } => Input::Present { clients },
            Self::Stored { op, result } => Input::Stored { op: *op, result: result.clone() },
            Self::Zone { zone, offsets, until } => {
                Input::Zone { zone, offsets: Offsets { list: offsets, until: *until } }
            }
            Self::Drain => Input::Drain,
        }
    }
}
