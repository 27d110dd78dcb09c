//! Processes of the hub: how they begin, end, and sleep.

use tabmq::log::MemoryStore;
use tabmq::web::io::Fact;
use tabmq::web::realm::{NodeAt, Realm};
use tabmq::web::sockets::SocketId;

use crate::hub_world::{HUB, HubWorld};
use crate::realms::{realm, sleeper};

impl HubWorld {
    /// The process of the hub dies: what was stored is all that stays.
    pub fn kill_hub(&mut self) {
        self.down = true;
        self.facts.clear();
        for at in 0..self.remotes.len() {
            if self.remotes[at].socket.take().is_some() {
                self.remotes[at].facts.push_back(Fact::SocketClosed { code: None });
            }
        }
        self.deliver();
    }

    /// From here on the host of the hub falls asleep when nothing happens: it begins so.
    pub fn begin_to_sleep(&mut self) {
        self.kill_hub();
        self.wake_hub();
        self.pass_ms(60_000);
    }

    /// Another process of a hub that was asleep, which has its sockets.
    pub fn wake_hub(&mut self) {
        let hub = sleeper(HUB, self.now, self.seed + 1, &self.limits);
        self.begin_hub(hub, true);
        self.deliver();
    }

    fn begin_hub(&mut self, hub: Realm, has_sockets: bool) {
        (self.hub, self.seed, self.down) = (hub, self.seed + 1, false);
        for socket in self.remotes.iter().filter_map(|remote| remote.socket) {
            if has_sockets {
                self.hub.handle(self.now, Fact::SocketAdopted { socket });
            }
        }
        self.hub.start(self.now);
        self.perform_hub();
    }

    /// What the hub has stored, for tests that tamper.
    pub fn store(&mut self) -> &mut MemoryStore {
        &mut self.store
    }

    /// The host lets the hub sleep: what was stored stays, and so do its sockets.
    pub fn sleep_hub(&mut self) {
        self.facts.clear();
        self.down = true;
    }

    /// The next hub is given a socket that the one before had.
    pub fn adopt(&mut self, socket: SocketId) {
        self.facts.push_back(Fact::SocketAdopted { socket });
        self.deliver();
    }

    /// The hub is closed as planned.
    pub fn close_hub(&mut self) {
        self.hub.close(self.now, false);
        self.perform_hub();
        self.deliver();
    }

    /// Another process of the hub, over what the one before stored.
    pub fn restart_hub(&mut self) {
        if !self.report.persistent {
            self.store = MemoryStore::default();
        }
        let hub = realm(HUB, self.now, self.seed + 1, NodeAt::Here, &self.limits);
        self.begin_hub(hub, false);
    }
}
