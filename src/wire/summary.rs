//! Frames in a few words, for logs and failing tests. Nothing that ships uses it, so it is not in
//! the wasm module.

use core::fmt::{Display, Formatter, Result};

use crate::options::ConsumeOptions;
use crate::wire::frame::{CallKey, Frame, Outcome, Settlement};

/// Shows a frame by its name, its numbers and the lengths of its byte strings.
#[derive(Clone, Copy, Debug)]
pub struct Summary<'a>(pub &'a Frame<'a>);

impl Display for Summary<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        match self.0 {
            Frame::Hello(_)
            | Frame::Welcome(_)
            | Frame::Hangup { .. }
            | Frame::Ping { .. }
            | Frame::Pong { .. }
            | Frame::Goodbye { .. }
            | Frame::Announce { .. }
            | Frame::Fragment { .. }
            | Frame::PeerInfo { .. }
            | Frame::Resumed
            | Frame::Renew { .. }
            | Frame::Granted { .. }
            | Frame::Peers { .. } => link(self.0, out),
            Frame::Publish(_)
            | Frame::Published { .. }
            | Frame::JoinGroup { .. }
            | Frame::GroupJoined { .. }
            | Frame::LeaveGroup { .. }
            | Frame::GroupMessage { .. }
            | Frame::NewestNumbers { .. }
            | Frame::Listen { .. }
            | Frame::Audience { .. }
            | Frame::Skipped { .. }
            | Frame::Repair { .. }
            | Frame::Repaired { .. } => live(self.0, out),
            Frame::Serve { .. }
            | Frame::Serving { .. }
            | Frame::Unserve { .. }
            | Frame::Method { .. }
            | Frame::Call { .. }
            | Frame::Dispatch { .. }
            | Frame::Reply { .. }
            | Frame::ReplyTaken { .. }
            | Frame::CallResult { .. }
            | Frame::CallsDone { .. }
            | Frame::CancelCall { .. }
            | Frame::CancelDispatch { .. } => call(self.0, out),
            Frame::Stand { .. }
            | Frame::Lead { .. }
            | Frame::Depose { .. }
            | Frame::Resign { .. } => role(self.0, out),
            Frame::Redrive { request, redrive } => {
                write!(out, "Redrive {} {}", request.0, redrive.queue.unwrap_or("?"))
            }
            Frame::Commit { sequence, writes, acks, .. } => {
                let items: usize = writes.iter().map(|staged| staged.items.len()).sum();
                write!(out, "Commit {} items={items} acks={}", sequence.0, acks.len())
            }
            Frame::EndRedrive { request } => write!(out, "EndRedrive {}", request.0),
            Frame::ListQueues { .. }
            | Frame::QueueList { .. }
            | Frame::ListServices { .. }
            | Frame::ServiceList { .. }
            | Frame::WatchQueue { .. }
            | Frame::UnwatchQueue { .. }
            | Frame::QueueStats { .. }
            | Frame::SetPolicy { .. }
            | Frame::ListPolicies { .. }
            | Frame::PolicyList { .. }
            | Frame::Trace { .. } => admin(self.0, out),
            Frame::Duplicates { .. } | Frame::Ingest { .. } | Frame::Window { .. } => {
                publishing(self.0, out)
            }
            _ => queue(self.0, out),
        }
    }
}

fn role(frame: &Frame<'_>, out: &mut Formatter<'_>) -> Result {
    match frame {
        Frame::Stand { candidate, role, holds } => {
            write!(out, "Stand {} {role} holds={:?}", candidate.0, holds.map(|term| term.0))
        }
        Frame::Lead { candidate, term } => write!(out, "Lead {} term={}", candidate.0, term.0),
        Frame::Depose { candidate, refused } => {
            write!(out, "Depose {} refused={refused:?}", candidate.0)
        }
        Frame::Resign { candidate } => write!(out, "Resign {}", candidate.0),
        _ => Ok(()),
    }
}

fn link(frame: &Frame<'_>, out: &mut Formatter<'_>) -> Result {
    match frame {
        Frame::Hello(hello) => {
            let (lane, floor, fresh) = (hello.lane.0, hello.floor.0, hello.fresh);
            let (leases, serving) = (hello.leases.len(), hello.serving.len());
            write!(out, "Hello lane={lane} floor={floor} fresh={fresh}")?;
            write!(out, " leases={leases} serving={serving}")
        }
        Frame::Welcome(welcome) => {
            let (lane, position) = (welcome.lane.0, welcome.position.0);
            let (resumed, rolled_back) = (welcome.resumed, welcome.rolled_back);
            write!(out, "Welcome lane={lane} position={position}")?;
            write!(out, " resumed={resumed} rolled_back={rolled_back}")
        }
        Frame::Hangup { code } => write!(out, "Hangup {}", code.text()),
        Frame::Ping { nonce } => write!(out, "Ping {nonce}"),
        Frame::Pong { nonce } => write!(out, "Pong {nonce}"),
        Frame::Goodbye { park } => write!(out, "Goodbye park={park}"),
        Frame::Fragment { last, bytes } => write!(out, "Fragment {}B last={last}", bytes.len()),
        Frame::PeerInfo { peer } => write!(out, "PeerInfo {}B", peer.len()),
        Frame::Peers { peers } => write!(out, "Peers {}", peers.len()),
        Frame::Resumed => out.write_str("Resumed"),
        Frame::Renew { token } => write!(out, "Renew {}B", token.len()),
        Frame::Granted { ends_in_ms } => write!(out, "Granted {ends_in_ms:?}"),
        _ => out.write_str("Announce"),
    }
}

fn live(frame: &Frame<'_>, out: &mut Formatter<'_>) -> Result {
    match frame {
        Frame::Publish(live) => {
            let (number, index) = (live.number.0, live.index);
            write!(out, "Publish {number}/{index} {} {}B", live.topic, live.body.len())
        }
        Frame::Published { number } => write!(out, "Published {}", number.0),
        Frame::JoinGroup { subscription, filter, group } => {
            write!(out, "JoinGroup {} {filter} {group}", subscription.0)
        }
        Frame::GroupJoined { subscription, refused } => {
            write!(out, "GroupJoined {} {}", subscription.0, text(*refused))
        }
        Frame::LeaveGroup { subscription } => write!(out, "LeaveGroup {}", subscription.0),
        Frame::GroupMessage { subscription, live } => {
            write!(out, "GroupMessage {} {} {}", subscription.0, live.number.0, live.topic)
        }
        Frame::Listen { subscription, filter } => {
            write!(out, "Listen {} {filter}", subscription.0)
        }
        Frame::Audience { audience } => write!(out, "Audience {}", audience.0),
        Frame::Skipped { first, last, .. } => {
            write!(out, "Skipped {}..={}", first.0, last.number.0)
        }
        Frame::NewestNumbers { newest } => write!(out, "NewestNumbers {}", newest.len()),
        Frame::Repair { first, last, .. } => write!(out, "Repair {}..={}", first.0, last.0),
        Frame::Repaired { first, last, messages, .. } => {
            write!(out, "Repaired {}..={} {}", first.0, last.0, messages.len())
        }
        _ => Ok(()),
    }
}

fn publishing(frame: &Frame<'_>, out: &mut Formatter<'_>) -> Result {
    match frame {
        Frame::Duplicates { sequence, items } => {
            write!(out, "Duplicates {} items={}", sequence.0, items.len())
        }
        Frame::Ingest { on } => write!(out, "Ingest {on}"),
        Frame::Window { items } => write!(out, "Window {items}"),
        _ => Ok(()),
    }
}

fn queue(frame: &Frame<'_>, out: &mut Formatter<'_>) -> Result {
    match frame {
        Frame::Declare { request, queue, .. } => write!(out, "Declare {} {queue}", request.0),
        Frame::Inspect { request, queue } => write!(out, "Inspect {} {queue}", request.0),
        Frame::QueueState { request, state, .. } => {
            let (ready, delayed, leased) = (state.ready, state.delayed, state.leased);
            write!(out, "QueueState {} {ready}/{delayed}/{leased}", request.0)
        }
        Frame::RequestRefused { request, code, reason } => {
            write!(out, "RequestRefused {} {} {reason}", request.0, code.text())
        }
        Frame::Send { sequence, queue, items, .. } => {
            write!(out, "Send {} {queue} items={}", sequence.0, items.len())
        }
        Frame::Sent { position } => write!(out, "Sent {}", position.0),
        Frame::SendRefused { sequence, code, reason } => {
            write!(out, "SendRefused {} {} {reason}", sequence.0, code.text())
        }
        Frame::Consume { consumer, queue, options } => {
            let ConsumeOptions { prefetch, prefetch_bytes, .. } = options;
            write!(out, "Consume {} {queue} {prefetch}/{prefetch_bytes}B", consumer.0)
        }
        Frame::Consuming { consumer, refused, .. } => {
            write!(out, "Consuming {} {}", consumer.0, text(*refused))
        }
        Frame::ConsumerActive { consumer, active } => {
            write!(out, "ConsumerActive {} {active}", consumer.0)
        }
        Frame::Pause { request, queue, paused, .. } => {
            write!(out, "Pause {} {queue} {paused}", request.0)
        }
        Frame::Purge { request, queue, through } => {
            write!(out, "Purge {} {queue} through={}", request.0, through.0)
        }
        Frame::DeleteQueue { request, queue, id, .. } => {
            write!(out, "DeleteQueue {} {queue} id={}", request.0, id.0)
        }
        Frame::Browse { request, queue, browse } => {
            write!(out, "Browse {} {queue} after={}", request.0, browse.after.0)
        }
        Frame::Browsed { request, messages, more } => {
            write!(out, "Browsed {} messages={} more={more}", request.0, messages.len())
        }
        Frame::Counted { request, count } => write!(out, "Counted {} {count}", request.0),
        Frame::QueueDeleted { queue } => write!(out, "QueueDeleted {queue}"),
        Frame::Track { request, queue, id, processed } => {
            write!(out, "Track {} {queue} {id} processed={processed}", request.0)
        }
        Frame::Tracked { request, outcome } => write!(out, "Tracked {} {outcome:?}", request.0),
        Frame::Progress { lease, value } => {
            write!(out, "Progress lease={} {}B", lease.0, value.len())
        }
        Frame::Progressed { request, value } => {
            write!(out, "Progressed {} {}B", request.0, value.len())
        }
        Frame::Visible { visible } => write!(out, "Visible {visible}"),
        Frame::CancelConsumer { consumer } => write!(out, "CancelConsumer {}", consumer.0),
        Frame::Deliver(delivery) => {
            let (lease, number, lane) = (delivery.lease.0, delivery.number.0, delivery.lane.0);
            let (sequence, attempt) = (delivery.sequence.0, delivery.attempt);
            write!(out, "Deliver lease={lease} number={number} lane={lane}")?;
            write!(out, " sequence={sequence} attempt={attempt} {}B", delivery.body.len())
        }
        Frame::Settle { lease, settlement } => {
            write!(out, "Settle {} {}", lease.0, settlement_name(settlement))
        }
        Frame::Settled { lease, refused } => write!(out, "Settled {} {}", lease.0, text(*refused)),
        _ => schedule(frame, out),
    }
}

fn schedule(frame: &Frame<'_>, out: &mut Formatter<'_>) -> Result {
    match frame {
        Frame::Schedule { sequence, queue, scheduling, .. } => {
            write!(out, "Schedule {} {queue} {}", sequence.0, scheduling.key)
        }
        Frame::Unschedule { request, queue, number } => {
            write!(out, "Unschedule {} {queue} number={}", request.0, number.0)
        }
        Frame::ListSchedules { request, queue, .. } => {
            write!(out, "ListSchedules {} {queue}", request.0)
        }
        Frame::ScheduleList { request, schedules, more } => {
            write!(out, "ScheduleList {} schedules={} more={more}", request.0, schedules.len())
        }
        _ => prepared(frame, out),
    }
}

fn prepared(frame: &Frame<'_>, out: &mut Formatter<'_>) -> Result {
    match frame {
        Frame::Decide { request, queue, id, commit, .. } => {
            write!(out, "Decide {} {queue} {id} commit={commit}", request.0)
        }
        Frame::Checker { checker, queue } => {
            write!(out, "Checker {} {}", checker.0, queue.unwrap_or("no more"))
        }
        Frame::Check { checker, message, refused } => {
            let number = message.map(|message| message.number.0);
            write!(out, "Check {} number={number:?} {}", checker.0, text(*refused))
        }
        _ => Ok(()),
    }
}

fn admin(frame: &Frame<'_>, out: &mut Formatter<'_>) -> Result {
    match frame {
        Frame::ListQueues { request, after, filter } => {
            let (after, filter) = (after.unwrap_or(""), filter.unwrap_or("#"));
            write!(out, "ListQueues {} {filter} after={after}", request.0)
        }
        Frame::QueueList { request, queues, more } => {
            write!(out, "QueueList {} queues={} more={more}", request.0, queues.len())
        }
        Frame::WatchQueue { watch, queue } => write!(out, "WatchQueue {} {queue}", watch.0),
        Frame::UnwatchQueue { watch } => write!(out, "UnwatchQueue {}", watch.0),
        Frame::QueueStats { watch, stats, refused, .. } => {
            let ready = stats.map(|stats| stats.state.ready);
            write!(out, "QueueStats {} ready={ready:?} {}", watch.0, text(*refused))
        }
        Frame::ListServices { request, after } => {
            let after = after.unwrap_or_default();
            write!(out, "ListServices {} after={after}", request.0)
        }
        Frame::ServiceList { request, services, more } => {
            write!(out, "ServiceList {} services={} more={more}", request.0, services.len())
        }
        Frame::SetPolicy { request, name, policy } => {
            let pattern = policy.as_ref().map_or("removed", |policy| policy.pattern);
            write!(out, "SetPolicy {} {name} {pattern}", request.0)
        }
        Frame::ListPolicies { request } => write!(out, "ListPolicies {}", request.0),
        Frame::PolicyList { request, policies } => {
            write!(out, "PolicyList {} policies={}", request.0, policies.len())
        }
        Frame::Trace { request, queue, traced } => {
            write!(out, "Trace {} {queue} {traced}", request.0)
        }
        _ => Ok(()),
    }
}

fn call(frame: &Frame<'_>, out: &mut Formatter<'_>) -> Result {
    match frame {
        Frame::Serve { service, name, concurrency } => {
            write!(out, "Serve {} {name} concurrency={concurrency}", service.0)
        }
        Frame::Serving { service, refused } => {
            write!(out, "Serving {} {}", service.0, text(*refused))
        }
        Frame::Unserve { service } => write!(out, "Unserve {}", service.0),
        Frame::Method { method, service, name } => {
            write!(out, "Method {} {service}.{name}", method.0)
        }
        Frame::Call { call, method, timeout_ms, arguments, .. } => {
            let (call, method, length) = (call.0, method.0, arguments.len());
            write!(out, "Call {call} method={method} timeout_ms={timeout_ms} {length}B")
        }
        Frame::Dispatch { key, service, method, .. } => {
            write!(out, "Dispatch {} service={} {method}", Key(key), service.0)
        }
        Frame::Reply { key, outcome } => {
            write!(out, "Reply {} {}", Key(key), outcome_name(outcome))
        }
        Frame::ReplyTaken { key } => write!(out, "ReplyTaken {}", Key(key)),
        Frame::CallResult { call, outcome } => {
            write!(out, "CallResult {} {}", call.0, outcome_name(outcome))
        }
        Frame::CallsDone { below } => write!(out, "CallsDone {}", below.0),
        Frame::CancelCall { call } => write!(out, "CancelCall {}", call.0),
        Frame::CancelDispatch { key } => write!(out, "CancelDispatch {}", Key(key)),
        _ => Ok(()),
    }
}

/// The first two bytes of the caller and the number of the call.
struct Key<'a>(&'a CallKey);

impl Display for Key<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        let [first, second, ..] = self.0.caller.0;
        write!(out, "{first:02x}{second:02x}:{}", self.0.call.0)
    }
}

fn text(refused: Option<crate::error::Code>) -> &'static str {
    refused.map_or("ok", crate::error::Code::text)
}

const fn settlement_name(settlement: &Settlement<'_>) -> &'static str {
    match settlement {
        Settlement::Ack { .. } => "ack",
        Settlement::Retry { .. } => "retry",
        Settlement::Reject { .. } => "reject",
        Settlement::Release => "release",
        Settlement::Extend { .. } => "extend",
    }
}

const fn outcome_name(outcome: &Outcome<'_>) -> &'static str {
    match outcome {
        Outcome::Value(_) => "value",
        Outcome::Threw(_) => "threw",
        Outcome::Failed { code, .. } => code.text(),
    }
}
