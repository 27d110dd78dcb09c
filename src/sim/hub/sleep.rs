//! A hub whose host falls asleep with its sockets open, as a Durable Object does: all of its memory
//! is gone, and what comes next wakes another process of it.
//!
//! The fault model. It falls asleep at any time at which its node says that it may. It wakes for a
//! message, for the end of a socket, and when its alarm rings, which may be late; signs of life are
//! answered without it. Sockets may end while it sleeps. Never: it sleeps in the middle of a write,
//! or two processes of it run at once, as the platforms promise that let a hub sleep.

use crate::sim::check::Violation;
use crate::sim::fact::ProcessId;
use crate::sim::fault::Fault;
use crate::sim::hub::action::Timer;
use crate::sim::hub::{Action, HubWorld, Said};
use crate::sim::schedule::{MILLI, Micros, SECOND};
use crate::web::io;
use crate::web::sockets::SocketId;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sleep {
    Awake,
    Asleep,
    /// It reads what it was; nothing is handled before it serves.
    Waking,
}

impl HubWorld {
    /// For some seconds nobody does anything, and nothing else goes wrong.
    pub(super) fn lull(&mut self) {
        let time = self.dice.between(2 * SECOND, 8 * SECOND);
        self.lull_until = self.schedule.now() + time;
        let after = time + self.dice.between(SECOND, 10 * SECOND);
        self.schedule.after(after, Action::Lull);
    }

    pub(super) fn is_lull(&self) -> bool {
        self.lull_left() > 0
    }

    pub(super) fn lull_left(&self) -> Micros {
        self.lull_until.saturating_sub(self.schedule.now())
    }

    /// Its host waits a little before it takes the memory away.
    pub(super) fn may_fall_asleep(&mut self, hub: ProcessId) {
        let server = self.servers.get(&hub).filter(|server| server.sleep == Sleep::Awake);
        if server.is_some_and(|server| server.realm.may_sleep()) {
            let after = self.dice.between(0, 300 * MILLI);
            self.schedule.after(after, Action::FallAsleep { hub });
        }
    }

    pub(super) fn fall_asleep(&mut self, hub: ProcessId) -> Result<(), Violation> {
        let now = self.schedule.now();
        let Some(server) = self.servers.get_mut(&hub) else { return Ok(()) };
        let rests = server.sleep == Sleep::Awake && !server.frozen && server.realm.may_sleep();
        if !rests {
            return Ok(());
        }
        self.faults.add(Fault::HubSlept);
        server.sleep = Sleep::Asleep;
        // What was set for the process that is gone rings no more.
        let token = server.timer.token + 1;
        server.timer = Timer { token, ..Timer::default() };
        if let Some(at) = server.realm.wake_at() {
            let at = at.0.saturating_sub(server.origin).max(now + 1);
            let late = self.dice.between(0, 500 * MILLI);
            self.schedule.at(at + late, Action::HubTimer { hub, token });
        }
        self.note("the host of the hub falls asleep");
        Ok(())
    }

    /// Whether it can be handled: what is for a hub that sleeps wakes it, and waits for that.
    pub(super) fn wake_for(&mut self, action: Action) -> Result<Option<Action>, Violation> {
        let (hub, waits_for_it) = match &action {
            Action::OnLink { said: Said::Probe, .. } => return Ok(Some(action)),
            Action::OnLink { socket, .. } => match self.links.get(socket) {
                Some(link) => (link.hub, true),
                None => return Ok(Some(action)),
            },
            Action::AtHub { hub, .. } | Action::HubTimer { hub, .. } => (*hub, false),
            _ => return Ok(Some(action)),
        };
        let Some(server) = self.servers.get_mut(&hub) else { return Ok(Some(action)) };
        match server.sleep {
            Sleep::Awake => return Ok(Some(action)),
            Sleep::Waking if !waits_for_it => return Ok(Some(action)),
            Sleep::Waking => server.held.push(action),
            Sleep::Asleep => match action {
                Action::HubTimer { token, .. } if token != server.timer.token => {}
                Action::HubTimer { .. } => self.wake(hub)?,
                Action::OnLink { .. } => {
                    server.held.push(action);
                    self.wake(hub)?;
                }
                // What its host says it hears at once, in order with what it says meanwhile.
                _ => {
                    self.wake(hub)?;
                    return Ok(Some(action));
                }
            },
        }
        Ok(None)
    }

    /// A process begins that knows nothing but which sockets are open, and what each may do.
    fn wake(&mut self, hub: ProcessId) -> Result<(), Violation> {
        let Some(server) = self.servers.get(&hub) else { return Ok(()) };
        let (client, origin) = (server.realm.client_id(), server.origin);
        let mut realm = self.hub_realm(client, origin);
        let now = self.hub_now(hub);
        let own = self.links.iter().filter(|(_, link)| link.hub == hub && link.at_hub);
        let own: alloc::vec::Vec<(SocketId, usize)> =
            own.map(|(socket, link)| (*socket, link.device)).collect();
        for (socket, device) in own {
            let grant = self.devices[device].scope().grant(device, None);
            realm.handle(now, io::Fact::SocketGranted { socket, grant });
            realm.handle(now, io::Fact::SocketAdopted { socket });
        }
        if let Some(server) = self.servers.get_mut(&hub) {
            server.realm = realm;
            server.sleep = Sleep::Waking;
        }
        self.note("the host of the hub wakes");
        self.start_realm(hub)
    }

    /// Once it serves, it handles what woke it.
    pub(super) fn is_awake(&mut self, hub: ProcessId) {
        let Some(server) = self.servers.get_mut(&hub) else { return };
        if server.sleep != Sleep::Waking || server.realm.broker().is_none() {
            return;
        }
        server.sleep = Sleep::Awake;
        for action in core::mem::take(&mut server.held) {
            self.schedule.after(0, action);
        }
    }
}
