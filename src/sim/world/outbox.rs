//! Pages write their sends down, take up what a page before them left, and send what dead ones
//! left: as a guest, a client of the same identity that does nothing else.

use alloc::vec::Vec;

use crate::client::io::{Event, Keepsake};
use crate::id::{ClientId, RequestId};
use crate::sim::check::Violation;
use crate::sim::dice::Ratio;
use crate::sim::fact::{Fact, ProcessId};
use crate::sim::fault::Fault;
use crate::sim::outbox::Write;
use crate::sim::schedule::{MILLI, SECOND};
use crate::sim::world::{Action, World};

impl World {
    /// A client tells what is to be written down, or is over.
    pub(super) fn client_keeps(
        &mut self,
        process: ProcessId,
        event: &Event,
    ) -> Result<(), Violation> {
        let Some(page) = self.processes.get_mut(&process) else { return Ok(()) };
        let write = match event {
            Event::Keep { request, send } => {
                let known = page.ledger.own.get(request).map(|(place, _)| *place);
                let place = known.unwrap_or_else(|| self.shelf.next_place(page.client_id));
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
        let Some(page) = self.processes.get_mut(&process) else { return Ok(()) };
        page.ledger.under_way.push_back(write);
        let slow = self.outbox_dice.chance(Ratio::one_in(20));
        let after = self.outbox_dice.between(MILLI, if slow { SECOND } else { 20 * MILLI });
        self.schedule.after(after, Action::WriteDown { process });
        Ok(())
    }

    /// The first write that a page has under way is performed.
    pub(super) fn write_down(&mut self, process: ProcessId) -> Result<(), Violation> {
        let Some(page) = self.processes.get_mut(&process) else { return Ok(()) };
        let Some(write) = page.ledger.under_way.pop_front() else { return Ok(()) };
        self.perform_write(process, &write)?;
        self.schedule.after(0, Action::WrittenDown { process, write });
        Ok(())
    }

    fn perform_write(&mut self, process: ProcessId, write: &Write) -> Result<(), Violation> {
        self.shelf.perform(write);
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
        let now = self.client_now(process);
        let Some(page) = self.processes.get_mut(&process) else { return Ok(()) };
        if page.parked {
            page.ledger.unheard.push(write);
            return Ok(());
        }
        let over = write.send.is_none();
        if !over {
            page.client.kept(now, write.request);
        } else if page.guest_of.is_some() && page.ledger.own.is_empty() && !page.closed {
            page.client.close(now, false);
        }
        self.drain_client(process, true)
    }

    /// A page is gone: of what it had under way the first writes are performed, or all, or none.
    pub(super) fn leave_writes(
        &mut self,
        process: ProcessId,
        mut under_way: Vec<Write>,
    ) -> Result<(), Violation> {
        let all = under_way.len() as u64;
        let performed = usize::try_from(self.outbox_dice.between(0, all)).unwrap_or(0);
        if performed < under_way.len() {
            self.faults.add(Fault::OutboxCut);
        }
        under_way.truncate(performed);
        under_way.iter().try_for_each(|write| self.perform_write(process, write))
    }

    /// A client has no page any more, or none that runs. Another page looks after what it left.
    pub(super) fn leave_to_others(&mut self, client: ClientId) {
        let after = self.outbox_dice.between(2 * SECOND, 4 * SECOND);
        self.schedule.after(after, Action::Sweep { client });
    }

    /// Some page begins to send what a client left, if it left anything and is gone.
    pub(super) fn sweep(&mut self, client: ClientId) -> Result<(), Violation> {
        let lives = self.processes.values().any(|page| page.client_id == client && !page.parked);
        if lives || self.shelf.of(client).is_empty() {
            return Ok(());
        }
        let Some(sweeper) = self.some_sweeper() else {
            self.leave_to_others(client);
            return Ok(());
        };
        let guest = self.begin_guest(sweeper, client)?;
        self.swept += self.shelf.of(client).len() as u64;
        self.take_up_sends(guest)?;
        self.drain_client(guest, true)
    }

    fn some_sweeper(&mut self) -> Option<ProcessId> {
        let frozen = |id: &ProcessId| self.realms.get(id).is_none_or(|realm| realm.frozen);
        let pages = self.processes.iter().filter(|(id, page)| {
            !frozen(id) && !page.parked && !page.closed && page.guest_of.is_none()
        });
        let pages: Vec<ProcessId> = pages.map(|(id, _)| *id).collect();
        (!pages.is_empty()).then(|| *self.outbox_dice.choose(&pages))
    }

    /// The guests in a page go with it, or when it goes into the cache.
    pub(super) fn end_guests_of(&mut self, sweeper: ProcessId) -> Result<(), Violation> {
        let guests = self.guests_of(sweeper);
        guests.into_iter().try_for_each(|guest| self.end_process(guest))
    }

    pub(super) fn guests_of(&self, sweeper: ProcessId) -> Vec<ProcessId> {
        let guests = self.processes.iter().filter(|(_, page)| page.guest_of == Some(sweeper));
        guests.map(|(id, _)| *id).collect()
    }

    /// The guest of a client that lies in the cache, or is about to begin.
    pub(super) fn guest_for(&self, client: ClientId) -> Option<ProcessId> {
        let mut pages = self.processes.iter();
        pages.find_map(|(id, page)| {
            (page.client_id == client && page.guest_of.is_some()).then_some(*id)
        })
    }

    /// A page begins, or comes back, with what is written down for its client.
    pub(super) fn take_up_sends(&mut self, process: ProcessId) -> Result<(), Violation> {
        let now = self.client_now(process);
        let Some(page) = self.processes.get_mut(&process) else { return Ok(()) };
        let mut refused = Vec::new();
        for (place, send) in self.shelf.of(page.client_id) {
            match page.client.take_up(now, &send, false) {
                Ok(request) => {
                    page.ledger.own.insert(request, (place, send));
                }
                Err(_) => refused.push(Write { request: RequestId(0), place, send: None }),
            }
        }
        refused.iter().try_for_each(|write| {
            self.observe(&Fact::GivenUp { place: write.place })?;
            self.perform_write(process, write)
        })
    }

    /// A page comes back out of the cache: another may have taken it for a dead one.
    pub(super) fn look_after_sends(&mut self, process: ProcessId) -> Result<(), Violation> {
        // It reads what is there behind its own writes.
        while self.processes.get(&process).is_some_and(|page| !page.ledger.under_way.is_empty()) {
            self.write_down(process)?;
        }
        let now = self.client_now(process);
        let Some(page) = self.processes.get_mut(&process) else { return Ok(()) };
        let whole = page.ledger.is_whole(&self.shelf);
        if !whole {
            page.ledger.own.clear();
            page.client.give_up_sends(now);
            self.faults.add(Fault::OutboxTaken);
            self.take_up_sends(process)?;
        }
        let Some(page) = self.processes.get_mut(&process) else { return Ok(()) };
        for write in core::mem::take(&mut page.ledger.unheard) {
            self.schedule.after(0, Action::WrittenDown { process, write });
        }
        Ok(())
    }

    fn begin_guest(
        &mut self,
        sweeper: ProcessId,
        client: ClientId,
    ) -> Result<ProcessId, Violation> {
        let origin = self.realms.get(&sweeper).map_or(0, |realm| realm.origin);
        let guest = self.add_process(usize::MAX, Some(Keepsake::of(client)), origin)?;
        if let Some(page) = self.processes.get_mut(&guest) {
            page.guest_of = Some(sweeper);
        }
        Ok(guest)
    }
}
