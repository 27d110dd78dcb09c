//! Transactions: messages to several queues and acknowledgements of several deliveries, of which
//! all happens or nothing. They stand among the sends, in their order and with their numbers.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::cbor;
use crate::client::Client;
use crate::client::outbox::What;
use crate::client::requests::Kind;
use crate::error::{Code, Refused};
use crate::id::{LeaseNumber, RequestId};
use crate::options::Durability;
use crate::time::Now;
use crate::wire::frame::{Acked, Staged};

/// The deliveries that transactions without an answer acknowledge.
#[derive(Debug, Default)]
pub(super) struct Commits {
    /// In the order of the requests.
    leases: VecDeque<(RequestId, Vec<LeaseNumber>)>,
}

impl Commits {
    fn take(&mut self, request: RequestId) -> Vec<LeaseNumber> {
        let place = self.leases.binary_search_by_key(&request, |(request, _)| *request);
        let taken = place.ok().and_then(|place| self.leases.remove(place));
        taken.map(|(_, leases)| leases).unwrap_or_default()
    }
}

impl Client {
    /// Stores all items and acknowledges all deliveries, or does nothing. `Sent` follows: the items
    /// are counted through over all queues. It fails with `STALE_LEASE` if one of the leases is
    /// over; after another refusal they live on. Allowed while the client drains, if it
    /// acknowledges something.
    ///
    /// # Errors
    /// As for every verb.
    pub fn commit(
        &mut self,
        now: Now,
        writes: &[Staged<'_>],
        acks: &[Acked<'_>],
        durability: Option<Durability>,
    ) -> Result<RequestId, Refused> {
        if acks.is_empty() {
            self.start_verb(now)?;
        } else {
            self.begin(now);
            if self.is_closed() {
                return Err(Code::Closed.into());
            }
        }
        let request = self.begin_commit(writes, acks, durability);
        self.settle_forward();
        request
    }

    fn begin_commit(
        &mut self,
        writes: &[Staged<'_>],
        acks: &[Acked<'_>],
        durability: Option<Durability>,
    ) -> Result<RequestId, Refused> {
        self.check_commit(writes, acks)?;
        let leases: Vec<LeaseNumber> = acks.iter().map(|acked| acked.lease).collect();
        if !leases.iter().all(|lease| self.consumers.holds(*lease)) {
            let request = self.requests.begin(Kind::Question, 0, &self.limits)?;
            self.fail(request, Code::StaleLease.into(), false);
            return Ok(request);
        }
        let (mut encoded_writes, mut encoded_acks) = (Vec::new(), Vec::new());
        cbor::encode(writes, &mut encoded_writes);
        cbor::encode(acks, &mut encoded_acks);
        let what = What::Commit { writes: encoded_writes, acks: encoded_acks };
        let request = self.put_out(what, durability)?;
        self.consumers.set_committing(&leases, true);
        self.commits.leases.push_back((request, leases));
        Ok(request)
    }

    fn check_commit(&self, writes: &[Staged<'_>], acks: &[Acked<'_>]) -> Result<(), Refused> {
        if writes.is_empty() && acks.is_empty() {
            return Err(Refused::new(Code::Invalid, "writes"));
        }
        for Staged { queue, items } in writes {
            self.check_items(queue, items)?;
        }
        let count = writes.iter().map(|staged| staged.items.len()).sum::<usize>();
        if count.max(acks.len()) > self.limits.batch_items_max as usize {
            return Err(Refused::new(Code::TooLarge, "batch_items_max"));
        }
        for (index, Acked { lease, value }) in acks.iter().enumerate() {
            if acks.iter().skip(index + 1).any(|other| other.lease == *lease) {
                return Err(Refused::new(Code::Invalid, "acks"));
            }
            self.check_body(value.unwrap_or_default(), None)?;
        }
        Ok(())
    }

    /// A send or transaction is stored.
    pub(super) fn commit_stored(&mut self, request: RequestId) {
        for lease in self.commits.take(request) {
            for settling in self.consumers.acknowledge(lease) {
                self.fail(settling, Code::StaleLease.into(), false);
            }
        }
    }

    /// A send or transaction was refused, or nobody knows what became of it. The user may still
    /// decide about its deliveries.
    pub(super) fn commit_refused(&mut self, request: RequestId, code: Code) {
        let leases = self.commits.take(request);
        match *leases {
            [lease] if code == Code::StaleLease => self.lose_lease(lease),
            _ => self.consumers.set_committing(&leases, false),
        }
    }
}
