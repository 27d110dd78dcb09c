//! What a node that sleeps keeps of live publish/subscribe.

use alloc::vec::Vec;

use crate::broker::live::LiveHub;
use crate::id::{ClientId, SubscriptionId};
use crate::limits::Limits;
use crate::time::Instant;
use crate::wire::frame::{Live, Newest, Reached};

/// Of messages that are kept to repair gaps, the last ones that fit.
const REPAIR_BYTES_MAX: usize = 256 << 10;

impl LiveHub {
    /// Nothing is asked for, and everyone was told the newest numbers.
    pub fn rests(&self) -> bool {
        self.waiting.is_empty() && self.repeat_at.is_none()
    }

    /// The newest number of each publisher, of the one first that was not heard for longest.
    pub fn newest_in_turn(&self) -> Vec<Newest> {
        let mut known: Vec<_> = self.newest.iter().collect();
        known.sort_unstable_by_key(|(_, known)| known.heard);
        known.into_iter().map(|(publisher, known)| known.newest(*publisher)).collect()
    }

    /// The last messages, oldest first.
    pub fn last_messages(&self) -> Vec<Live<'_>> {
        let mut left = REPAIR_BYTES_MAX;
        let mut last = Vec::new();
        for key in self.kept_order.iter().rev() {
            let Some(kept) = self.kept.get(key) else { continue };
            let Some(rest) = left.checked_sub(kept.bytes()) else { break };
            left = rest;
            let (publisher, number) = *key;
            let (topic, body, properties) = (&*kept.topic, &*kept.body, kept.properties.as_deref());
            last.push(Live { publisher, number, index: kept.index, topic, body, properties });
        }
        last.reverse();
        last
    }

    /// The members of all groups in the order in which they came, with the filter and the name.
    pub fn members(&self) -> Vec<(ClientId, SubscriptionId, &str, &str)> {
        let mut members = Vec::new();
        for (id, group) in self.groups.iter() {
            let name = self.group_ids.iter().find(|(_, known)| *known == id);
            let name = name.map_or("", |((name, _), _)| name);
            let filter = group.filter.as_str();
            members.extend(group.members.iter().map(|(client, id)| (*client, *id, filter, name)));
        }
        members
    }

    /// Knows again what another one of this node has heard, and was told of.
    pub fn recall(&mut self, newest: &[Newest], kept: &[Live<'_>], limits: &Limits) {
        for Newest { publisher, number, index } in newest {
            let reached = Reached { number: *number, index: *index };
            self.advance(Instant::default(), *publisher, reached, limits);
        }
        for live in kept {
            self.keep(live, limits.repair_bytes_max as usize);
        }
        self.changed.clear();
        self.repeat_at = None;
    }
}
