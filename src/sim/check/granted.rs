//! `refused-leaves-no-trace`: what no grant covered from its asking on is neither confirmed nor
//! stored nor delivered.
//! `allowed-is-done`: nothing is refused as not authorized that each grant since its asking covers.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;

use crate::client::io::{Event, Handle};
use crate::error::Code;
use crate::id::RequestId;
use crate::sim::check::{Checker, View, Violation, violated};
use crate::sim::fact::{Ask, Fact, ProcessId, Tag};
use crate::sim::hub::scope::Scope;

const NO_TRACE: &str = "refused-leaves-no-trace";
const DONE: &str = "allowed-is-done";

/// Something that was asked for, and how many grants its device had had by then.
#[derive(Clone, Debug)]
struct Asked {
    ask: Ask,
    grants: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Key {
    Request(RequestId),
    Handle(Handle),
}

/// What each process of a device with a grant may do.
#[derive(Debug, Default)]
pub struct Granted {
    devices: BTreeMap<ProcessId, usize>,
    /// The grants of each device, the last one last. What a page wrote down another may send.
    grants: BTreeMap<usize, Vec<Scope>>,
    asked: BTreeMap<(ProcessId, Key), Asked>,
    /// What is sent, with the grants since it was asked for. It outlives who asked.
    sends: BTreeMap<Tag, Asked>,
    refused: usize,
}

impl Granted {
    /// How many verbs were refused because a grant did not cover them.
    #[must_use]
    pub const fn refused(&self) -> usize {
        self.refused
    }

    /// None: it may do everything.
    fn grants_of(&self, process: ProcessId) -> Option<&Vec<Scope>> {
        self.grants.get(self.devices.get(&process)?)
    }

    fn asked(&mut self, process: ProcessId, ask: &Ask) {
        let Some(grants) = self.grants_of(process) else { return };
        let key = match ask {
            Ask::Send { request, .. }
            | Ask::Decide { request, .. }
            | Ask::Declare { request, .. }
            | Ask::Inspect { request, .. } => Key::Request(*request),
            Ask::Consume { consumer, .. } => Key::Handle(Handle::Consumer(*consumer)),
            Ask::Serve { service, .. } => Key::Handle(Handle::Service(*service)),
            Ask::Lead { candidate, .. } => Key::Handle(Handle::Candidate(*candidate)),
            Ask::Watch { watch, .. } => Key::Handle(Handle::Watch(*watch)),
            _ => return,
        };
        let asked = Asked { ask: ask.clone(), grants: grants.len() };
        if let Ask::Send { tags, .. } = ask {
            self.sends.extend(tags.iter().map(|tag| (*tag, asked.clone())));
        }
        self.asked.insert((process, key), asked);
    }

    /// Whether any, and whether each grant since then covers what was asked for.
    fn covered(&self, process: ProcessId, asked: &Asked) -> Option<(bool, bool)> {
        let since = self.grants_of(process)?.get(asked.grants - 1..)?;
        let covers = |scope: &Scope| scope.covers(&asked.ask);
        let all: Vec<bool> = since.iter().filter_map(covers).collect();
        let any = all.iter().any(|covered| *covered);
        (!all.is_empty()).then(|| (any, all.iter().all(|covered| *covered)))
    }

    fn done(&self, process: ProcessId, asked: &Asked) -> Result<(), Violation> {
        match self.covered(process, asked) {
            Some((false, _)) => {
                violated(NO_TRACE, format!("process {} did {:?}", process.0, asked.ask))
            }
            _ => Ok(()),
        }
    }

    fn refused_as(&mut self, process: ProcessId, key: Key, code: Code) -> Result<(), Violation> {
        if code != Code::NotAuthorized {
            return Ok(());
        }
        self.refused += 1;
        let Some(asked) = self.asked.get(&(process, key)) else { return Ok(()) };
        match self.covered(process, asked) {
            Some((_, true)) => {
                let what = format!("process {} is refused {:?}", process.0, asked.ask);
                violated(DONE, what)
            }
            _ => Ok(()),
        }
    }

    fn told(&mut self, process: ProcessId, event: &Event) -> Result<(), Violation> {
        let key = match event {
            Event::Sent { request, .. }
            | Event::QueueState { request, .. }
            | Event::Counted { request, .. } => Key::Request(*request),
            Event::Consuming { consumer, .. } | Event::Delivery { consumer, .. } => {
                Key::Handle(Handle::Consumer(*consumer))
            }
            Event::Serving { service } => Key::Handle(Handle::Service(*service)),
            Event::Leading { candidate, .. } => Key::Handle(Handle::Candidate(*candidate)),
            Event::QueueStats { watch, .. } => Key::Handle(Handle::Watch(*watch)),
            Event::Failed { request, code, .. } => {
                return self.refused_as(process, Key::Request(*request), *code);
            }
            Event::HandleRefused { handle, code } => {
                return self.refused_as(process, Key::Handle(*handle), *code);
            }
            _ => return Ok(()),
        };
        match self.asked.get(&(process, key)) {
            Some(asked) => self.done(process, asked),
            None => Ok(()),
        }
    }

    /// What is stored was covered at some time.
    fn stored(&self, view: View<'_>) -> Result<(), Violation> {
        for (tag, asked) in &self.sends {
            if view.model.by_tag.contains_key(tag) {
                self.done(tag.process, asked)?;
            }
        }
        Ok(())
    }
}

impl Checker for Granted {
    fn observe(&mut self, _view: View<'_>, fact: &Fact<'_>) -> Result<(), Violation> {
        match fact {
            Fact::Granted { process, device, scope } => {
                self.devices.insert(*process, *device);
                self.grants.entry(*device).or_default().push(**scope);
            }
            Fact::Asked { process, ask } => self.asked(*process, ask),
            Fact::Told { process, event } => return self.told(*process, event),
            Fact::Ended { process } => {
                self.asked.retain(|(owner, _), _| owner != process);
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, view: View<'_>) -> Result<(), Violation> {
        self.stored(view)
    }
}
