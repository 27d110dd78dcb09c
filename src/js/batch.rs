//! The events of one drain as one CBOR array, so that they cross the border in one piece.

use alloc::vec::Vec;
use core::convert::Infallible;

use minicbor::Encoder;
use minicbor::encode::Error;

use crate::cbor;
use crate::client::io::{CallOutcome, Event, Handle, Peer, TrackOutcome};
use crate::error::Code;
use crate::id::ClientId;
use crate::js::dispatches::Dispatches;
use crate::options::{Durability, HostKind};
use crate::time::Now;
use crate::web::driver::Telling;
use crate::web::io::{HostNews, Notice};
use crate::wire::frame::{QueueCounts, StorageReport};

type Written = Result<(), Error<Infallible>>;

/// An array head of fixed length, so that the count can be written when it is known.
const HEAD: [u8; 5] = [0x9a, 0, 0, 0, 0];

pub struct Batch<'a> {
    encoder: Encoder<Vec<u8>>,
    count: u32,
    dispatches: &'a mut Dispatches,
    now: Now,
}

/// `None` if there is nothing that JavaScript would want to know.
pub fn encode(telling: &Telling, dispatches: &mut Dispatches) -> Option<Vec<u8>> {
    let encoder = Encoder::new(HEAD.to_vec());
    let mut batch = Batch { encoder, count: 0, dispatches, now: telling.now };
    for notice in &telling.notices {
        // Writing to a Vec can't fail.
        let _ = batch.notice(notice, telling);
    }
    let count = batch.count;
    let mut bytes = batch.encoder.into_writer();
    bytes[1..5].copy_from_slice(&count.to_be_bytes());
    Some(bytes).filter(|_| count > 0)
}

impl Batch<'_> {
    /// Begins one event with its kind and so many fields.
    fn event(&mut self, kind: u8, fields: u64) -> Result<&mut Encoder<Vec<u8>>, Error<Infallible>> {
        self.count += 1;
        self.encoder.array(fields + 1)?.u8(kind)
    }

    fn notice(&mut self, notice: &Notice, telling: &Telling) -> Written {
        match notice {
            Notice::Client(event) => self.client_event(event)?,
            Notice::Host(HostNews { epoch, here, kind, storage }) => {
                let StorageReport { persistent, fenced, durability_max } = *storage;
                // Nobody clears files to make room.
                let in_files = telling.in_files || *kind == HostKind::Hub;
                let persisted = persistent && (in_files || telling.persisted);
                let kind = match kind {
                    HostKind::Tab => "tab",
                    HostKind::Inline => "inline",
                    HostKind::SharedWorker => "shared-worker",
                    HostKind::Worker => "worker",
                    HostKind::Hub => "hub",
                };
                let storage = match (persistent, in_files) {
                    (false, _) => "memory",
                    (true, false) => "indexeddb",
                    (true, true) => "files",
                };
                let durability_max = match durability_max {
                    Durability::Memory => "memory",
                    Durability::Relaxed => "relaxed",
                    Durability::Strict => "strict",
                };
                let event = self.event(25, 8)?.u64(epoch.counter)?.bool(*here)?;
                let event = event.str(kind)?.str(storage)?.str(durability_max)?.bool(fenced)?;
                event.bool(persisted)?.bool(persistent && !persisted)?;
            }
            Notice::StorageFull(full) => self.storage("quota", u64::from(*full))?,
            Notice::WorkerMustHost => drop(self.event(37, 0)?),
            Notice::WaitsAgain => drop(self.event(38, 0)?),
            Notice::StorageBlocked => self.storage("blocked", 1)?,
            Notice::Claimed => drop(self.event(41, 0)?),
            Notice::Unreachable => drop(self.event(42, 0)?),
            Notice::Error { code, reason } => {
                self.event(27, 2)?.u8(code.number())?.str(reason)?;
            }
        }
        Ok(())
    }

    fn storage(&mut self, reason: &str, detail: u64) -> Written {
        self.event(26, 3)?.u8(Code::Storage.number())?.str(reason)?.u64(detail)?;
        Ok(())
    }

    fn client_event(&mut self, event: &Event) -> Written {
        match event {
            Event::Ready { epoch, lane, resumed, .. } => {
                self.event(1, 3)?.u64(epoch.counter)?.u64(lane.0)?.bool(*resumed)?;
            }
            Event::Lost => drop(self.event(2, 0)?),
            // The driver acts on it.
            Event::NodeSilent { .. } => {}
            Event::RolledBack { confirmed, position } => {
                self.event(24, 2)?.u64(confirmed.0)?.u64(position.0)?;
            }
            Event::Cleared { confirmed } => self.storage("cleared", confirmed.0)?,
            Event::Peers { peers } => self.peers(peers)?,
            Event::QueueState { request, state, policy } => {
                self.queue_state(request.0, state, policy.as_deref())?;
            }
            Event::QueueStats { watch, at, stats } => {
                let event = self.event(34, 3)?.u32(watch.0)?.u64(at.0)?;
                cbor::encode(stats, event.writer_mut());
            }
            Event::Counted { request, count } => {
                self.event(29, 2)?.u32(request.0)?.u64(*count)?;
            }
            Event::Listed { request, page, more } => {
                let event = self.event(30, 3)?.u32(request.0)?;
                event.writer_mut().extend_from_slice(page);
                event.bool(*more)?;
            }
            Event::Tracked { request, outcome } => {
                let event = self.event(32, 2)?.u32(request.0)?;
                let value = match outcome {
                    TrackOutcome::Processed { value } => value.as_deref(),
                    TrackOutcome::Delivered => None,
                };
                optional_bytes(event, value)?;
            }
            Event::Progress { request, value } => {
                self.event(33, 2)?.u32(request.0)?.bytes(value)?;
            }
            Event::Check { checker, message } => {
                let event = self.event(36, 2)?.u32(checker.0)?;
                match message {
                    Some(message) => event.writer_mut().extend_from_slice(message),
                    None => drop(event.null()?),
                }
            }
            Event::QueueDeleted { queue } => drop(self.event(31, 1)?.str(queue)?),
            Event::Sent { request, lane, sequence, duplicates } => {
                let event = self.event(9, 4)?.u32(request.0)?.u64(lane.0)?.u64(sequence.0)?;
                cbor::encode(duplicates, event.writer_mut());
            }
            Event::Keep { .. } | Event::LetGo { .. } => self.kept_send(event)?,
            Event::Window { items } => drop(self.event(35, 1)?.u32(*items)?),
            Event::Failed { request, code, reason, maybe_executed } => {
                let event = self.event(10, 4)?.u32(request.0)?.u8(code.number())?;
                event.str(reason)?.bool(*maybe_executed)?;
            }
            Event::Published { request } => drop(self.event(4, 1)?.u32(request.0)?),
            Event::Flushed { request } => drop(self.event(22, 1)?.u32(request.0)?),
            Event::Settled { request } => drop(self.event(13, 1)?.u32(request.0)?),
            Event::LeaseLost { lease } => drop(self.event(14, 1)?.u64(lease.0)?),
            Event::Closed { code } => drop(self.event(23, 1)?.u8(code.number())?),
            Event::CallEnded { call, outcome } => self.call_ended(call.0, outcome)?,
            Event::Live { .. } | Event::Gap { .. } | Event::Delivery { .. } => {
                self.message(event)?;
            }
            _ => self.handle_event(event)?,
        }
        Ok(())
    }

    /// Where a device belongs at its hub, and for how long it may speak there.
    fn belonging(&mut self, event: &Event) -> Written {
        match event {
            Event::Bound { log, user } => {
                let event = self.event(43, 2)?;
                optional_bytes(event, log.as_ref().map(|log| &log.0[..]))?;
                cbor::encode(&user.as_deref(), event.writer_mut());
            }
            Event::ForeignLog { bound, found, .. } => {
                self.event(44, 2)?.bytes(&bound.0)?.bytes(&found.0)?;
            }
            Event::Granted { ends_in_ms } => {
                cbor::encode(ends_in_ms, self.event(45, 1)?.writer_mut());
            }
            Event::AnotherUser => drop(self.event(46, 0)?),
            _ => {}
        }
        Ok(())
    }

    /// Sends that are to be written down, and those that are not any more.
    fn kept_send(&mut self, event: &Event) -> Written {
        match event {
            Event::Keep { request, send } => {
                self.event(39, 2)?.u32(request.0)?.bytes(send)?;
            }
            Event::LetGo { request, failed, in_doubt, heard } => {
                let (code, reason) = match failed {
                    Some((code, reason)) => (code.number(), &**reason),
                    None => (0, ""),
                };
                let event = self.event(40, 5)?.u32(request.0)?.u8(code)?;
                event.str(reason)?.bool(*in_doubt)?.bool(*heard)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Events of subscriptions, consumers, services and candidates that carry no message.
    fn handle_event(&mut self, event: &Event) -> Written {
        match event {
            Event::Subscribed { subscription } => drop(self.event(7, 1)?.u32(subscription.0)?),
            Event::Consuming { consumer, single_active } => {
                self.event(11, 2)?.u32(consumer.0)?.bool(*single_active)?;
            }
            Event::ConsumerActive { consumer, active } => {
                self.event(28, 2)?.u32(consumer.0)?.bool(*active)?;
            }
            Event::Serving { service } => drop(self.event(15, 1)?.u32(service.0)?),
            Event::Dispatch { key, service, method, deadline, arguments, traceparent } => {
                let dispatch = self.dispatches.insert(*key);
                let left_ms = deadline.ms_since(self.now.mono);
                let event = self.event(16, 7)?.u32(dispatch)?.u32(service.0)?.str(method)?;
                let event = event.u64(left_ms)?.bytes(arguments)?.bytes(&key.caller.0)?;
                match traceparent {
                    Some(traceparent) => event.str(traceparent)?,
                    None => event.null()?,
                };
            }
            Event::DispatchCancelled { key } => {
                if let Some(dispatch) = self.dispatches.cancel(*key) {
                    self.event(17, 1)?.u32(dispatch)?;
                }
            }
            Event::Leading { candidate, term } => {
                self.event(19, 2)?.u32(candidate.0)?.u64(term.0)?;
            }
            Event::Deposed { candidate } => drop(self.event(20, 1)?.u32(candidate.0)?),
            Event::HandleRefused { handle, code } => {
                let (kind, id) = match handle {
                    Handle::Subscription(id) => (1, id.0),
                    Handle::Consumer(id) => (2, id.0),
                    Handle::Service(id) => (3, id.0),
                    Handle::Candidate(id) => (4, id.0),
                    Handle::Watch(id) => (5, id.0),
                    Handle::Checker(id) => (6, id.0),
                };
                self.event(21, 3)?.u8(kind)?.u32(id)?.u8(code.number())?;
            }
            _ => self.belonging(event)?,
        }
        Ok(())
    }

    fn message(&mut self, event: &Event) -> Written {
        match event {
            Event::Live { subscription, publisher, number, topic, body, properties } => {
                let event = self.event(5, 6)?.u32(subscription.0)?.bytes(&publisher.0)?;
                event.u64(number.0)?.str(topic)?.bytes(body)?;
                optional_bytes(event, properties.as_deref())?;
            }
            Event::Gap { subscription, publisher, first, last } => {
                let event = self.event(6, 4)?.u32(subscription.0)?.bytes(&publisher.0)?;
                event.u64(first.0)?.u64(last.0)?;
            }
            Event::Delivery {
                consumer,
                lease,
                attempt,
                number,
                lane,
                sequence,
                index,
                stored_at,
                lease_ms,
                body,
                properties,
                dead_reason,
                body_bytes,
                tracked,
                deaths,
                sender,
                priority,
            } => {
                let event = self.event(12, 17)?.u32(consumer.0)?.u64(lease.0)?.u32(*attempt)?;
                let event = event.u64(number.0)?.u64(lane.0)?.u64(sequence.0)?.u32(*index)?;
                let event = event.u64(stored_at.0)?.u64(*lease_ms)?.bytes(body)?;
                optional_bytes(event, properties.as_deref())?;
                match dead_reason {
                    Some(reason) => event.str(reason)?,
                    None => event.null()?,
                };
                match body_bytes {
                    Some(bytes) => event.u32(*bytes)?,
                    None => event.null()?,
                };
                event.bool(*tracked)?;
                optional_bytes(event, deaths.as_deref())?;
                optional_bytes(event, sender.as_ref().map(|sender| &sender.0[..]))?;
                event.u32(*priority)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn peers(&mut self, peers: &[Peer]) -> Written {
        let event = self.event(3, 1)?.array(peers.len() as u64)?;
        for Peer { client: ClientId(client), info } in peers {
            event.array(2)?.bytes(client)?.bytes(info)?;
        }
        Ok(())
    }

    fn queue_state(&mut self, request: u32, state: &QueueCounts, policy: Option<&str>) -> Written {
        // The counts stand in the order of the frame.
        let event = self.event(8, 3)?.u32(request)?;
        cbor::encode(state, event.writer_mut());
        cbor::encode(&policy, event.writer_mut());
        Ok(())
    }

    fn call_ended(&mut self, call: u32, outcome: &CallOutcome) -> Written {
        let event = self.event(18, 4)?.u32(call)?;
        match outcome {
            CallOutcome::Value(value) => event.u8(1)?.bytes(value)?.bool(true)?,
            CallOutcome::Threw(error) => event.u8(2)?.bytes(error)?.bool(true)?,
            CallOutcome::Failed { code, maybe_executed } => {
                event.u8(3)?.u8(code.number())?.bool(*maybe_executed)?
            }
        };
        Ok(())
    }
}

fn optional_bytes(encoder: &mut Encoder<Vec<u8>>, bytes: Option<&[u8]>) -> Written {
    match bytes {
        Some(bytes) => encoder.bytes(bytes)?,
        None => encoder.null()?,
    };
    Ok(())
}
