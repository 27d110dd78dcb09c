//! The checkers. Each holds one promise of the system against everything that happens.

pub mod accepted;
pub mod advisories;
pub mod audible;
pub mod calls;
pub mod chain;
pub mod due;
pub mod epochs;
pub mod expiry;
pub mod flow;
pub mod granted;
pub mod leases;
pub mod live;
pub mod numbers;
pub mod prepared;
pub mod redrives;
pub mod requests;
pub mod results;
pub mod roles;
pub mod sampling;
pub mod sends;
pub mod slow;
pub mod stored;
pub mod watches;

use alloc::string::String;

use crate::sim::fact::Fact;
use crate::sim::model::Model;
use crate::sim::schedule::Micros;
use crate::sim::walls::Walls;

/// A promise was broken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// The name of the checker.
    pub checker: &'static str,
    pub what: String,
}

pub fn violated<T>(checker: &'static str, what: String) -> Result<T, Violation> {
    Err(Violation { checker, what })
}

/// What a checker may look at beside the fact.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub now: Micros,
    /// What is stored, as of this moment.
    pub model: &'a Model,
    pub walls: &'a Walls,
}

pub trait Checker {
    /// Looks at one fact.
    ///
    /// # Errors
    /// The promise that the fact breaks.
    fn observe(&mut self, view: View<'_>, fact: &Fact<'_>) -> Result<(), Violation>;

    /// Looks at the end of the run, when all that was asked for had time to happen.
    ///
    /// # Errors
    /// The promise that was not kept.
    fn finish(&mut self, _view: View<'_>) -> Result<(), Violation> {
        Ok(())
    }
}

macro_rules! checkers {
    ($($field:ident: $module:ident::$type:ident,)+) => {
        /// All checkers.
        #[derive(Debug, Default)]
        pub struct Checkers {
            $(pub $field: $module::$type,)+
        }

        impl Checkers {
            fn all(&mut self) -> [&mut dyn Checker; [$(stringify!($field)),+].len()] {
                [$(&mut self.$field,)+]
            }
        }
    };
}

checkers! {
    accepted: accepted::Accepted,
    epochs: epochs::Epochs,
    expiry: expiry::Expiry,
    flow: flow::Flow,
    granted: granted::Granted,
    stored: stored::Stored,
    sends: sends::Sends,
    leases: leases::Leases,
    chain: chain::Chain,
    numbers: numbers::Numbers,
    prepared: prepared::Prepared,
    redrives: redrives::Redrives,
    slow: slow::Slow,
    due: due::Due,
    advisories: advisories::Advisories,
    calls: calls::Calls,
    roles: roles::Roles,
    sampling: sampling::Sampling,
    live: live::Live,
    requests: requests::Requests,
    results: results::Results,
    watches: watches::Watches,
}

impl Checkers {
    /// Shows a fact to every checker.
    ///
    /// # Errors
    /// The first promise it breaks.
    pub fn observe(&mut self, view: View<'_>, fact: &Fact<'_>) -> Result<(), Violation> {
        self.all().into_iter().try_for_each(|checker| checker.observe(view, fact))
    }

    /// # Errors
    /// The first promise that was not kept to the end.
    pub fn finish(&mut self, view: View<'_>) -> Result<(), Violation> {
        self.all().into_iter().try_for_each(|checker| checker.finish(view))
    }
}
