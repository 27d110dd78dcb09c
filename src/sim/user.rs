//! The user of one page: what it asks of its client, and what it does with what it gets.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::client::Client;
use crate::client::io::Event;
use crate::id::{
    CallId, CandidateId, ConsumerId, LeaseNumber, MessageNumber, RequestId, ServiceId,
    SubscriptionId,
};
use crate::options::ConsumeOptions;
use crate::sim::check::calls::answer;
use crate::sim::dice::{Dice, Ratio};
use crate::sim::draft::{Draft, body_bytes};
use crate::sim::fact::{Act, Ask, ProcessId, Tag};
use crate::sim::operator::Operator;
use crate::sim::prepared::{Preparer, decide};
use crate::sim::queues::{OWN_QUEUES, QUEUES, queue_options};
use crate::sim::redriver::Redriver;
use crate::sim::schedule::{MILLI, Micros, SECOND};
use crate::sim::stages::{Stages, Step};
use crate::sim::timetable::Planner;
use crate::time::Now;
use crate::wire::frame::{Browse, CallKey, Outcome, QueueCounts, Settlement};

/// Something the user does at a time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Chore {
    /// The page begins.
    Setup,
    /// One verb, drawn at random, and the next after it.
    Work,
    Settle {
        lease: LeaseNumber,
        act: Act,
    },
    /// Go on from a message of a chain.
    Step {
        step: Step,
    },
    /// Ask what becomes of a message.
    Track {
        queue: &'static str,
        id: String,
        tag: Tag,
    },
    /// Answer a question about a prepared message.
    Decide {
        queue: String,
        id: String,
        commit: bool,
    },
    /// Do something to a queue that was in this state.
    Operate {
        queue: &'static str,
        state: QueueCounts,
    },
    /// Take deliveries again, after having been too slow for some.
    Resume {
        consumer: ConsumerId,
    },
    Reply {
        key: CallKey,
        tag: Tag,
        threw: bool,
    },
    /// Publish once on every topic.
    LastWords,
    Close,
    Unpark,
}

/// What came of a chore: the verbs that the client took, and what is to be done later.
#[derive(Debug, Default)]
pub struct Done {
    pub asks: Vec<Ask>,
    pub chores: Vec<(Micros, Chore)>,
}

pub const TOPICS: [&str; 4] = ["a.b", "a.c", "a.b.c", "d"];
const FILTERS: [&str; 7] = ["a.*", "a.#", "#", "d", "*.b", "#.c", "$tabmq.#"];
const SERVICES: [&str; 2] = ["sums", "names"];
const ROLES: [&str; 2] = ["chief", "scribe"];

#[derive(Debug)]
pub struct User {
    process: ProcessId,
    dice: Dice,
    serial: u32,
    work_every_max: Micros,
    consumers: Vec<ConsumerId>,
    /// Those of queues that detach who is slow.
    impatient: BTreeSet<ConsumerId>,
    subscriptions: Vec<SubscriptionId>,
    services: Vec<ServiceId>,
    candidates: Vec<CandidateId>,
    calls: Vec<CallId>,
    redriver: Redriver,
    operator: Operator,
    stages: Stages,
    planner: Planner,
    preparer: Preparer,
    /// Queues whose state was asked for.
    inspected: Vec<(RequestId, &'static str)>,
    /// Sends whose messages are tracked, until they are confirmed.
    tracked: Vec<(RequestId, &'static str, Vec<Tag>)>,
    /// What handlers return for tracked messages.
    values: BTreeMap<LeaseNumber, Tag>,
}

impl User {
    #[must_use]
    pub fn new(process: ProcessId, work_every_max: Micros, dice: Dice) -> Self {
        Self {
            process,
            dice,
            serial: 0,
            work_every_max,
            consumers: Vec::new(),
            impatient: BTreeSet::new(),
            subscriptions: Vec::new(),
            services: Vec::new(),
            candidates: Vec::new(),
            calls: Vec::new(),
            redriver: Redriver::default(),
            operator: Operator::default(),
            stages: Stages::default(),
            planner: Planner::default(),
            preparer: Preparer::default(),
            inspected: Vec::new(),
            tracked: Vec::new(),
            values: BTreeMap::new(),
        }
    }

    fn tag(&mut self) -> Tag {
        Tag::next(self.process, &mut self.serial)
    }

    fn one_in(&mut self, denominator: u32) -> bool {
        self.dice.chance(Ratio::one_in(denominator))
    }

    /// Does a chore. A client that refuses a verb because it is full or closing was not asked.
    pub fn do_chore(&mut self, client: &mut Client, now: Now, chore: Chore, calm: bool) -> Done {
        let mut done = Done::default();
        match chore {
            Chore::Setup => self.set_up(client, now, &mut done),
            Chore::Work => {
                if !calm {
                    let ask = self.work(client, now);
                    done.asks.extend(ask);
                    let after = self.dice.between(MILLI, self.work_every_max);
                    done.chores.push((after, Chore::Work));
                    if self.one_in(400) {
                        done.chores.push((0, Chore::Close));
                    }
                }
            }
            Chore::Track { queue, id, tag } => {
                let processed = self.one_in(2);
                let asked = client.track(now, queue, &id, processed);
                done.asks.extend(asked.ok().map(|request| Ask::Track { request, tag }));
            }
            Chore::Decide { queue, id, commit } => {
                done.asks.extend(decide(client, now, &queue, &id, commit));
            }
            Chore::Operate { queue, state } => {
                done.asks.extend(self.operate(client, now, queue, &state));
            }
            Chore::Step { step } => {
                let tag = self.tag();
                let value = step.value(&self.values);
                done.asks.extend(self.stages.step(client, now, step, tag, value.as_deref()));
            }
            Chore::Settle { lease, act } => self.settle(client, now, lease, act, &mut done),
            Chore::Reply { key, tag, threw } => {
                let body = answer(tag, threw);
                let outcome = if threw { Outcome::Threw(&body) } else { Outcome::Value(&body) };
                if client.reply(now, key, outcome).is_ok() {
                    done.asks.push(Ask::Reply { key });
                }
            }
            Chore::Resume { consumer } => {
                // It may be gone by now.
                let _ = client.change_consumer(now, consumer, ConsumeOptions::new(2, 10_000));
            }
            Chore::LastWords => {
                for topic in TOPICS {
                    done.asks.extend(self.publish(client, now, topic));
                }
            }
            Chore::Close => {
                client.close(now, true);
                done.asks.push(Ask::Close);
            }
            Chore::Unpark => {}
        }
        done
    }

    fn set_up(&mut self, client: &mut Client, now: Now, done: &mut Done) {
        let queues = [*self.dice.choose(&QUEUES), *self.dice.choose(&QUEUES)];
        for queue in queues {
            done.asks.extend(self.declare(client, now, queue));
            done.asks.extend(self.consume(client, now, queue));
        }
        done.asks.extend(self.stages.set_up(&mut self.dice, client, now));
        done.asks.extend(self.subscribe(client, now));
        done.asks.extend(self.serve(client, now));
        done.chores.push((MILLI, Chore::Work));
    }

    /// One verb, drawn at random.
    fn work(&mut self, client: &mut Client, now: Now) -> Option<Ask> {
        const WEIGHTS: [u32; 18] = [30, 16, 12, 3, 2, 3, 3, 3, 2, 2, 2, 1, 1, 4, 3, 2, 8, 1];
        match self.dice.weighted(&WEIGHTS) {
            0 => self.send(client, now),
            1 => {
                let topic = *self.dice.choose(&TOPICS);
                self.publish(client, now, topic)
            }
            2 => self.call(client, now),
            3 => {
                let queue = *self.dice.choose(&QUEUES);
                let request = client.inspect(now, queue).ok()?;
                self.inspected.push((request, queue));
                Some(Ask::Inspect { request, queue: queue.to_owned() })
            }
            4 => client.flush(now).ok().map(|request| Ask::Flush { request }),
            5 => {
                let queue = *self.dice.choose(&OWN_QUEUES);
                self.declare(client, now, queue)
            }
            6 => self.subscribe(client, now),
            7 => {
                let subscription = self.dice.take_some(&mut self.subscriptions)?;
                client.unsubscribe(now, subscription);
                Some(Ask::Unsubscribe { subscription })
            }
            8 => {
                let queue = *self.dice.choose(&QUEUES);
                self.consume(client, now, queue)
            }
            9 => {
                let consumer = self.dice.take_some(&mut self.consumers)?;
                client.cancel_consumer(now, consumer);
                Some(Ask::CancelConsumer { consumer })
            }
            10 => self.lead(client, now),
            11 => {
                let candidate = self.dice.take_some(&mut self.candidates)?;
                client.resign(now, candidate);
                Some(Ask::Resign { candidate })
            }
            12 => self.change_service(client, now),
            13 => self.redriver.work(&mut self.dice, client, now),
            14 => self.operator.work(&mut self.dice, client, now),
            15 => {
                let tag = self.tag();
                self.planner.work(&mut self.dice, client, now, tag)
            }
            16 => {
                let (process, serial) = (self.process, &mut self.serial);
                let tag = || Tag::next(process, serial);
                self.preparer.work(&mut self.dice, client, now, tag)
            }
            _ => {
                let call = self.dice.take_some(&mut self.calls)?;
                client.cancel_call(now, call);
                Some(Ask::CancelCall { call })
            }
        }
    }

    fn send(&mut self, client: &mut Client, now: Now) -> Option<Ask> {
        let (process, serial) = (self.process, &mut self.serial);
        let draft = Draft::draw(&mut self.dice, || Tag::next(process, serial));
        let request = draft.send(client, now)?;
        if draft.track {
            self.tracked.push((request, draft.queue, draft.tags.clone()));
        }
        Some(draft.ask(request))
    }

    /// Does something to a queue, or looks into it, as its state was found a moment ago.
    fn operate(
        &mut self,
        client: &mut Client,
        now: Now,
        queue: &str,
        state: &QueueCounts,
    ) -> Option<Ask> {
        let flag = self.one_in(2);
        let asked = match self.dice.weighted(&[30, 30, 10, 10, 5]) {
            0 => {
                let after = if flag { MessageNumber(0) } else { state.newest };
                let messages_max = u32::try_from(self.dice.between(1, 9)).unwrap_or(1);
                let (delayed, leased, headers_only) = (flag, flag, self.one_in(3));
                let browse = Browse { after, messages_max, delayed, leased, headers_only };
                client.browse(now, queue, browse)
            }
            1 => {
                let for_ms = self.dice.between(1, 3000);
                client.pause(now, queue, !state.paused, flag.then_some(for_ms))
            }
            2 => client.pause(now, queue, false, None),
            3 => client.purge(now, queue, state.newest),
            _ => client.delete_queue(now, queue, state.id, flag, !flag),
        };
        asked.ok().map(|request| Ask::Operate { request, queue: queue.to_owned() })
    }

    fn publish(&mut self, client: &mut Client, now: Now, topic: &str) -> Option<Ask> {
        let tag = self.tag();
        let body = tag.body(body_bytes(&mut self.dice));
        let request = client.publish(now, topic, &body, None).ok()?;
        Some(Ask::Publish { request, topic: topic.to_owned(), tag })
    }

    fn call(&mut self, client: &mut Client, now: Now) -> Option<Ask> {
        let tag = self.tag();
        let service = *self.dice.choose(&SERVICES);
        let timeout_ms_max = if self.one_in(5) { 20_000 } else { 5000 };
        let timeout_ms = self.dice.between(100, timeout_ms_max);
        let arguments = tag.body(body_bytes(&mut self.dice));
        let call = client.call(now, service, "run", &arguments, timeout_ms).ok()?;
        self.calls.push(call);
        Some(Ask::Call { call, tag, timeout_ms })
    }

    fn declare(&mut self, client: &mut Client, now: Now, queue: &str) -> Option<Ask> {
        let options = queue_options(queue);
        let request = client.declare(now, queue, options.clone()).ok()?;
        Some(Ask::Declare { request, queue: queue.to_owned(), options: options.into() })
    }

    fn consume(&mut self, client: &mut Client, now: Now, queue: &str) -> Option<Ask> {
        let prefetch = u32::try_from(self.dice.between(1, 5)).unwrap_or(1);
        let options = ConsumeOptions {
            priority: self.one_in(4).then_some(1),
            ..ConsumeOptions::new(prefetch, 10_000)
        };
        let consumer = client.consume(now, queue, options).ok()?;
        self.consumers.push(consumer);
        if queue_options(queue).slow.is_some() {
            self.impatient.insert(consumer);
        }
        Some(Ask::Consume { consumer, queue: queue.to_owned() })
    }

    fn subscribe(&mut self, client: &mut Client, now: Now) -> Option<Ask> {
        let filter = *self.dice.choose(&FILTERS);
        let group = self.one_in(3).then_some("group");
        let subscription = client.subscribe(now, filter, group).ok()?;
        self.subscriptions.push(subscription);
        let group = group.map(String::from);
        Some(Ask::Subscribe { subscription, filter: filter.to_owned(), group })
    }

    fn serve(&mut self, client: &mut Client, now: Now) -> Option<Ask> {
        let name = *self.dice.choose(&SERVICES);
        let concurrency = u32::try_from(self.dice.between(1, 4)).unwrap_or(1);
        let service = client.serve(now, name, concurrency).ok()?;
        self.services.push(service);
        Some(Ask::Serve { service, name: name.to_owned() })
    }

    fn change_service(&mut self, client: &mut Client, now: Now) -> Option<Ask> {
        if self.one_in(2) {
            return self.serve(client, now);
        }
        let service = self.dice.take_some(&mut self.services)?;
        client.unserve(now, service);
        Some(Ask::Unserve { service })
    }

    fn lead(&mut self, client: &mut Client, now: Now) -> Option<Ask> {
        let role = *self.dice.choose(&ROLES);
        let candidate = client.stand(now, role).ok()?;
        self.candidates.push(candidate);
        Some(Ask::Lead { candidate, role: role.to_owned() })
    }

    fn settle(
        &mut self,
        client: &mut Client,
        now: Now,
        lease: LeaseNumber,
        act: Act,
        done: &mut Done,
    ) {
        let reason = format!("lease {}", lease.0);
        let value = self.values.get(&lease).map(|tag| tag.body(8));
        let after_ms = self.one_in(2).then(|| self.dice.between(0, 500));
        let settlement = match act {
            Act::Ack => Settlement::Ack { value: value.as_deref() },
            Act::Retry => Settlement::Retry { after_ms, reason: Some(&reason) },
            Act::Reject => Settlement::Reject { reason: Some(&reason) },
            Act::Release => Settlement::Release,
            Act::Extend => Settlement::Extend { lease_ms: after_ms.map(|ms| ms + 100) },
        };
        if let Ok(request) = client.settle(now, lease, settlement) {
            done.asks.push(Ask::Settle { request, lease, act });
        }
        if act == Act::Extend {
            let after = self.dice.between(MILLI, SECOND);
            done.chores.push((after, Chore::Settle { lease, act: Act::Ack }));
        }
    }

    /// What the user does because of an event.
    pub fn hear(&mut self, event: &Event, calm: bool) -> Vec<(Micros, Chore)> {
        self.redriver.hear(event);
        self.planner.hear(event);
        let mut chores = self.preparer.hear(&mut self.dice, event, calm);
        chores.extend(self.react(event, calm));
        chores
    }

    fn react(&mut self, event: &Event, calm: bool) -> Vec<(Micros, Chore)> {
        match event {
            Event::Delivery { lease, lease_ms, body, tracked, .. } => {
                if let Some(tag) = Tag::of(body).filter(|_| *tracked) {
                    self.values.insert(*lease, tag);
                }
                if let Some(chores) = self.stages.hear(&mut self.dice, event, calm) {
                    return chores;
                }
                self.plan_settlement(*lease, *lease_ms, calm)
            }
            Event::QueueState { request, state, .. } => {
                let place = self.inspected.iter().position(|(asked, _)| asked == request);
                let Some(place) = place.filter(|_| !calm) else { return Vec::new() };
                let (_, queue) = self.inspected.swap_remove(place);
                vec![(self.dice.between(0, 50 * MILLI), Chore::Operate { queue, state: *state })]
            }
            Event::Failed { .. } => {
                self.stages.hear(&mut self.dice, event, calm).unwrap_or_default()
            }
            Event::Sent { request, lane, sequence, .. } => {
                self.stages.hear(&mut self.dice, event, calm);
                let place = self.tracked.iter().position(|(asked, ..)| asked == request);
                let Some(place) = place else { return Vec::new() };
                let (_, queue, tags) = self.tracked.swap_remove(place);
                let ask = |(index, tag): (usize, Tag)| {
                    let id = format!("{}-{}-{index}", lane.0, sequence.0);
                    (self.dice.between(0, SECOND), Chore::Track { queue, id, tag })
                };
                tags.into_iter().enumerate().map(ask).collect()
            }
            Event::ConsumerActive { consumer, active: false }
                if self.impatient.contains(consumer) =>
            {
                let after = self.dice.between(0, SECOND);
                vec![(after, Chore::Resume { consumer: *consumer })]
            }
            Event::Dispatch { key, arguments, .. } => self.plan_reply(*key, arguments, calm),
            _ => Vec::new(),
        }
    }

    fn plan_settlement(
        &mut self,
        lease: LeaseNumber,
        lease_ms: u64,
        calm: bool,
    ) -> Vec<(Micros, Chore)> {
        if calm {
            return vec![(20 * MILLI, Chore::Settle { lease, act: Act::Ack })];
        }
        const ACTS: [Act; 5] = [Act::Ack, Act::Retry, Act::Reject, Act::Release, Act::Extend];
        let act = ACTS[self.dice.weighted(&[70, 10, 4, 6, 8])];
        let after = match self.dice.weighted(&[85, 8, 7]) {
            0 => self.dice.between(0, 300 * MILLI),
            // Late, perhaps after the lease ended.
            1 => self.dice.between(lease_ms * MILLI / 2, lease_ms * MILLI * 2).min(10 * SECOND),
            // Never: the lease runs out.
            _ => return Vec::new(),
        };
        vec![(after, Chore::Settle { lease, act })]
    }

    fn plan_reply(&mut self, key: CallKey, arguments: &[u8], calm: bool) -> Vec<(Micros, Chore)> {
        let Some(tag) = Tag::of(arguments) else { return Vec::new() };
        let threw = self.one_in(8);
        let after = match self.dice.weighted(&[80, 15, 5]) {
            1 if !calm => self.dice.between(100 * MILLI, 6 * SECOND),
            2 if !calm => return Vec::new(),
            _ => self.dice.between(0, 60 * MILLI),
        };
        vec![(after, Chore::Reply { key, tag, threw })]
    }
}
