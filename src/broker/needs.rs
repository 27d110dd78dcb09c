//! What each frame needs of the grant of its connection.

use crate::broker::Broker;
use crate::broker::grants::{Action, Granted};
use crate::error::{Code, Refused};
use crate::id::{ClientId, ConnId};
use crate::limits::Limits;
use crate::marks::{Mark, mark};
use crate::options::{DeadLetter, QueueOptions};
use crate::topic::Filter;
use crate::wire::Frame;
use crate::wire::frame::{Item, Redrive, Task};

/// The pattern of any of these frames.
macro_rules! any_of {
    ($($name:ident)+) => { $(Frame::$name { .. })|+ };
}

/// The word of what is missing: it is the reason of the refusal.
type Missing = &'static str;

const ADMIN: Missing = "admin";

/// Whether a frame may be handled. There is no arm for the rest, so that whoever adds a frame says
/// here what it needs. `service` is the one that a call is for.
fn judge(
    granted: &Granted,
    limits: &Limits,
    frame: &Frame<'_>,
    service: Option<&str>,
) -> Result<(), Missing> {
    let may = |action, name| needs(action, granted.may(action, name));
    match frame {
        // Who sends to a queue may also take back, put off and follow what was sent.
        Frame::Send { queue, items, .. } => {
            may(Action::Publish, queue).and(judge_items(granted, items))
        }
        Frame::Commit { writes, .. } => writes.iter().try_for_each(|staged| {
            may(Action::Publish, staged.queue).and(judge_items(granted, &staged.items))
        }),
        Frame::Schedule { queue, scheduling, .. } => {
            // What it samples comes to the queue as if it had been heard here.
            let heard = scheduling.latest.map_or(Ok(()), |topic| may(Action::Subscribe, topic));
            may(Action::Publish, queue).and(heard)
        }
        Frame::Decide { queue, .. }
        | Frame::Unschedule { queue, .. }
        | Frame::ListSchedules { queue, .. }
        | Frame::Track { queue, .. } => may(Action::Publish, queue),
        Frame::Redrive { redrive, .. } => judge_redrive(granted, redrive),

        // A message that is asked about is shown whole.
        Frame::Consume { queue, .. }
        | Frame::Browse { queue, .. }
        | Frame::Checker { queue: Some(queue), .. } => may(Action::Consume, queue),

        Frame::Declare { queue, options, .. } => judge_declare(granted, queue, options),
        // Who purges or deletes names what it saw here.
        Frame::Inspect { queue, .. } | Frame::WatchQueue { queue, .. } => {
            let may_look = granted.may_use(queue) || granted.is_admin();
            if may_look { Ok(()) } else { Err("inspect") }
        }

        // What is no filter is refused as that.
        Frame::JoinGroup { filter, .. } => match Filter::parse(filter, limits) {
            Ok(filter) => needs(Action::Subscribe, granted.may_listen(&filter)),
            Err(_) => Ok(()),
        },
        // Who leads acts for all others under a name that they trust, as who serves does.
        Frame::Serve { name, .. } | Frame::Stand { role: name, .. } => may(Action::Serve, name),
        Frame::Call { .. } => service.map_or(Ok(()), |service| may(Action::Call, service)),

        any_of!(Pause Purge DeleteQueue ListQueues ListServices SetPolicy ListPolicies Trace) => {
            needs_admin(granted)
        }

        // Of the link and of the client itself.
        any_of!(Hello Hangup Ping Pong Goodbye Fragment PeerInfo Resumed Visible Ingest Method)
        | any_of!(Renew) => Ok(()),
        // About what was granted before: a delivery, a call that was dispatched, something begun.
        any_of!(Settle Progress Reply CallsDone CancelCall CancelConsumer LeaveGroup Unserve Resign)
        | any_of!(EndRedrive UnwatchQueue Checker) => Ok(()),
        // Live messages are judged one by one, as nothing but one of them is held back: `veils.rs`.
        any_of!(Publish Listen Repair Repaired) => Ok(()),
        // What only a node says. It breaks the protocol and is hung up as that.
        any_of!(Welcome Announce Published GroupJoined GroupMessage NewestNumbers QueueState)
        | any_of!(RequestRefused Sent SendRefused Duplicates Window Consuming ConsumerActive)
        | any_of!(Browsed Counted QueueDeleted QueueList QueueStats PolicyList ScheduleList Check)
        | any_of!(Deliver Settled Tracked Progressed Serving Dispatch ReplyTaken CallResult)
        | any_of!(CancelDispatch Lead Depose Peers Granted ServiceList Audience Skipped) => Ok(()),
    }
}

fn needs(action: Action, granted: bool) -> Result<(), Missing> {
    if granted { Ok(()) } else { Err(action.text()) }
}

fn needs_admin(granted: &Granted) -> Result<(), Missing> {
    if granted.is_admin() { Ok(()) } else { Err(ADMIN) }
}

/// A redrive goes by the queues in which a message says it died, and moves it there.
fn judge_items(granted: &Granted, items: &[Item<'_>]) -> Result<(), Missing> {
    let died = |item: &Item<'_>| item.past.is_some_and(|past| past.deaths.is_some());
    if granted.is_admin() || !items.iter().any(died) { Ok(()) } else { Err(ADMIN) }
}

/// A sender wants single messages back, by their ids. All else is for an operator.
fn judge_redrive(granted: &Granted, redrive: &Redrive<'_>) -> Result<(), Missing> {
    let by_id = redrive.filter.as_ref().is_some_and(|filter| filter.ids.is_some());
    match redrive.queue {
        _ if granted.is_admin() => Ok(()),
        Some(queue) if redrive.task == Some(Task::Cancel) && by_id => {
            needs(Action::Publish, granted.may(Action::Publish, queue))
        }
        _ => Err(ADMIN),
    }
}

/// Messages of the queue move to those that the declaration names, so who declares it must be
/// allowed to send there. That it has dead letters of its own, under its name, needs nothing.
fn judge_declare(granted: &Granted, queue: &str, options: &QueueOptions) -> Result<(), Missing> {
    if !granted.may_use(queue) {
        return Err("declare");
    }
    if let Some(DeadLetter::Queue(dead)) = &options.dead_letter
        && !granted.may(Action::Publish, dead)
    {
        return Err("dead_letter");
    }
    let expired = options.expired.as_deref();
    if expired.is_some_and(|expired| !granted.may(Action::Publish, expired)) {
        return Err("expired");
    }
    Ok(())
}

impl Broker {
    /// Whether the grant of the connection covers the frame. What is over or under way already is
    /// not judged again: it came under a grant that covered it.
    pub(super) fn judge_frame(
        &self,
        conn: ConnId,
        client: ClientId,
        frame: &Frame<'_>,
    ) -> Result<(), Refused> {
        let Some(granted) = self.links.granted(conn) else { return Ok(()) };
        if self.has_begun(client, frame) || !self.rules.grant_check() {
            return Ok(());
        }
        let missing = |reason| {
            mark(Mark::NotCovered);
            Refused::new(Code::NotAuthorized, reason)
        };
        let service = self.called_service(client, frame);
        judge(granted, &self.limits, frame, service).map_err(missing)
    }

    fn called_service(&self, client: ClientId, frame: &Frame<'_>) -> Option<&str> {
        let Frame::Call { method, .. } = frame else { return None };
        let methods = &self.sessions.get(&client)?.methods;
        methods.get(method).map(|(service, _)| &**service)
    }

    /// Whether it is said again, and the node goes on with it or has its answer.
    fn has_begun(&self, client: ClientId, frame: &Frame<'_>) -> bool {
        match frame {
            Frame::Call { call, first_epoch: Some(_), .. } => self.knows_call(client, *call),
            Frame::Redrive { request, .. } => self.state.redrives.contains_key(&(client, *request)),
            _ => false,
        }
    }

    /// Whether a client may say that it has a call which this node did not give it. It is of a
    /// service that is known, or will be.
    pub(super) fn may_claim(&self, server: ClientId, service: Option<&str>) -> bool {
        let Some(session) = self.sessions.get(&server) else { return true };
        if session.user.is_none() {
            return true;
        }
        // One without a link claims it anew when it resumes.
        let granted = session.conn.and_then(|conn| self.links.granted(conn));
        granted.is_some_and(|granted| match service {
            Some(service) => granted.may(Action::Serve, service),
            None => granted.serves(),
        })
    }
}
