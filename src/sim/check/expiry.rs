//! `delivered-in-time`: what has expired is not delivered, and leaves its queue soon.

use alloc::format;

use crate::id::LeaseNumber;
use crate::log::{Record, Removal};
use crate::sim::check::{Checker, View, Violation, violated};
use crate::sim::fact::Fact;
use crate::sim::model::Whereabouts;
use crate::sim::schedule::{Micros, SECOND};
use crate::wire::frame::Reason;

const IN_TIME: &str = "delivered-in-time";

/// A lease is judged when it is stored, which slow writes put off, and a hub that stands still in
/// between: nobody takes its place.
const STORE_SLACK: Micros = 10 * SECOND + FROZEN_MAX;
/// The longest time for which a node is stopped.
const FROZEN_MAX: Micros = 12 * SECOND;

#[derive(Debug, Default)]
pub struct Expiry {
    expired: usize,
}

impl Expiry {
    /// How many messages expired.
    #[must_use]
    pub const fn expired(&self) -> usize {
        self.expired
    }
}

/// Whether a message left for it outlived its time.
pub const fn expires(removal: &Removal<'_>) -> bool {
    match removal {
        Removal::Expired { .. } => true,
        Removal::DeadLettered { reason, .. } => matches!(reason, Reason::Expired),
        Removal::Discarded { .. } => false,
    }
}

fn leased(view: View<'_>, lease: LeaseNumber) -> Result<(), Violation> {
    let Some(lease) = view.model.leases.get(&lease) else { return Ok(()) };
    let lowest = view.walls.lowest(view.now.saturating_sub(STORE_SLACK));
    if lease.expires_at.is_some_and(|at| at <= lowest) {
        return violated(IN_TIME, format!("{} is delivered after its time", lease.tag));
    }
    Ok(())
}

impl Checker for Expiry {
    fn observe(&mut self, view: View<'_>, fact: &Fact<'_>) -> Result<(), Violation> {
        let Fact::Stored { records, .. } = fact else { return Ok(()) };
        for (_, record) in *records {
            match record {
                Record::Removed { removal, .. } => self.expired += usize::from(expires(removal)),
                Record::Leased { lease, .. } => leased(view, *lease)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn finish(&mut self, view: View<'_>) -> Result<(), Violation> {
        let lowest = view.walls.lowest(view.now.saturating_sub(STORE_SLACK));
        let late = view.model.messages.values().find(|message| {
            matches!(message.whereabouts, Whereabouts::Waiting { .. })
                && message.expires_at.is_some_and(|at| at <= lowest)
        });
        match late {
            Some(message) => violated(IN_TIME, format!("{} outlives its time", message.tag)),
            None => Ok(()),
        }
    }
}
