//! Devices: what the tabs of one browser share. Their channels, the lock of the one that relays,
//! what they wrote down, and what their user may do at the hub.

use alloc::vec::Vec;

use crate::id::ClientId;
use crate::sim::check::Violation;
use crate::sim::dice::Dice;
use crate::sim::fact::{Fact, ProcessId};
use crate::sim::hub::scope::{NOTHING, SCOPES, Scope};
use crate::sim::hub::{Action, HubWorld};
use crate::sim::lock::Lock;
use crate::sim::network::{Kind, Party, Way};
use crate::sim::outbox::Shelf;
use crate::sim::schedule::{MILLI, Micros};
use crate::web::io;

#[derive(Debug)]
pub(super) struct Device {
    pub lock: Lock,
    pub shelf: Shelf,
    /// No door can be reached until then.
    pub apart_until: Micros,
    /// Nobody of it is let in until then.
    pub refused_until: Micros,
    /// Which of `SCOPES` it has.
    pub scope: usize,
}

impl Device {
    pub fn new(dice: &mut Dice) -> Self {
        Self {
            lock: Lock::default(),
            shelf: Shelf::default(),
            apart_until: 0,
            refused_until: 0,
            scope: dice.weighted(&[4, 1, 1, 1]),
        }
    }

    pub fn scope(&self) -> &'static Scope {
        &SCOPES[self.scope]
    }
}

impl HubWorld {
    pub(super) fn device_of(&self, page: ProcessId) -> Option<usize> {
        self.pages.get(&page).map(|page| page.device)
    }

    pub(super) fn is_apart(&self, device: usize) -> bool {
        self.schedule.now() < self.devices[device].apart_until
    }

    pub(super) fn pages_of_device(&self, device: usize) -> Vec<ProcessId> {
        let own = self.pages.iter().filter(|(_, page)| page.device == device);
        own.map(|(id, _)| *id).collect()
    }

    /// The living page of a client: its own, or a guest.
    pub(super) fn page_of(&self, client: ClientId) -> Option<ProcessId> {
        let mut pages = self.pages.iter();
        pages.find_map(|(id, page)| (page.client_id == client).then_some(*id))
    }

    /// All who may notice learn that a device may be out of reach until then.
    pub(super) fn tell_apart(&mut self, device: usize, until: Micros) -> Result<(), Violation> {
        for process in self.pages_of_device(device) {
            self.observe(&Fact::Partitioned { process, until })?;
        }
        Ok(())
    }

    /// What a device's user may do is another from now on.
    pub(super) fn tell_scope_of(&mut self, device: usize) -> Result<(), Violation> {
        self.pages_of_device(device).into_iter().try_for_each(|page| self.tell_scope(page))
    }

    /// Stands in line for the lock of the device, or takes it.
    pub(super) fn request_lock(&mut self, page: ProcessId, steal: bool) {
        let Some(device) = self.device_of(page) else { return };
        if !steal {
            let granted = self.devices[device].lock.request(page);
            return self.grant_lock(granted);
        }
        let robbed = self.devices[device].lock.steal(page);
        if let Some(robbed) = robbed.filter(|robbed| *robbed != page) {
            // A realm that is busy learns late, and relays as if it still had the lock.
            let late_max = *self.dice.choose(&[200 * MILLI, 200 * MILLI, 3000 * MILLI]);
            let after = self.dice.between(10, late_max);
            self.schedule.after(after, Action::AtPage { page: robbed, fact: io::Fact::LockLost });
        }
        self.schedule.after(10, Action::LockGranted { page });
    }

    pub(super) fn release_lock(&mut self, device: usize, page: ProcessId) {
        let granted = self.devices[device].lock.release(page);
        self.grant_lock(granted);
    }

    fn grant_lock(&mut self, granted: Option<ProcessId>) {
        if let Some(page) = granted {
            let after = self.dice.between(10, 5 * MILLI);
            self.schedule.after(after, Action::LockGranted { page });
        }
    }

    pub(super) fn lock_granted(&mut self, page: ProcessId) -> Result<(), Violation> {
        let Some(device) = self.device_of(page) else { return Ok(()) };
        if self.devices[device].lock.holder() != Some(page) {
            return Ok(());
        }
        self.page_fact(page, io::Fact::LockGranted)
    }

    /// Posts on a channel between two pages of a device.
    pub(super) fn post(&mut self, from: ProcessId, to: ProcessId, kind: Kind, what: Mail<'_>) {
        let way = Way { from: Party::Client(from), to: Party::Client(to), kind };
        let now = self.schedule.now();
        let arrivals = self.network.arrivals(now, way, (from, to), &mut self.faults);
        for at in arrivals.into_iter().flatten() {
            let action = match what {
                Mail::Relay(of, bytes) => Action::AtRelay { page: to, of, bytes: bytes.to_vec() },
                Mail::Client(bytes) => {
                    Action::AtPage { page: to, fact: io::Fact::AtClient(bytes.to_vec()) }
                }
                Mail::All(bytes) => {
                    Action::AtPage { page: to, fact: io::Fact::AtAll(bytes.to_vec()) }
                }
            };
            self.schedule.at(at, action);
        }
    }

    /// What a device's user may do has changed, or a page of it begins.
    pub(super) fn tell_scope(&mut self, process: ProcessId) -> Result<(), Violation> {
        let Some(device) = self.device_of(process) else { return Ok(()) };
        let refused = self.schedule.now() < self.devices[device].refused_until;
        let scope = if refused { &NOTHING } else { self.devices[device].scope() };
        self.observe(&Fact::Granted { process, device, scope })
    }
}

/// What goes over a channel of a device.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mail<'a> {
    /// On the channel of whoever relays, or on that which it shares with a client.
    Relay(Option<ClientId>, &'a [u8]),
    Client(&'a [u8]),
    All(&'a [u8]),
}
