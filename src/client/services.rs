//! Services that this tab offers, and the calls it runs for others.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use crate::client::Client;
use crate::client::io::{Event, Handle};
use crate::error::{Code, Refused};
use crate::id::ServiceId;
use crate::sorted::{Line, Map};
use crate::topic::Name;
use crate::wire::Frame;
use crate::wire::envelope::encode_frame;
use crate::wire::frame::{CallKey, Outcome};

#[derive(Debug)]
struct Service {
    name: String,
    concurrency: u32,
}

/// A call that was dispatched to this tab.
#[derive(Debug)]
enum Dispatched {
    Running,
    /// The encoded reply, until the node has taken it.
    Replied(Vec<u8>),
}

#[derive(Debug, Default)]
pub(super) struct Services {
    services: Map<ServiceId, Service>,
    last: u32,
    dispatched: Line<CallKey, Dispatched>,
    replies: usize,
}

impl Services {
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
    }

    pub fn serving(&self) -> Vec<CallKey> {
        self.dispatched.keys().copied().collect()
    }

    /// Some reply was not taken.
    pub fn is_waiting(&self) -> bool {
        self.replies > 0
    }
}

/// A call as the node hands it over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dispatch<'a> {
    pub key: CallKey,
    pub service: ServiceId,
    pub method: &'a str,
    pub timeout_ms: u64,
    pub arguments: &'a [u8],
    pub traceparent: Option<&'a str>,
}

impl Client {
    pub(super) fn begin_serve(
        &mut self,
        name: &str,
        concurrency: u32,
    ) -> Result<ServiceId, Refused> {
        Name::parse(name, &self.limits)?;
        self.check_handles(self.services.services.len())?;
        if concurrency == 0 {
            return Err(Refused::new(Code::Invalid, "concurrency"));
        }
        self.services.last = self.services.last.saturating_add(1);
        let service = ServiceId(self.services.last);
        self.push(&Frame::Serve { service, name, concurrency });
        let name = name.to_owned();
        self.services.services.insert(service, Service { name, concurrency });
        self.awaited.insert(Handle::Service(service));
        Ok(service)
    }

    /// Calls under way go on.
    pub(super) fn end_service(&mut self, service: ServiceId) {
        self.awaited.remove(&Handle::Service(service));
        if self.services.services.remove(&service).is_some() {
            self.push(&Frame::Unserve { service });
        }
    }

    pub(super) fn declare_services(&mut self) {
        let Some(writer) = self.link.writer() else { return };
        for (id, service) in self.services.services.iter() {
            let Service { name, concurrency } = service;
            writer.push(&Frame::Serve { service: *id, name, concurrency: *concurrency });
        }
    }

    pub(super) fn on_serving(&mut self, service: ServiceId, refused: Option<Code>) {
        let handle = Handle::Service(service);
        match refused {
            None => self.confirm(handle, Event::Serving { service }),
            Some(code) => {
                let known = self.services.services.remove(&service).is_some();
                self.refuse(handle, known, code);
            }
        }
    }

    pub(super) fn on_dispatch(&mut self, dispatch: &Dispatch<'_>) {
        let key = dispatch.key;
        match self.services.dispatched.get(&key) {
            Some(Dispatched::Running) => return,
            Some(Dispatched::Replied(reply)) => {
                if let Some(writer) = self.link.writer() {
                    writer.push_encoded(reply);
                }
                return;
            }
            None => {}
        }
        let refused = if !self.services.services.contains_key(&dispatch.service) {
            Some(Code::Unavailable)
        } else if self.services.dispatched.len() >= self.limits.replies_max as usize {
            Some(Code::Full)
        } else {
            None
        };
        if let Some(code) = refused {
            let outcome = Outcome::Failed { code, maybe_executed: false };
            return self.push(&Frame::Reply { key, outcome });
        }
        self.services.dispatched.insert(key, Dispatched::Running);
        self.events.push_back(Event::Dispatch {
            key,
            service: dispatch.service,
            method: dispatch.method.to_owned(),
            deadline: self.now.mono.after_ms(dispatch.timeout_ms),
            arguments: dispatch.arguments.to_owned(),
            traceparent: dispatch.traceparent.map(ToOwned::to_owned),
        });
    }

    pub(super) fn answer_dispatch(
        &mut self,
        key: CallKey,
        outcome: Outcome<'_>,
    ) -> Result<(), Refused> {
        if let Outcome::Value(body) | Outcome::Threw(body) = outcome {
            self.check_body(body, None)?;
        }
        let Some(dispatched) = self.services.dispatched.get_mut(&key) else { return Ok(()) };
        if matches!(dispatched, Dispatched::Replied(_)) {
            return Ok(());
        }
        let mut reply = Vec::new();
        encode_frame(&Frame::Reply { key, outcome }, &mut reply);
        if let Outcome::Failed { .. } = outcome {
            // The way out when a reply is refused: always taken.
            self.requests.reserve_reply_anyway(reply.len());
        } else {
            self.requests.reserve_reply(reply.len(), &self.limits)?;
        }
        if let Some(writer) = self.link.writer() {
            writer.push_encoded(&reply);
        }
        *dispatched = Dispatched::Replied(reply);
        self.services.replies += 1;
        Ok(())
    }

    pub(super) fn resend_replies(&mut self) {
        let Some(writer) = self.link.writer() else { return };
        for dispatched in self.services.dispatched.values() {
            if let Dispatched::Replied(reply) = dispatched {
                writer.push_encoded(reply);
            }
        }
    }

    /// The node has the reply, or nobody waits for it.
    pub(super) fn on_reply_taken(&mut self, key: CallKey) {
        if let Some(Dispatched::Replied(_)) = self.services.dispatched.get(&key) {
            self.forget_dispatch(key);
        }
    }

    pub(super) fn on_cancel_dispatch(&mut self, key: CallKey) {
        if self.forget_dispatch(key) {
            self.events.push_back(Event::DispatchCancelled { key });
        }
    }

    /// True if it was still running.
    fn forget_dispatch(&mut self, key: CallKey) -> bool {
        match self.services.dispatched.remove(&key) {
            Some(Dispatched::Running) => true,
            Some(Dispatched::Replied(reply)) => {
                self.services.replies -= 1;
                self.requests.release_reply(reply.len());
                false
            }
            None => false,
        }
    }

    /// The client leaves for a while. The node may not hear of it, and would dispatch again what
    /// it thinks never arrived: what runs is answered, and that answer is kept.
    pub(super) fn give_up_dispatches(&mut self) {
        let running = self.services.dispatched.iter();
        let running = running.filter(|(_, dispatched)| matches!(dispatched, Dispatched::Running));
        let running: Vec<CallKey> = running.map(|(key, _)| *key).collect();
        for key in running {
            let outcome = Outcome::Failed { code: Code::PeerLost, maybe_executed: true };
            // A failure is always taken.
            let _ = self.answer_dispatch(key, outcome);
            self.events.push_back(Event::DispatchCancelled { key });
        }
    }

    /// The node ends the calls this client runs: it leaves.
    pub(super) fn cancel_dispatches(&mut self) {
        for key in self.services.serving() {
            self.on_cancel_dispatch(key);
        }
    }
}
