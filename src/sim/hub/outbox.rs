//! Pages write their sends down, each device for itself, and send what dead ones of their device
//! left: as a guest, a client of the same identity that does nothing else.

use alloc::vec::Vec;

use crate::client::io::{Event, Keepsake};
use crate::id::{ClientId, RequestId};
use crate::sim::check::Violation;
use crate::sim::dice::Ratio;
use crate::sim::fact::{Fact, ProcessId};
use crate::sim::fault::Fault;
use crate::sim::hub::{Action, HubWorld};
use crate::sim::outbox::Write;
use crate::sim::schedule::{MILLI, SECOND};

impl HubWorld {
    /// A client tells what is to be written down, or is over.
    pub(super) fn client_keeps(
        &mut self,
        process: ProcessId,
        event: &Event,
    ) -> Result<(), Violation> {
        let Some(page) = self.pages.get_mut(&process) else { return Ok(()) };
        let shelf = &mut self.devices[page.device].shelf;
        let write = match event {
            Event::Keep { request, send } => {
                let known = page.ledger.own.get(request).map(|(place, _)| *place);
                let place = known.unwrap_or_else(|| shelf.next_place(page.client_id));
                page.ledger.own.insert(*request, (place, send.clone()));
                Write { request: *request, place, send: Some(send.clone()) }
            }
            Event::LetGo { request, failed, .. } => {
                let Some((place, _)) = page.ledger.own.remove(request) else { return Ok(()) };
                if failed.is_some() {
                    self.observe(&Fact::GivenUp { place })?;
                }
                Write { request: *request, place, send: None }
            }
            _ => return Ok(()),
        };
        let Some(page) = self.pages.get_mut(&process) else { return Ok(()) };
        page.ledger.under_way.push_back(write);
        let slow = self.outbox_dice.chance(Ratio::one_in(20));
        let after = self.outbox_dice.between(MILLI, if slow { SECOND } else { 20 * MILLI });
        self.schedule.after(after, Action::WriteDown { page: process });
        Ok(())
    }

    /// The first write that a page has under way is performed.
    pub(super) fn write_down(&mut self, page: ProcessId) -> Result<(), Violation> {
        let Some(writer) = self.pages.get_mut(&page) else { return Ok(()) };
        let device = writer.device;
        let Some(write) = writer.ledger.under_way.pop_front() else { return Ok(()) };
        self.perform_write(device, page, &write)?;
        self.schedule.after(0, Action::WrittenDown { page, write });
        Ok(())
    }

    fn perform_write(
        &mut self,
        device: usize,
        process: ProcessId,
        write: &Write,
    ) -> Result<(), Violation> {
        self.devices[device].shelf.perform(write);
        let (place, request) = (write.place, write.request);
        match write.send {
            Some(_) => self.observe(&Fact::WrittenDown { process, request, place }),
            None => self.observe(&Fact::Erased { place }),
        }
    }

    /// The page hears that a write is performed.
    pub(super) fn written_down(
        &mut self,
        process: ProcessId,
        write: Write,
    ) -> Result<(), Violation> {
        let now = self.page_now(process);
        let Some(page) = self.pages.get_mut(&process) else { return Ok(()) };
        if write.send.is_some() {
            page.realm.client.kept(now, write.request);
        } else if page.guest_of.is_some() && page.ledger.own.is_empty() && !page.closed {
            page.realm.close(now, false);
        }
        self.drain_page(process)
    }

    /// A page is gone: of what it had under way the first writes are performed, or all, or none.
    pub(super) fn leave_writes(
        &mut self,
        device: usize,
        process: ProcessId,
        mut under_way: Vec<Write>,
    ) -> Result<(), Violation> {
        let all = under_way.len() as u64;
        let performed = usize::try_from(self.outbox_dice.between(0, all)).unwrap_or(0);
        if performed < under_way.len() {
            self.faults.add(Fault::OutboxCut);
        }
        under_way.truncate(performed);
        under_way.iter().try_for_each(|write| self.perform_write(device, process, write))
    }

    /// A client has no page any more. Another page of its device looks after what it left.
    pub(super) fn leave_to_others(&mut self, client: ClientId, device: usize) {
        let after = self.outbox_dice.between(2 * SECOND, 4 * SECOND);
        self.schedule.after(after, Action::Sweep { client, device });
    }

    /// Some page begins to send what a client left, if it left anything and is gone.
    pub(super) fn sweep(&mut self, client: ClientId, device: usize) -> Result<(), Violation> {
        let left = self.devices[device].shelf.of(client).len();
        if self.page_of(client).is_some() || left == 0 {
            return Ok(());
        }
        let sweepers = self.pages.iter().filter(|(_, page)| {
            page.device == device && !page.frozen && !page.closed && page.guest_of.is_none()
        });
        let sweepers: Vec<(ProcessId, usize)> =
            sweepers.map(|(id, page)| (*id, page.tab)).collect();
        if sweepers.is_empty() {
            self.leave_to_others(client, device);
            return Ok(());
        }
        let (sweeper, tab) = *self.outbox_dice.choose(&sweepers);
        let guest = self.add_page(device, tab, Some(Keepsake::of(client)), Some(sweeper))?;
        self.swept += left as u64;
        self.take_up_sends(guest)?;
        self.start_page(guest)
    }

    pub(super) fn guests_of(&self, sweeper: ProcessId) -> Vec<ProcessId> {
        let guests = self.pages.iter().filter(|(_, page)| page.guest_of == Some(sweeper));
        guests.map(|(id, _)| *id).collect()
    }

    /// A page begins with what is written down for its client.
    pub(super) fn take_up_sends(&mut self, process: ProcessId) -> Result<(), Violation> {
        let now = self.page_now(process);
        let Some(page) = self.pages.get_mut(&process) else { return Ok(()) };
        let device = page.device;
        let mut refused = Vec::new();
        for (place, send) in self.devices[device].shelf.of(page.client_id) {
            match page.realm.client.take_up(now, &send, false) {
                Ok(request) => {
                    page.ledger.own.insert(request, (place, send));
                }
                Err(_) => refused.push(Write { request: RequestId(0), place, send: None }),
            }
        }
        refused.iter().try_for_each(|write| {
            self.observe(&Fact::GivenUp { place: write.place })?;
            self.perform_write(device, process, write)
        })
    }
}
