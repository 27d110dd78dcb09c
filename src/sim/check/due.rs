//! `due-is-fired-at-last`: what a schedule was due to send is sent when all is well again, if its
//! queue has room for it.

use alloc::format;

use crate::sim::check::{Checker, View, Violation, violated};
use crate::sim::fact::Fact;
use crate::sim::schedule::{Micros, SECOND};

const AT_LAST: &str = "due-is-fired-at-last";

/// A schedule whose queue was full is looked at again after a while.
const SLACK: Micros = 15 * SECOND;

#[derive(Debug, Default)]
pub struct Due;

impl Checker for Due {
    fn observe(&mut self, _view: View<'_>, _fact: &Fact<'_>) -> Result<(), Violation> {
        Ok(())
    }

    fn finish(&mut self, view: View<'_>) -> Result<(), Violation> {
        let lowest = view.walls.lowest(view.now.saturating_sub(SLACK));
        match view.model.overdue(lowest) {
            Some((number, due_at)) => {
                violated(AT_LAST, format!("schedule {} was due at {}", number.0, due_at.0))
            }
            None => Ok(()),
        }
    }
}
