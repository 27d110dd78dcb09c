//! Where pages write down the sends that have no answer yet, and what they have under way there.
//!
//! The fault model: all pages of an origin share it, and it survives them. What one page writes is
//! performed in its order. A page that dies leaves any number of the writes it had under way
//! undone, the last ones first.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use crate::id::{ClientId, RequestId};

/// The place of a send. Those of one client count up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    pub client: ClientId,
    pub number: u64,
}

/// What is written down.
#[derive(Debug, Default)]
pub struct Shelf {
    sends: BTreeMap<Place, Vec<u8>>,
    last: u64,
}

impl Shelf {
    /// A place after all others.
    pub fn next_place(&mut self, client: ClientId) -> Place {
        self.last += 1;
        Place { client, number: self.last }
    }

    /// What is written down for a client, in its order.
    #[must_use]
    pub fn of(&self, client: ClientId) -> Vec<(Place, Vec<u8>)> {
        let first = Place { client, number: 0 };
        let own = self.sends.range(first..).take_while(|(place, _)| place.client == client);
        own.map(|(place, send)| (*place, send.clone())).collect()
    }

    pub fn perform(&mut self, write: &Write) {
        match &write.send {
            Some(send) => self.sends.insert(write.place, send.clone()),
            None => self.sends.remove(&write.place),
        };
    }
}

/// Something that a page writes: a send, or that it is over.
#[derive(Clone, Debug)]
pub struct Write {
    pub request: RequestId,
    pub place: Place,
    pub send: Option<Vec<u8>>,
}

/// What one page knows of what it wrote down.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Where the sends of the page stand, and what was written last of each.
    pub own: BTreeMap<RequestId, (Place, Vec<u8>)>,
    /// Not performed yet.
    pub under_way: VecDeque<Write>,
    /// Performed while the page lay in the cache. It hears of that when it comes back.
    pub unheard: Vec<Write>,
}

impl Ledger {
    /// Whether all that this page wrote down is there as it wrote it: while it lay in the cache
    /// another one may have gone on with it.
    #[must_use]
    pub fn is_whole(&self, shelf: &Shelf) -> bool {
        self.own.values().all(|(place, send)| shelf.sends.get(place) == Some(send))
    }
}
