//! `stale-ack-refused`: a settlement is confirmed only if it ended the live lease, and refused as
//! stale only if it did not.
//! `act-was-asked`: a message leaves its queue by a holder's act only if that holder asked for it,
//! for that very message.
//! `lease-lasts`: a lease ends early only if its holder is gone, asks for it, or is detached for
//! being slow.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec::Vec;

use crate::client::io::Event;
use crate::error::Code;
use crate::id::{ClientId, LeaseNumber, RequestId};
use crate::log::{LeaseEnd, Record};
use crate::sim::check::{Checker, View, Violation, violated};
use crate::sim::fact::{Act, Ask, Fact, ProcessId, Tag};
use crate::sim::model::{End, Lease, Model};
use crate::sim::plan::PARK_MS_MIN;
use crate::sim::schedule::{MILLI, Micros, SECOND};

const STALE: &str = "stale-ack-refused";
const ASKED: &str = "act-was-asked";
const LASTS: &str = "lease-lasts";

/// A lease runs from its append; we see only when it was stored, which slow writes put off.
const STORE_SLACK: Micros = 10 * SECOND;

#[derive(Debug, Default)]
pub struct Leases {
    clients: BTreeMap<ProcessId, ClientId>,
    /// Processes that nothing bad has happened to.
    steady: BTreeSet<ProcessId>,
    delivered: BTreeMap<(ProcessId, LeaseNumber), Tag>,
    asked: BTreeMap<(ProcessId, RequestId), (LeaseNumber, Act)>,
    acts: BTreeMap<(ClientId, LeaseNumber), Vec<(Act, Tag)>>,
    /// Acknowledged messages, by confirmation.
    done: BTreeSet<Tag>,
    /// Leases of which a rollback took something.
    shaken: BTreeSet<LeaseNumber>,
    /// Leases that a process was told to be dead.
    lost: BTreeSet<(ProcessId, LeaseNumber)>,
    /// Processes that are leaving for the cache, or there: they give up all leases.
    parked: BTreeSet<ProcessId>,
    /// Since when processes have no link.
    unlinked_at: BTreeMap<ProcessId, Micros>,
    leased_at: BTreeMap<LeaseNumber, Micros>,
    /// Or extended.
    begun_at: BTreeMap<LeaseNumber, Micros>,
    redelivered: usize,
    stale: usize,
}

impl Leases {
    /// How many deliveries were second or later attempts.
    #[must_use]
    pub const fn redelivered(&self) -> usize {
        self.redelivered
    }

    /// How many settlements were refused as stale.
    #[must_use]
    pub const fn stale(&self) -> usize {
        self.stale
    }

    fn delivered(
        &mut self,
        view: View<'_>,
        process: ProcessId,
        event: &Event,
    ) -> Result<(), Violation> {
        let Event::Delivery { lease, number, attempt, body, lane, .. } = event else {
            return Ok(());
        };
        let Some(tag) = Tag::of_message(body, *lane, *number) else {
            return violated(ASKED, format!("lease {} brings a changed body", lease.0));
        };
        self.redelivered += usize::from(*attempt > 1);
        let again = self.delivered.insert((process, *lease), tag).is_some();
        let forgotten = self.shaken.contains(lease) || self.lost.contains(&(process, *lease));
        if again && !forgotten {
            let what = format!("process {} gets lease {} twice", process.0, lease.0);
            return violated("one-live-lease", what);
        }
        let stored = view.model.leases.get(lease);
        let same = stored.is_some_and(|stored| {
            (stored.tag, stored.number, stored.attempt) == (tag, *number, *attempt)
                && Some(&stored.client) == self.clients.get(&process)
        });
        if same || self.shaken.contains(lease) {
            return Ok(());
        }
        violated(ASKED, format!("lease {} is not what process {} got", lease.0, process.0))
    }

    fn settle_asked(
        &mut self,
        process: ProcessId,
        request: RequestId,
        lease: LeaseNumber,
        act: Act,
    ) {
        self.asked.insert((process, request), (lease, act));
        let client = self.clients.get(&process).copied().unwrap_or_default();
        if let Some(tag) = self.delivered.get(&(process, lease)) {
            self.acts.entry((client, lease)).or_default().push((act, *tag));
        }
    }

    fn settled(
        &mut self,
        view: View<'_>,
        process: ProcessId,
        request: RequestId,
    ) -> Result<(), Violation> {
        let Some((lease, act)) = self.asked.remove(&(process, request)) else { return Ok(()) };
        let tag = self.delivered.get(&(process, lease)).copied();
        if self.shaken.contains(&lease) {
            return Ok(());
        }
        let stored = view.model.leases.get(&lease);
        let took_place = stored.is_some_and(|stored| match stored.end {
            Some((end, true)) if fits(act, end) => true,
            _ => act == Act::Extend && stored.extensions > 0,
        });
        if !took_place {
            let what = format!("process {}: {act:?} of lease {} is confirmed", process.0, lease.0);
            return violated(STALE, format!("{what}, the log says {:?}", stored.map(|l| l.end)));
        }
        match tag.filter(|_| act == Act::Ack) {
            Some(tag) if !self.done.insert(tag) => {
                violated(STALE, format!("{tag} is acknowledged twice"))
            }
            _ => Ok(()),
        }
    }

    fn refused(
        &mut self,
        view: View<'_>,
        process: ProcessId,
        request: RequestId,
        code: Code,
    ) -> Result<(), Violation> {
        let Some((lease, act)) = self.asked.remove(&(process, request)) else { return Ok(()) };
        if code != Code::StaleLease {
            return Ok(());
        }
        self.stale += 1;
        // Once told of the end of a lease, a client has given it up, whatever became of it.
        let given_up = self.lost.contains(&(process, lease)) || self.parked.contains(&process);
        if given_up || self.shaken.contains(&lease) {
            return Ok(());
        }
        let end = view.model.leases.get(&lease).and_then(|stored| stored.end);
        match end {
            None => violated(STALE, format!("lease {} is alive and called stale", lease.0)),
            Some((end, true)) if fits(act, end) && act != Act::Extend => {
                violated(STALE, format!("{act:?} of lease {} took place, called stale", lease.0))
            }
            _ => Ok(()),
        }
    }

    fn stored(&mut self, view: View<'_>, record: &Record<'_>) -> Result<(), Violation> {
        let (lease, end, by_holder) = match record {
            Record::Leased { lease, .. } | Record::Extended { lease, .. } => {
                self.leased_at.entry(*lease).or_insert(view.now);
                self.begun_at.insert(*lease, view.now);
                return Ok(());
            }
            Record::Ended { lease, end, by_holder } => (*lease, end, *by_holder),
            _ => return Ok(()),
        };
        let Some(stored) = view.model.leases.get(&lease) else { return Ok(()) };
        let end = match end {
            LeaseEnd::Acked { .. } => End::Acked,
            LeaseEnd::Released => End::Released,
            LeaseEnd::Failed { .. } => End::Failed,
            LeaseEnd::DeadLettered { .. } => End::DeadLettered,
            LeaseEnd::Discarded { .. } => End::Discarded,
        };
        if by_holder {
            let acts = self.acts.get(&(stored.client, lease));
            let fitting = |(act, tag): &(Act, Tag)| fits(*act, end) && *tag == stored.tag;
            // A client gives back what comes for a consumer that its user has ended, and what comes
            // again after the client had given it up.
            let given_up = self.lost.iter().any(|(_, lost)| *lost == lease);
            let unseen = acts.is_none() || given_up || self.shaken.contains(&lease);
            let asked = acts.is_some_and(|acts| acts.iter().any(fitting));
            if asked || (end == End::Released && unseen) {
                return Ok(());
            }
            let what = format!("lease {} of {} ends as {end:?}, unasked", lease.0, stored.tag);
            return violated(ASKED, what);
        }
        if end == End::Acked {
            return violated(ASKED, format!("{} is acknowledged by nobody", stored.tag));
        }
        let ran = view.now - self.begun_at.get(&lease).copied().unwrap_or(0);
        // Who has no link for long may be given up.
        let is_here = |process: &ProcessId| {
            self.unlinked_at.get(process).is_none_or(|at| view.now < at + PARK_MS_MIN * MILLI / 3)
        };
        let mut steady = self.steady.iter().filter(|process| is_here(process));
        let holder = steady.find(|p| self.delivered.contains_key(&(**p, lease)));
        let lasts = ran + STORE_SLACK < stored.lease_ms * MILLI;
        if let Some(holder) = holder.filter(|_| lasts && !self.is_slow(view, stored)) {
            let what = format!("process {} loses lease {} early", holder.0, lease.0);
            return violated(LASTS, what);
        }
        Ok(())
    }

    /// Whether the consumer of this lease has held one for as long as makes it slow in a queue that
    /// detaches those.
    fn is_slow(&self, view: View<'_>, of: &Lease) -> bool {
        let queue = view.model.messages.get(&of.number).map(|message| message.queue);
        let options = queue.and_then(|queue| view.model.queues.get(&queue));
        let slow = options.and_then(|queue| queue.options.slow).filter(|slow| slow.detach);
        slow.is_some_and(|slow| {
            let own = |lease: &Lease| (lease.client, lease.consumer) == (of.client, of.consumer);
            view.model.leases.iter().any(|(number, lease)| {
                let held = self.leased_at.get(number).map_or(0, |at| view.now - at);
                let open = matches!(lease.end, None | Some((End::Released, false)));
                own(lease) && open && held >= slow.after_ms * MILLI
            })
        })
    }

    fn tail_lost(&mut self, before: &Model, after: &Model) {
        let changed = before.leases.iter().filter(|(number, lease)| {
            after
                .leases
                .get(number)
                .is_none_or(|kept| (kept.end, kept.extensions) != (lease.end, lease.extensions))
        });
        self.shaken.extend(changed.map(|(number, _)| *number));
        for tag in before.by_tag.keys() {
            // What was acknowledged comes back with its acknowledgement lost.
            self.done.remove(tag);
        }
    }
}

/// Whether an act asks for this end.
const fn fits(act: Act, end: End) -> bool {
    match act {
        Act::Ack => matches!(end, End::Acked),
        Act::Release => matches!(end, End::Released),
        Act::Retry => matches!(end, End::Failed | End::DeadLettered | End::Discarded),
        Act::Reject => matches!(end, End::DeadLettered | End::Discarded),
        Act::Extend => false,
    }
}

impl Checker for Leases {
    fn observe(&mut self, view: View<'_>, fact: &Fact<'_>) -> Result<(), Violation> {
        match fact {
            Fact::Began { process, client } => {
                self.clients.insert(*process, *client);
                self.steady.insert(*process);
            }
            Fact::Ended { process }
            | Fact::Partitioned { process, .. }
            | Fact::Froze { process }
            | Fact::Told { process, event: Event::Closed { .. } }
            | Fact::Asked { process, ask: Ask::Close } => {
                self.steady.remove(process);
            }
            Fact::Parked { process } => {
                self.steady.remove(process);
                self.parked.insert(*process);
            }
            Fact::Told { process, event: Event::Ready { .. } } => {
                self.parked.remove(process);
                self.unlinked_at.remove(process);
            }
            Fact::Told { process, event: Event::Lost } => {
                self.unlinked_at.insert(*process, view.now);
            }
            Fact::Told { process, event: event @ Event::Delivery { .. } } => {
                return self.delivered(view, *process, event);
            }
            Fact::Asked { process, ask: Ask::Settle { request, lease, act } } => {
                self.settle_asked(*process, *request, *lease, *act);
            }
            Fact::Asked { process, ask: Ask::Commit { request, lease, .. } } => {
                self.settle_asked(*process, *request, *lease, Act::Ack);
            }
            Fact::Told { process, event: Event::LeaseLost { lease } } => {
                self.lost.insert((*process, *lease));
            }
            Fact::Told {
                process,
                event: Event::Settled { request } | Event::Sent { request, .. },
            } => {
                return self.settled(view, *process, *request);
            }
            Fact::Told { process, event: Event::Failed { request, code, maybe_executed, .. } } => {
                if *maybe_executed && let Some((lease, _)) = self.asked.get(&(*process, *request)) {
                    // That it is over may be the doing of this one, as its user was told.
                    self.lost.insert((*process, *lease));
                }
                return self.refused(view, *process, *request, *code);
            }
            Fact::Stored { records, .. } => {
                for (_, record) in *records {
                    self.stored(view, record)?;
                }
            }
            Fact::TailLost { before, after } => self.tail_lost(before, after),
            _ => {}
        }
        Ok(())
    }
}
