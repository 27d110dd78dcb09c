//! What a driver is made with, and what of it this runtime can do.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error::{Code, Refused};
use crate::id::ClientId;
use crate::limits::Limits;
use crate::options::{Durability, HostKind};
use crate::web::js_sockets::SocketHost;
use crate::web::js_storage::StorageMaker;
use crate::web::locks::LockManager;
use crate::web::realm::NodeAt;
use crate::web::runtime;
use crate::web::socket::Doors;
use crate::web::timer::TimerHost;
use crate::web::worker::Part;

/// Which host is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum HostChoice {
    /// In the realms of the clients where there are locks and channels, else inline.
    #[default]
    Auto,
    Tab,
    Inline,
    /// In a worker of this page, which the caller starts and tells of. `stands_by`: or in the page.
    BesideWorker {
        stands_by: bool,
    },
    /// In this realm, for the pages of a worker. It has no client.
    ForPages,
}

/// What a driver is made with.
#[derive(Clone, Debug)]
pub struct DriverOptions {
    pub user: Option<String>,
    pub host: HostChoice,
    pub storage: StorageChoice,
    /// The strongest level that will be asked for without being named.
    pub durability: Durability,
    pub limits: Limits,
    /// Name and tags for the other peers.
    pub peer: Vec<u8>,
    /// Goes on with what this client left behind, which is dead; for no longer than that takes.
    pub guest: Option<ClientId>,
    /// The user writes sends down, and takes up what another page of this tab wrote.
    pub takes_up: bool,
    pub reach: Reach,
    /// Performs the timer in place of the runtime.
    pub timer: Option<TimerHost>,
    /// The process of a hub that falls asleep with its sockets open. Its own client is the same
    /// each time.
    pub sleeper: Option<ClientId>,
}

/// How this realm and its node reach each other, and whoever else is on the bus.
#[derive(Clone, Debug, Default)]
pub enum Reach {
    /// By what the realms of a device share.
    #[default]
    Device,
    /// The node is at a hub.
    Hub(Doors),
    /// The node here is a hub, whose sockets these are.
    Here(SocketHost),
}

impl Reach {
    pub const fn node_at(&self) -> NodeAt {
        match self {
            Self::Device => NodeAt::Device,
            Self::Hub(_) => NodeAt::Hub,
            Self::Here(_) => NodeAt::Here,
        }
    }
}

/// Which storage is asked for.
#[derive(Clone, Debug, Default)]
pub enum StorageChoice {
    /// IndexedDB where it is, else memory.
    #[default]
    Auto,
    /// Nothing outlives the host.
    Memory,
    /// Files, by this adapter. Then everything stays in this realm.
    Files(StorageMaker),
}

pub(super) fn choose_host(choice: HostChoice) -> Result<Option<LockManager>, Refused> {
    let has_channels = runtime::global("BroadcastChannel").is_some();
    let has_database = runtime::global("indexedDB").is_some();
    let locks = runtime::navigator::<LockManager>("locks");
    let usable = locks.filter(|_| has_channels && has_database);
    match choice {
        HostChoice::Inline => Ok(None),
        HostChoice::Auto | HostChoice::BesideWorker { stands_by: true } => Ok(usable),
        _ if usable.is_none() => Err(Refused::new(Code::Unsupported, "host")),
        _ => Ok(usable),
    }
}

pub(super) fn part_of(choice: HostChoice, kind: HostKind) -> Part {
    match choice {
        _ if kind == HostKind::Inline => Part::Whole,
        HostChoice::BesideWorker { stands_by } => Part::Page { stands_by },
        HostChoice::ForPages => Part::Worker,
        HostChoice::Auto | HostChoice::Tab | HostChoice::Inline => Part::Whole,
    }
}
