//! What a broker knows that is in no log. It dies with its process. A broker that is made anew over
//! the same log and under the same epoch, because the storage was full, takes it over: clients see
//! one node, and would have it run their calls a second time.

use crate::broker::Broker;
use crate::broker::answers::Answers;
use crate::broker::calls::PendingCall;
use crate::broker::deadline::Deadlines;
use crate::broker::services::Services;
use crate::sorted::Line;
use crate::time::Instant;
use crate::wire::frame::CallKey;

#[derive(Debug, Default)]
pub struct Volatile {
    pub(super) services: Services,
    pub(super) calls: Line<CallKey, PendingCall>,
    pub(super) call_ends: Deadlines<CallKey, Instant>,
    pub(super) answers: Answers,
}

impl Broker {
    /// What the next broker of this node takes over.
    #[must_use]
    pub fn into_volatile(self) -> Volatile {
        let Self { mut services, calls, call_ends, answers, .. } = self;
        services.forget_servers();
        Volatile { services, calls, call_ends, answers }
    }
}
