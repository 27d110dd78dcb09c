//! The part of a user that works in a chain: it takes a message, gives one to the next stage and is
//! done with its own at once.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use crate::client::Client;
use crate::client::io::Event;
use crate::error::Code;
use crate::id::{ConsumerId, LeaseNumber, RequestId};
use crate::options::ConsumeOptions;
use crate::sim::dice::Dice;
use crate::sim::expiry::ttl_ms_of;
use crate::sim::fact::{Act, Ask, Tag};
use crate::sim::queues::{STAGES, queue_options};
use crate::sim::schedule::{MILLI, Micros, SECOND};
use crate::sim::user::Chore;
use crate::time::Now;
use crate::wire::frame::{Acked, Item, Staged};

/// A message that a stage holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    lease: LeaseNumber,
    stage: usize,
}

impl Step {
    /// What its handler returns, if its producer wants it.
    #[must_use]
    pub fn value(&self, values: &BTreeMap<LeaseNumber, Tag>) -> Option<Vec<u8>> {
        values.get(&self.lease).map(|tag| tag.body(8))
    }
}

#[derive(Debug, Default)]
pub struct Stages {
    consumers: BTreeMap<ConsumerId, usize>,
    /// Transactions without an answer.
    asked: BTreeMap<RequestId, Step>,
}

impl Stages {
    /// Begins to work at two stages, which may be one.
    pub fn set_up(&mut self, dice: &mut Dice, client: &mut Client, now: Now) -> Vec<Ask> {
        let mut asks = Vec::new();
        for _ in 0..2 {
            let stage = dice.index(STAGES.len());
            let (queue, prefetch) = (STAGES[stage], dice.between(1, 4));
            let options = queue_options(queue);
            if let Ok(request) = client.declare(now, queue, options.clone()) {
                asks.push(Ask::Declare { request, queue: queue.into(), options: options.into() });
            }
            let options = ConsumeOptions::new(u32::try_from(prefetch).unwrap_or(1), 10_000);
            if let Ok(consumer) = client.consume(now, queue, options) {
                self.consumers.insert(consumer, stage);
                asks.push(Ask::Consume { consumer, queue: queue.into() });
            }
        }
        asks
    }

    /// Gives the result of a step, which is `tag`, to the next stage.
    pub fn step(
        &mut self,
        client: &mut Client,
        now: Now,
        step: Step,
        tag: Tag,
        value: Option<&[u8]>,
    ) -> Option<Ask> {
        let body = tag.body(40);
        let item = Item {
            body: &body,
            properties: None,
            delay_ms: None,
            track: None,
            past: None,
            ttl_ms: ttl_ms_of(tag),
            priority: None,
            prepare: None,
        };
        let next = STAGES.get(step.stage + 1);
        let writes: Vec<Staged<'_>> =
            next.map(|queue| Staged { queue, items: vec![item] }).into_iter().collect();
        let Step { lease, .. } = step;
        let request = client.commit(now, &writes, &[Acked { lease, value }], None).ok()?;
        self.asked.insert(request, step);
        let tags = writes.iter().map(|_| tag).collect();
        Some(Ask::Commit { request, lease, tags })
    }

    /// What is to be done because of an event, if it concerns a chain.
    pub fn hear(
        &mut self,
        dice: &mut Dice,
        event: &Event,
        calm: bool,
    ) -> Option<Vec<(Micros, Chore)>> {
        match event {
            Event::Delivery { consumer, lease, lease_ms, .. } => {
                let stage = *self.consumers.get(consumer)?;
                Some(plan(dice, Step { lease: *lease, stage }, *lease_ms, calm))
            }
            Event::Sent { request, .. } => {
                self.asked.remove(request);
                None
            }
            Event::Failed { request, code, .. } => {
                let step = self.asked.remove(request)?;
                let again = (dice.between(50 * MILLI, SECOND), Chore::Step { step });
                Some(if *code == Code::StaleLease { Vec::new() } else { vec![again] })
            }
            _ => None,
        }
    }
}

fn plan(dice: &mut Dice, step: Step, lease_ms: u64, calm: bool) -> Vec<(Micros, Chore)> {
    if calm {
        return vec![(20 * MILLI, Chore::Step { step })];
    }
    let lease = step.lease;
    let soon = dice.between(0, 300 * MILLI);
    let late = dice.between(lease_ms * MILLI / 2, lease_ms * MILLI * 2);
    match dice.weighted(&[75, 8, 5, 5, 7]) {
        0 => vec![(soon, Chore::Step { step })],
        // Perhaps after the lease ended.
        1 => vec![(late, Chore::Step { step })],
        2 => vec![(soon, Chore::Settle { lease, act: Act::Retry })],
        3 => vec![(soon, Chore::Settle { lease, act: Act::Release })],
        // Never: the lease runs out.
        _ => Vec::new(),
    }
}
