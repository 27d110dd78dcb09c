//! Faults that come at a time, and their end.

use alloc::vec::Vec;

use crate::sim::check::Violation;
use crate::sim::dice::Ratio;
use crate::sim::fact::{Fact, ProcessId};
use crate::sim::fault::Fault;
use crate::sim::hub::hub_plan::{APART_MAX, NIGHT_FACTOR};
use crate::sim::hub::{Action, HubWorld, scope};
use crate::sim::run::Watch;
use crate::sim::schedule::{MILLI, Micros, SECOND};
use crate::sim::world::replayed;
use crate::web::sockets::SocketId;

/// After so long every page has noticed that its way is lost, or has it again.
const NOTICED_AFTER: Micros = 25 * SECOND;

impl HubWorld {
    /// One fault occurs, and the next is planned.
    pub(super) fn misfortune(&mut self) -> Result<(), Violation> {
        if self.calm {
            return Ok(());
        }
        let plan = &self.hub_plan.plan;
        let after = self.fault_dice.between(50 * MILLI, plan.fault_every_max);
        let after = if self.is_night() { after * NIGHT_FACTOR } else { after };
        self.schedule.after(after, Action::Misfortune);
        if self.is_lull() {
            return Ok(());
        }
        let mut weights: Vec<u32> = plan.timed.iter().map(|(_, weight)| *weight).collect();
        weights.push(plan.uneventful);
        let drawn = plan.timed.get(self.fault_dice.weighted(&weights));
        let Some((fault, _)) = drawn.copied().filter(|(fault, _)| !self.faults.is_off(*fault))
        else {
            return Ok(());
        };
        match fault {
            Fault::DeviceLinkCut | Fault::DeviceLinkStalled | Fault::DeviceLinkHalfOpen => {
                self.hit_link(fault)
            }
            Fault::DoorDown => {
                self.close_door();
                Ok(())
            }
            Fault::HubDied | Fault::NodeDiedMidway | Fault::NodeFrozen | Fault::HubTwice => {
                self.hit_hub(fault)
            }
            Fault::DeviceApart | Fault::DeviceDied | Fault::GrantRevoked | Fault::GrantChanged => {
                self.hit_device(fault)
            }
            Fault::DiskFull => {
                self.faults.add(fault);
                let time = self.fault_dice.between(50 * MILLI, 3 * SECOND);
                self.disk.fill(self.schedule.now() + time);
                Ok(())
            }
            Fault::TailLost => self.lose_tail(),
            _ => self.hit_page(fault),
        }
    }

    /// A page that runs, drawn at random.
    fn some_page(&mut self) -> Option<ProcessId> {
        let runs = self
            .pages
            .iter()
            .filter(|(_, page)| !page.frozen && !page.closed && page.guest_of.is_none());
        let pages: Vec<ProcessId> = runs.map(|(id, _)| *id).collect();
        (!pages.is_empty()).then(|| *self.fault_dice.choose(&pages))
    }

    fn hit_page(&mut self, fault: Fault) -> Result<(), Violation> {
        let Some(page) = self.some_page() else { return Ok(()) };
        let device = self.pages[&page].device;
        let holder = self.devices[device].lock.holder();
        match fault {
            Fault::ClientDied | Fault::ClientReloaded => {
                self.faults.add(fault);
                self.replace(page, fault == Fault::ClientReloaded)
            }
            Fault::RelayDied => {
                let relay = holder.filter(|relay| self.pages.contains_key(relay));
                let Some(relay) = relay else { return Ok(()) };
                self.faults.add(fault);
                let kept = self.fault_dice.chance(Ratio::one_in(2));
                self.replace(relay, kept)
            }
            Fault::LockStolen => {
                if holder == Some(page) {
                    return Ok(());
                }
                self.faults.add(fault);
                if let Some(thief) = self.pages.get_mut(&page) {
                    thief.realm.steal_lock();
                }
                self.drain_page(page)
            }
            _ => {
                self.faults.add(fault);
                let time = self.fault_dice.between(100 * MILLI, 6 * SECOND);
                self.freeze_page(page, time)
            }
        }
    }

    fn freeze_page(&mut self, page: ProcessId, time: Micros) -> Result<(), Violation> {
        let guests = self.guests_of(page);
        for process in guests.into_iter().chain([page]) {
            let Some(frozen) = self.pages.get_mut(&process) else { continue };
            frozen.frozen = true;
            self.schedule.after(time, Action::Thaw { process });
            self.observe(&Fact::Froze { process })?;
        }
        // What others of the device say waits in it, if it relays.
        let Some(device) = self.device_of(page) else { return Ok(()) };
        let until = self.schedule.now() + time + NOTICED_AFTER;
        self.tell_apart(device, until)
    }

    fn hit_link(&mut self, fault: Fault) -> Result<(), Violation> {
        let links: Vec<SocketId> = self.links.keys().copied().collect();
        if links.is_empty() {
            return Ok(());
        }
        let socket = *self.fault_dice.choose(&links);
        self.faults.add(fault);
        let device = self.links[&socket].device;
        match fault {
            Fault::DeviceLinkCut => {
                let ends = [self.soon(200 * MILLI), self.soon(200 * MILLI)];
                self.cut_link(socket, ends);
                self.hub_gives_up(socket, ends[0]);
                self.page_gives_up(socket, ends[1]);
                Ok(())
            }
            Fault::DeviceLinkStalled => {
                let time = self.soon(20 * SECOND);
                let ways = self.fault_dice.index(3);
                let until = self.schedule.now() + time;
                if let Some(link) = self.links.get_mut(&socket) {
                    if ways != 0 {
                        link.up.busy_until = link.up.busy_until.max(until);
                    }
                    if ways != 1 {
                        link.down.busy_until = link.down.busy_until.max(until);
                    }
                }
                self.tell_apart(device, until + NOTICED_AFTER)
            }
            _ => {
                let ends = [self.soon(200 * MILLI), self.soon(200 * MILLI)];
                self.cut_link(socket, ends);
                let late = self.fault_dice.between(SECOND, 60 * SECOND);
                match self.fault_dice.index(3) {
                    0 => self.hub_gives_up(socket, ends[0]),
                    1 => self.page_gives_up(socket, ends[1]),
                    _ => self.hub_gives_up(socket, late),
                }
                let until = self.schedule.now() + late + NOTICED_AFTER;
                self.tell_apart(device, until)
            }
        }
    }

    fn soon(&mut self, most: Micros) -> Micros {
        self.fault_dice.between(0, most)
    }

    /// Nothing arrives later than this, up and down.
    fn cut_link(&mut self, socket: SocketId, after: [Micros; 2]) {
        let now = self.schedule.now();
        if let Some(link) = self.links.get_mut(&socket) {
            link.up.cut(now + after[0]);
            link.down.cut(now + after[1]);
        }
    }

    fn close_door(&mut self) {
        self.faults.add(Fault::DoorDown);
        let door = self.fault_dice.index(self.doors_down.len());
        let time = self.fault_dice.between(SECOND, 20 * SECOND);
        self.doors_down[door] = self.schedule.now() + time;
        // What went through it is cut off, as by a proxy that is started again.
        let through = self.links.iter().filter(|(_, link)| link.door == door);
        for socket in through.map(|(socket, _)| *socket).collect::<Vec<_>>() {
            let ends = [self.soon(50 * MILLI), self.soon(50 * MILLI)];
            self.cut_link(socket, ends);
            self.hub_gives_up(socket, ends[0]);
            self.page_gives_up(socket, ends[1]);
        }
    }

    fn hit_device(&mut self, fault: Fault) -> Result<(), Violation> {
        let device = self.fault_dice.index(self.devices.len());
        match fault {
            Fault::DeviceApart => self.part(device),
            Fault::DeviceDied => {
                self.faults.add(fault);
                for page in self.pages_of_device(device) {
                    let kept = self.fault_dice.chance(Ratio::one_in(2));
                    self.replace(page, kept)?;
                }
                Ok(())
            }
            _ => self.change_grant(device, fault),
        }
    }

    /// A device reaches nothing for a while, perhaps for hours.
    fn part(&mut self, device: usize) -> Result<(), Violation> {
        if self.is_apart(device) {
            return Ok(());
        }
        self.faults.add(Fault::DeviceApart);
        let now = self.schedule.now();
        let night = self.hub_plan.nights && self.night_until == 0;
        let time = if night {
            self.fault_dice.between(APART_MAX / 3, APART_MAX)
        } else {
            self.fault_dice.between(100 * MILLI, 40 * SECOND)
        };
        let until = now + time;
        if night {
            self.night_until = until;
        }
        self.devices[device].apart_until = until;
        self.away_ms = self.away_ms.max(time / MILLI);
        let own = self.links.iter().filter(|(_, link)| link.device == device);
        for socket in own.map(|(socket, _)| *socket).collect::<Vec<_>>() {
            self.cut_link(socket, [0, 0]);
            let hub_after = self.fault_dice.between(0, 60 * SECOND);
            self.hub_gives_up(socket, hub_after);
            if self.fault_dice.chance(Ratio::one_in(2)) {
                let page_after = self.soon(SECOND);
                self.page_gives_up(socket, page_after);
            }
        }
        self.tell_apart(device, until + NOTICED_AFTER)
    }

    /// What the user of a device may do ends, or is another from now on.
    fn change_grant(&mut self, device: usize, fault: Fault) -> Result<(), Violation> {
        if self.servers.values().any(|server| server.frozen) {
            // It would hear of it late, and until then it goes by what was.
            return Ok(());
        }
        self.faults.add(fault);
        if fault == Fault::GrantRevoked {
            let now = self.schedule.now();
            let time = self.fault_dice.between(10 * MILLI, 10 * SECOND);
            self.devices[device].refused_until = now + time;
            self.grant_again(device, Some(self.walls.read(now)));
            self.tell_scope_of(device)?;
            self.schedule.after(time, Action::LetIn { device });
            return self.tell_apart(device, now + time + NOTICED_AFTER);
        }
        let others = scope::others(self.devices[device].scope);
        self.devices[device].scope = *self.fault_dice.choose(&others);
        self.grant_again(device, None);
        self.tell_scope_of(device)
    }

    fn hit_hub(&mut self, fault: Fault) -> Result<(), Violation> {
        let hubs: Vec<ProcessId> = self.servers.keys().copied().collect();
        if hubs.is_empty() {
            return Ok(());
        }
        let hub = *self.fault_dice.choose(&hubs);
        match fault {
            Fault::NodeDiedMidway => {
                let effects = u32::try_from(self.fault_dice.between(0, 30)).unwrap_or(0);
                self.doomed = Some((hub, effects));
                Ok(())
            }
            Fault::NodeFrozen => {
                let Some(server) = self.servers.get_mut(&hub).filter(|server| !server.frozen)
                else {
                    return Ok(());
                };
                server.frozen = true;
                self.faults.add(fault);
                let time = self.fault_dice.between(SECOND, 12 * SECOND);
                self.schedule.after(time, Action::Thaw { process: hub });
                for device in 0..self.devices.len() {
                    self.tell_apart(device, self.schedule.now() + time + NOTICED_AFTER)?;
                }
                Ok(())
            }
            // A host that sleeps runs one process at a time.
            Fault::HubTwice if hubs.len() > 1 || self.hub_plan.naps.is_some() => Ok(()),
            Fault::HubTwice => {
                self.faults.add(fault);
                self.start_hub()
            }
            _ => {
                self.faults.add(fault);
                self.kill_hub(hub)
            }
        }
    }

    /// Power is lost at the hub: its processes die, and what was not flushed may be gone.
    fn lose_tail(&mut self) -> Result<(), Violation> {
        for hub in self.servers.keys().copied().collect::<Vec<_>>() {
            self.kill_hub(hub)?;
        }
        if !self.disk.lose_tail(&mut self.faults) || self.watch == Watch::Outputs {
            return Ok(());
        }
        let after = replayed(&self.disk)?;
        let before = core::mem::replace(&mut self.model, after.clone());
        self.observe(&Fact::TailLost { before: &before, after: &after })
    }

    /// No fault occurs from here on, and what is under way ends.
    pub(super) fn heal(&mut self) -> Result<(), Violation> {
        self.calm = true;
        self.doomed = None;
        self.night_until = self.schedule.now();
        self.network.heal();
        self.disk.heal();
        self.doors_down.fill(0);
        for device in 0..self.devices.len() {
            self.devices[device].apart_until = 0;
            self.devices[device].refused_until = 0;
            self.grant_again(device, None);
            self.tell_scope_of(device)?;
        }
        let all: Vec<ProcessId> = self.pages.keys().chain(self.servers.keys()).copied().collect();
        for process in all {
            self.thaw(process)?;
        }
        while self.servers.len() > 1 {
            let oldest = self.servers.keys().next().copied();
            oldest.map_or(Ok(()), |hub| self.end_hub(hub))?;
        }
        self.observe(&Fact::Healed)
    }
}
