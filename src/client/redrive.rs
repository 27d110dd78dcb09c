//! Redrives of this client: asked for like every question, and forgotten by the node when told so.

use alloc::vec::Vec;

use crate::client::Client;
use crate::error::{Code, Refused};
use crate::id::RequestId;
use crate::time::Now;
use crate::topic::Name;
use crate::wire::Frame;
use crate::wire::frame::Redrive;

#[derive(Debug, Default)]
pub(super) struct Redrives {
    /// Without an answer.
    asked: Vec<RequestId>,
    /// What the node may still know of, though nobody waits for it.
    over: Vec<RequestId>,
}

impl Client {
    /// Moves dead letters back. `Counted` follows with how many, once all that are meant are moved;
    /// with a rate that may take long. `cancel_request` stops it, and what was moved stays moved.
    ///
    /// # Errors
    /// As for every verb.
    pub fn redrive(&mut self, now: Now, redrive: &Redrive<'_>) -> Result<RequestId, Refused> {
        self.start_verb(now)?;
        let request = self.begin_redrive(redrive);
        self.settle_forward();
        request
    }

    fn begin_redrive(&mut self, redrive: &Redrive<'_>) -> Result<RequestId, Refused> {
        for name in [redrive.queue, redrive.into].into_iter().flatten() {
            Name::parse(name, &self.limits)?;
        }
        redrive.check(&self.limits)?;
        if self.redrives.asked.len() + self.redrives.over.len() >= self.limits.redrives_max as usize
        {
            return Err(Refused::new(Code::Full, "redrives_max"));
        }
        let redrive = redrive.clone();
        let request = self.ask(|request| Frame::Redrive { request, redrive })?;
        self.redrives.asked.push(request);
        Ok(request)
    }

    /// The request is answered: the node need not remember it.
    pub(super) fn redrive_answered(&mut self, request: RequestId) {
        let asked = self.redrives.asked.len();
        self.redrives.asked.retain(|other| *other != request);
        if self.redrives.asked.len() < asked {
            self.end_redrive(request);
        }
    }

    /// The user waits no more. Stops the request if it is a redrive.
    pub(super) fn cancel_redrive(&mut self, request: RequestId) {
        if self.redrives.asked.contains(&request) && self.take_question(request) {
            self.redrive_answered(request);
            self.drop_request(request);
        }
    }

    fn end_redrive(&mut self, request: RequestId) {
        match self.link.writer() {
            Some(writer) => writer.push(&Frame::EndRedrive { request }),
            None => self.redrives.over.push(request),
        }
    }

    /// Tells the node of a new link what it need not remember.
    pub(super) fn resume_redrives(&mut self) {
        for request in core::mem::take(&mut self.redrives.over) {
            self.end_redrive(request);
        }
    }
}
