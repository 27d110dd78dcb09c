//! What is to come in a world with a hub.

use alloc::vec::Vec;

use crate::client::io::Keepsake;
use crate::error::Code;
use crate::id::{ClientId, OpId};
use crate::sim::fact::{NodeId, ProcessId};
use crate::sim::outbox::Write;
use crate::sim::schedule::Micros;
use crate::sim::user::Chore;
use crate::store::StorageResult;
use crate::time::Instant;
use crate::web::io;
use crate::web::sockets::SocketId;

/// Something to come.
#[derive(Debug)]
pub(super) enum Action {
    /// Something for the realm of a page.
    AtPage {
        page: ProcessId,
        fact: io::Fact,
    },
    /// A message for whoever relays on a device: on the channel of all, or on that of a client.
    AtRelay {
        page: ProcessId,
        of: Option<ClientId>,
        bytes: Vec<u8>,
    },
    /// News of the socket of a page that has this number there.
    Socket {
        page: ProcessId,
        number: u32,
        news: News,
    },
    /// Something for the realm of a hub.
    AtHub {
        hub: ProcessId,
        fact: io::Fact,
    },
    /// A message on a link, or its end, reaches the hub.
    OnLink {
        socket: SocketId,
        said: Said,
    },
    /// A socket that a page dials reaches a door.
    Knock {
        page: ProcessId,
        number: u32,
        door: usize,
    },
    PageTimer {
        page: ProcessId,
        token: u64,
    },
    HubTimer {
        hub: ProcessId,
        token: u64,
    },
    Chore {
        page: ProcessId,
        chore: Chore,
    },
    LockGranted {
        page: ProcessId,
    },
    /// A realm notices that the lock of a client is free.
    Gone {
        page: ProcessId,
        client: ClientId,
    },
    /// The disk performs the next operation of this node.
    Perform {
        node: NodeId,
    },
    Stored {
        node: NodeId,
        op: OpId,
        result: StorageResult,
    },
    Begin {
        tab: usize,
        keepsake: Option<Keepsake>,
    },
    Thaw {
        process: ProcessId,
    },
    /// The page of a closed client goes.
    Close {
        page: ProcessId,
    },
    /// A process of the hub starts, unless one runs.
    StartHub,
    /// The first write that a page has under way in its outbox is performed.
    WriteDown {
        page: ProcessId,
    },
    WrittenDown {
        page: ProcessId,
        write: Write,
    },
    /// Somebody of a device looks for what a client left in its outbox.
    Sweep {
        client: ClientId,
        device: usize,
    },
    /// A device that was refused is let in from now on.
    LetIn {
        device: usize,
    },
    Misfortune,
    /// Nobody does anything for a while.
    Lull,
    /// The host of a hub may take its memory away.
    FallAsleep {
        hub: ProcessId,
    },
}

/// What a socket tells the page that dialed it.
#[derive(Debug)]
pub(super) enum News {
    Opened,
    Message(Vec<u8>),
    /// The answer to a probe.
    Alive,
    /// Its page keeps more than it may of what it said on it, or less than half of that.
    Full,
    Drained,
    Closed(Option<Code>),
}

/// What a page says to the hub.
#[derive(Debug)]
pub(super) enum Said {
    Message(Vec<u8>),
    /// Whoever holds the hub's end answers, also where the hub itself would be too busy.
    Probe,
    Farewell,
}

/// When a realm wants to be woken.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timer {
    pub token: u64,
    pub at: Option<Micros>,
    pub idle_ticks: u32,
}

impl Timer {
    /// Sets it to a wish that is earlier. Gives when it fires and its token.
    pub fn arm(
        &mut self,
        wake_at: Option<Instant>,
        origin: Micros,
        now: Micros,
    ) -> Option<(Micros, u64)> {
        let at = wake_at?.0.saturating_sub(origin).max(now + 1);
        if self.at.is_some_and(|set| set <= at) {
            return None;
        }
        self.token += 1;
        self.at = Some(at);
        Some((at, self.token))
    }
}
