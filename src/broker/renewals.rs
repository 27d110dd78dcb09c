//! Grants that end or change while their connection is up.

use alloc::vec::Vec;

use crate::broker::Broker;
use crate::broker::grants::{Action, Grant};
use crate::broker::io::Event;
use crate::error::Code;
use crate::id::{CandidateId, ClientId, ConnId, ConsumerId, QueueId, ServiceId, SubscriptionId};
use crate::limits::TOKEN_BYTES_MAX;
use crate::marks::{Mark, mark};
use crate::time::Now;
use crate::wire::Frame;
use crate::wire::frame::GrantReport;

impl Broker {
    /// Hangs up what came to the end of its grant. Its session waits for another link, as after any
    /// that is lost.
    pub(super) fn end_grants(&mut self, now: Now) {
        if self.over {
            return;
        }
        while let Some(conn) = self.links.take_expired(now.unix) {
            if self.rules.grant_ends() {
                mark(Mark::GrantEnded);
                self.hang_up(now, conn, Code::NotAuthorized);
            }
        }
    }

    /// Who grants is the host.
    pub(super) fn on_renew(&mut self, now: Now, conn: ConnId, token: &str) {
        if token.len() > TOKEN_BYTES_MAX {
            return self.hang_up(now, conn, Code::TooLarge);
        }
        if self.links.granted(conn).is_some() {
            self.events.push_back(Event::Renewal { conn, token: token.into() });
        }
    }

    /// What the client of the connection is told of its grant.
    pub(super) fn grant_report(&self, now: Now, conn: ConnId) -> Option<GrantReport> {
        let user = self.links.user_of(conn)?.into();
        let ends_at = self.links.grant_ends_at(conn);
        Some(GrantReport { user, ends_in_ms: ends_at.map(|at| at.0.saturating_sub(now.unix.0)) })
    }

    pub(super) fn on_renewed(&mut self, now: Now, conn: ConnId, grant: Grant) {
        if self.links.renew(conn, grant).is_err() {
            return self.hang_up(now, conn, Code::NotAuthorized);
        }
        self.end_grants(now);
        let client = self.links.client_of(conn);
        let open = |client: &ClientId| {
            self.sessions.get(client).is_some_and(|session| session.conn == Some(conn))
        };
        if let Some(client) = client.filter(open) {
            self.log.begin_batch();
            self.end_consumers_without_grant(conn, client);
            self.end_groups_without_grant(conn, client);
            self.end_services_without_grant(conn, client);
            self.end_roles_without_grant(conn, client);
            self.end_looks_without_grant(conn, client);
            self.log.end_batch();
            let report = self.grant_report(now, conn);
            let ends_in_ms = report.and_then(|report| report.ends_in_ms);
            self.links.push(conn, &Frame::Granted { ends_in_ms });
        }
    }

    fn may(&self, conn: ConnId, action: Action, name: &str) -> bool {
        self.links.granted(conn).is_none_or(|granted| granted.may(action, name))
    }

    /// What they hold stays leased until it is settled.
    fn end_consumers_without_grant(&mut self, conn: ConnId, client: ClientId) {
        let Some(session) = self.sessions.get(&client) else { return };
        let covered = |queue: QueueId| {
            let queue = self.state.queues.get(&queue);
            queue.is_some_and(|queue| self.may(conn, Action::Consume, &queue.name))
        };
        let consumers = session.consumers.iter().filter(|(_, consumer)| !covered(consumer.queue));
        let ended: Vec<ConsumerId> = consumers.map(|(id, _)| *id).collect();
        for consumer in ended {
            mark(Mark::GrantNarrowed);
            self.on_cancel_consumer(client, consumer);
            let refused = Some(Code::NotAuthorized);
            self.gated(conn, &Frame::Consuming { consumer, refused, single_active: None });
        }
    }

    fn end_groups_without_grant(&mut self, conn: ConnId, client: ClientId) {
        let Some(session) = self.sessions.get(&client) else { return };
        let covered = |subscription: &SubscriptionId| {
            let filter = self.live.filter_of(client, *subscription);
            let granted = self.links.granted(conn);
            filter.is_none_or(|filter| granted.is_none_or(|granted| granted.may_listen(filter)))
        };
        let groups = session.groups.iter().copied();
        let ended: Vec<SubscriptionId> = groups.filter(|group| !covered(group)).collect();
        for subscription in ended {
            self.on_leave_group(client, subscription);
            let refused = Some(Code::NotAuthorized);
            self.links.push(conn, &Frame::GroupJoined { subscription, refused });
        }
    }

    /// Calls that were dispatched go on.
    fn end_services_without_grant(&mut self, conn: ConnId, client: ClientId) {
        let Some(session) = self.sessions.get(&client) else { return };
        let services = session.services.iter();
        let lost = services.filter(|(_, name)| !self.may(conn, Action::Serve, name));
        let ended: Vec<ServiceId> = lost.map(|(service, _)| *service).collect();
        for service in ended {
            self.on_unserve(client, service);
            let refused = Some(Code::NotAuthorized);
            self.links.push(conn, &Frame::Serving { service, refused });
        }
    }

    fn end_roles_without_grant(&mut self, conn: ConnId, client: ClientId) {
        let Some(session) = self.sessions.get(&client) else { return };
        let candidates = session.candidates.iter();
        let lost = candidates.filter(|(_, role)| !self.may(conn, Action::Serve, role));
        let ended: Vec<CandidateId> = lost.map(|(candidate, _)| *candidate).collect();
        for candidate in ended {
            self.on_resign(client, candidate);
            let refused = Some(Code::NotAuthorized);
            self.gated(conn, &Frame::Depose { candidate, refused });
        }
    }

    /// Watched queues, and those whose prepared messages it may be asked about.
    fn end_looks_without_grant(&mut self, conn: ConnId, client: ClientId) {
        let (at, refused) = (self.now.unix, Some(Code::NotAuthorized));
        for (watch, queue) in self.watches.of_client(client) {
            let granted = self.links.granted(conn);
            if granted.is_some_and(|granted| !granted.is_admin() && !granted.may_use(&queue)) {
                self.on_unwatch(client, watch);
                self.gated(conn, &Frame::QueueStats { watch, at, stats: None, refused });
            }
        }
        for (checker, queue) in self.questions.of_client(client) {
            if !self.may(conn, Action::Consume, &queue) {
                self.questions.drop_checker(client, checker);
                self.gated(conn, &Frame::Check { checker, message: None, refused });
            }
        }
    }
}
