//! The doors of a hub, and who is let in at them.

use crate::error::Code;
use crate::sim::check::Violation;
use crate::sim::fact::ProcessId;
use crate::sim::fault::Fault;
use crate::sim::hub::links::Link;
use crate::sim::hub::{Action, HubWorld, News};
use crate::sim::schedule::{MILLI, SECOND};
use crate::time::UnixMillis;
use crate::web::io;
use crate::web::sockets::SocketId;

impl HubWorld {
    /// The process behind a door: if there are two, each has doors of its own.
    fn behind(&self, door: usize) -> Option<ProcessId> {
        let count = self.servers.len();
        (count > 0).then(|| self.servers.keys().nth(door % count).copied())?
    }

    /// A socket that a page dials reaches a door, or does not.
    pub(super) fn knock(
        &mut self,
        page: ProcessId,
        number: u32,
        door: usize,
    ) -> Result<(), Violation> {
        let Some(dialer) = self.pages.get(&page).filter(|page| page.dialing.is_current(number))
        else {
            return Ok(());
        };
        let device = dialer.device;
        let now = self.schedule.now();
        let is_apart = self.is_apart(device);
        if is_apart && self.dice.index(2) == 0 {
            // Nothing answers, not even that nothing is there.
            return Ok(());
        }
        let back_after = self.dice.between(MILLI, 50 * MILLI);
        let closed = |code| Action::Socket { page, number, news: News::Closed(code) };
        let hub = self.behind(door).filter(|_| !is_apart && self.doors_down[door] <= now);
        let Some(hub) = hub else {
            self.schedule.after(back_after, closed(None));
            return Ok(());
        };
        if now < self.devices[device].refused_until {
            self.schedule.after(back_after, closed(Some(Code::NotAuthorized)));
            return Ok(());
        }
        self.let_in(page, number, door, hub, device);
        self.schedule.after(back_after, Action::Socket { page, number, news: News::Opened });
        Ok(())
    }

    fn let_in(&mut self, page: ProcessId, number: u32, door: usize, hub: ProcessId, device: usize) {
        self.next_socket += 1;
        let socket = SocketId(self.next_socket);
        if self.pages.get(&page).is_some_and(|page| page.door.is_some_and(|last| last != door)) {
            self.faults.add(Fault::DoorChanged);
        }
        if let Some(page) = self.pages.get_mut(&page) {
            page.door = Some(door);
            page.socket = Some(socket);
        }
        let link = Link::new(page, number, device, hub, door);
        self.links.insert(socket, link);
        let ends = !self.calm && self.fault_dice.chance(self.hub_plan.short_grants);
        let expires_at = ends.then(|| {
            let wall = self.walls.read(self.schedule.now());
            UnixMillis(wall.0 + self.fault_dice.between(SECOND, 20 * SECOND) / MILLI)
        });
        let grant = self.devices[device].scope().grant(device, expires_at);
        self.schedule
            .after(0, Action::AtHub { hub, fact: io::Fact::SocketGranted { socket, grant } });
    }

    /// Tells the hubs what the sockets of a device may do from now on.
    pub(super) fn grant_again(&mut self, device: usize, expires_at: Option<UnixMillis>) {
        let own = self.links.iter().filter(|(_, link)| link.device == device && link.at_hub);
        let own: alloc::vec::Vec<_> = own.map(|(socket, link)| (*socket, link.hub)).collect();
        for (socket, hub) in own {
            let grant = self.devices[device].scope().grant(device, expires_at);
            let fact = io::Fact::SocketGranted { socket, grant };
            self.schedule.after(0, Action::AtHub { hub, fact });
        }
    }
}
