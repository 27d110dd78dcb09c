//! Who serves what, and the calls that wait for a server with room.

use alloc::borrow::ToOwned;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use crate::id::{ClientId, ServiceId};
use crate::sorted::{Map, Set};
use crate::wire::frame::{CallKey, ServerEntry, ServiceEntry};

/// One server of one service.
#[derive(Clone, Copy, Debug)]
pub(super) struct Server {
    pub client: ClientId,
    pub service: ServiceId,
    pub concurrency: u32,
    pub running: u32,
    /// Turn in which it was last chosen, to share calls among equally busy servers.
    pub chosen: u64,
}

/// The servers of one name, and the calls that wait for one with room, in order.
#[derive(Debug, Default)]
pub(super) struct Service {
    pub servers: Vec<Server>,
    pub queued: VecDeque<CallKey>,
}

impl Service {
    /// Nobody serves it and nobody waits for it.
    pub fn is_idle(&self) -> bool {
        self.servers.is_empty() && self.queued.is_empty()
    }

    pub fn entry<'a>(&self, name: &'a str) -> ServiceEntry<'a> {
        let entry = |server: &Server| {
            let Server { client, concurrency, running, .. } = *server;
            ServerEntry { client, concurrency, running }
        };
        let servers = self.servers.iter().map(entry).collect();
        let waiting = u32::try_from(self.queued.len()).unwrap_or(u32::MAX);
        ServiceEntry { name, servers, waiting }
    }
}

/// Who serves what.
#[derive(Debug, Default)]
pub struct Services {
    pub(super) services: Map<String, Service>,
    /// Services whose servers or queued calls changed.
    pub(super) dirty: Set<String>,
    pub(super) turn: u64,
}

impl Services {
    pub fn remove(&mut self, name: &str, client: ClientId, service: ServiceId) {
        let Some(served) = self.services.get_mut(name) else { return };
        served.servers.retain(|server| (server.client, server.service) != (client, service));
        self.dirty.insert(name.to_owned());
    }

    pub(super) fn queue(&mut self, name: &str, key: CallKey) {
        self.services.get_or_default(name.to_owned()).queued.push_back(key);
        self.dirty.insert(name.to_owned());
    }

    /// Counts a call more or less at a server.
    pub(super) fn count(&mut self, name: &str, client: ClientId, starts: bool) {
        let Some(served) = self.services.get_mut(name) else { return };
        if let Some(server) = served.servers.iter_mut().find(|server| server.client == client) {
            server.running =
                if starts { server.running + 1 } else { server.running.saturating_sub(1) };
        }
        self.dirty.insert(name.to_owned());
    }

    /// Looks at every service that has waiting calls again.
    pub fn touch_all(&mut self) {
        self.dirty.extend(self.services.keys().cloned());
    }

    /// Looks at the services of a client that can take calls again.
    pub fn touch(&mut self, name: &str) {
        self.dirty.insert(name.to_owned());
    }

    /// Keeps the calls that wait, and forgets the servers: they declare themselves again.
    pub fn forget_servers(&mut self) {
        self.services.for_each_mut(|_, service| service.servers.clear());
        self.touch_all();
    }
}
