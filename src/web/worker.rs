//! What a page knows of the worker that hosts for it. The worker is a realm of its own and competes
//! for the same lock, so a page only has to know when to stand in for it, and when to make room.

use crate::time::Now;
use crate::web::io::Notice;
use crate::web::realm::Realm;

/// What a realm is on its bus.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Part {
    /// A client that hosts as well.
    #[default]
    Whole,
    /// A client beside a worker that hosts. Where it stands by it waits for the lock behind the
    /// worker, so that somebody hosts at once when the worker dies; else it hosts only if nobody
    /// else answers.
    Page { stands_by: bool },
    /// It hosts for pages and has no client of its own.
    Worker,
}

/// What a page is told of its worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WorkerNews {
    /// It waits for the lock, or has it.
    Up,
    /// It died, can't be started, or takes too long to.
    Down,
}

/// The worker of a page.
#[derive(Debug, Default)]
pub(super) struct Worker {
    /// `None` until something is known of it.
    news: Option<WorkerNews>,
    /// It was asked to take the lock, and no node has answered since.
    asked: bool,
    /// It came up while this page began to host.
    takes_over: bool,
}

impl Realm {
    /// Whether this realm may ask for the node's lock.
    pub(super) const fn stands_in(&self, steal: bool) -> bool {
        match self.config.part {
            Part::Whole | Part::Worker => true,
            Part::Page { stands_by } => steal || (stands_by && self.worker.news.is_some()),
        }
    }

    pub(super) fn worker_news(&mut self, now: Now, news: WorkerNews) {
        let asked = core::mem::take(&mut self.worker.asked);
        self.worker = Worker { news: Some(news), asked: false, takes_over: false };
        match news {
            WorkerNews::Up if self.hosting.is_here() => {
                self.worker.takes_over = !self.hosting.is_running();
                self.hand_over(now);
            }
            // Behind the worker, whatever place in the line this realm had.
            WorkerNews::Up => self.request_lock(false),
            // It was to take the lock from a node that is silent, and is silent itself.
            WorkerNews::Down if asked => self.request_lock(true),
            WorkerNews::Down if !self.hosting.is_waiting() => self.request_lock(false),
            WorkerNews::Down => {}
        }
    }

    /// Somebody took the lock because this worker stood still, and it runs again: its pages may
    /// give the node back. One whose hosting failed says nothing, and stays behind them.
    pub(super) fn waits_again(&mut self) {
        if self.config.part == Part::Worker {
            self.tell(Notice::WaitsAgain);
        }
    }

    /// The node of this page runs by now: a worker that came up meanwhile gets it.
    pub(super) fn make_room(&mut self, now: Now) {
        if core::mem::take(&mut self.worker.takes_over) {
            self.hand_over(now);
        }
    }

    /// A node has answered.
    pub(super) const fn node_answered(&mut self) {
        self.worker.asked = false;
    }

    /// The client has work and hears nothing of the node. The worker is asked first: where it
    /// lives, it is another page or worker that stands still.
    pub(super) fn node_silent(&mut self) {
        if !self.config.persistent {
            return;
        }
        if self.worker.news == Some(WorkerNews::Up) && !self.worker.asked {
            self.worker.asked = true;
            return self.tell(Notice::WorkerMustHost);
        }
        self.request_lock(true);
    }
}
