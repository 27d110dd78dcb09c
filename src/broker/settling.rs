//! After recovery a node settles: positive work starts at once, but nothing is concluded from
//! absence until everyone who may come back has come, is gone, or two seconds passed.

use crate::broker::Broker;
use crate::broker::io::Event;
use crate::broker::session::Leaving;
use crate::id::ClientId;
use crate::marks::{Mark, mark};
use crate::sorted::Set;
use crate::time::{Instant, Now};

#[derive(Debug)]
pub struct Settling {
    until: Instant,
    /// Present clients that have not resumed; `None` until the host has listed them.
    awaited: Option<Set<ClientId>>,
    /// Clients that have said everything again, or are gone.
    resumed: Set<ClientId>,
}

impl Settling {
    pub fn new(until: Instant) -> Self {
        Self { until, awaited: None, resumed: Set::new() }
    }

    pub const fn until(&self) -> Instant {
        self.until
    }

    fn is_over(&self, now: Now) -> bool {
        let all_here = self.awaited.as_ref().is_some_and(Set::is_empty);
        all_here || self.until <= now.mono
    }
}

impl Broker {
    /// The host lists who is there. A client that is not and has leases is dead.
    pub(super) fn on_present(&mut self, now: Now, clients: &[ClientId]) {
        let resumed = self.settling.as_ref().map(|settling| &settling.resumed);
        // The list may come when the settling is over: a node can stand still meanwhile.
        let missing = |client: &&ClientId| resumed.is_none_or(|all| !all.contains(client));
        let awaited: Set<ClientId> = clients.iter().filter(missing).copied().collect();
        let holders: Set<ClientId> = self.state.leases.values().map(|lease| lease.client).collect();
        for client in holders {
            if !awaited.contains(&client) && !self.sessions.contains_key(&client) {
                self.end_leases_of(now, client, Leaving::Died);
            }
        }
        // Watched before they say Hello: one that dies before must not be waited for.
        let watched = awaited.iter().map(|client| Event::Watch { client: *client });
        self.events.extend(watched);
        if let Some(settling) = &mut self.settling {
            settling.awaited = Some(awaited);
        }
    }

    /// The client has resumed or is gone: nobody waits for it any more.
    pub(super) fn present_resumed(&mut self, client: ClientId) {
        let Some(settling) = &mut self.settling else { return };
        settling.resumed.insert(client);
        if let Some(awaited) = &mut settling.awaited {
            awaited.remove(&client);
        }
    }

    /// Ends the settling once it is over, and draws the conclusions that waited for it.
    pub(super) fn settle_down(&mut self, now: Now) {
        if !self.settling.as_ref().is_some_and(|settling| settling.is_over(now)) {
            return;
        }
        let awaited = self.settling.take().and_then(|settling| settling.awaited);
        self.housekeeping.stir();
        let all_here = awaited.as_ref().is_some_and(Set::is_empty);
        mark(if all_here { Mark::SettledByAll } else { Mark::SettleTimeout });
        self.claimed.clear();
        self.fail_calls_in_doubt();
        if let Some(awaited) = awaited {
            self.forget_calls_of_absent(now, &awaited);
        }
        self.end_terms_of_absent();
        self.services.touch_all();
        self.elect_all_active();
    }
}
