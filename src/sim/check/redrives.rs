//! `redrive-counts`: a redrive is answered with how many messages its records moved, whatever
//! happened to nodes and links meanwhile.

use alloc::collections::BTreeMap;
use alloc::format;

use crate::client::io::Event;
use crate::id::{ClientId, RequestId};
use crate::log::Record;
use crate::sim::check::{Checker, View, Violation, violated};
use crate::sim::fact::{Ask, Fact, ProcessId};

const COUNTS: &str = "redrive-counts";

#[derive(Debug, Default)]
pub struct Redrives {
    clients: BTreeMap<ProcessId, ClientId>,
    /// Those without an answer, and whether the log lost something of them.
    asked: BTreeMap<(ProcessId, RequestId), bool>,
    moved: usize,
    circles: usize,
}

impl Redrives {
    /// How many messages were moved back.
    #[must_use]
    pub const fn moved(&self) -> usize {
        self.moved
    }

    /// How many messages were discarded because they went in a circle.
    #[must_use]
    pub const fn circles(&self) -> usize {
        self.circles
    }

    fn counted(
        &mut self,
        view: View<'_>,
        process: ProcessId,
        request: RequestId,
        count: u64,
    ) -> Result<(), Violation> {
        let Some(shaken) = self.asked.remove(&(process, request)) else { return Ok(()) };
        let client = self.clients.get(&process).copied().unwrap_or_default();
        let known = view.model.redrives.get(&(client, request));
        if shaken || known.is_some_and(|known| known.over && known.moved == count) {
            return Ok(());
        }
        let what = format!("process {}: redrive {} says {count}", process.0, request.0);
        violated(COUNTS, format!("{what}, the log says {known:?}"))
    }
}

impl Checker for Redrives {
    fn observe(&mut self, view: View<'_>, fact: &Fact<'_>) -> Result<(), Violation> {
        match fact {
            Fact::Began { process, client } => {
                self.clients.insert(*process, *client);
            }
            Fact::Asked { process, ask: Ask::Redrive { request } } => {
                self.asked.insert((*process, *request), false);
            }
            Fact::Told { process, event: Event::Counted { request, count } } => {
                return self.counted(view, *process, *request, *count);
            }
            Fact::TailLost { .. } => self.asked.values_mut().for_each(|shaken| *shaken = true),
            Fact::Stored { records, .. } => {
                for (_, record) in *records {
                    self.moved += usize::from(matches!(record, Record::Redriven { .. }));
                    let circle = |record: &Record<'_>| {
                        let Record::Removed { removal, .. } = record else { return false };
                        matches!(removal, crate::log::Removal::Discarded { reason: "circle" })
                    };
                    self.circles += usize::from(circle(record));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
