//! What a run changes of the plan of its seed: how often a kind of fault occurs, and how much has
//! to happen before the faults stop.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::sim::dice::Ratio;
use crate::sim::fault::{Fault, PER_MILLE};
use crate::sim::plan::Plan;

/// The most inputs a run may be asked for.
pub const INPUTS_MAX: u64 = 1_000_000;

/// What differs from the plan of the seed. Kinds that are not named follow the plan.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Change {
    pub inputs_min: Option<u64>,
    pub chances: Vec<(Fault, u32)>,
}

impl Change {
    /// The options of the command line that change this.
    #[must_use]
    pub fn options(&self) -> String {
        let mut options = String::new();
        if let Some(inputs) = self.inputs_min {
            options.push_str(&format!(" --inputs {inputs}"));
        }
        for (fault, per_mille) in &self.chances {
            options.push_str(&format!(" --fault {}={per_mille}", fault.text()));
        }
        options
    }

    /// Changes the plan of a world in which `timed` may come at a time; others of those stay out of
    /// it. No number is above the most of its kind.
    pub fn apply(&self, plan: &mut Plan, timed: &[(Fault, u32)]) {
        if self.chances.is_empty() {
            return;
        }
        let weights: u32 = plan.timed.iter().map(|(_, weight)| *weight).sum();
        for (_, weight) in &mut plan.timed {
            *weight = *weight * PER_MILLE / weights;
        }
        for (fault, per_mille) in &self.chances {
            set(plan, *fault, *per_mille, timed);
        }
        let taken: u32 = plan.timed.iter().map(|(_, weight)| *weight).sum();
        plan.uneventful = PER_MILLE.saturating_sub(taken);
    }
}

fn set(plan: &mut Plan, fault: Fault, per_mille: u32, timed: &[(Fault, u32)]) {
    let ratio = Ratio { numerator: per_mille, denominator: PER_MILLE };
    match fault {
        Fault::MessageDropped => plan.network.dropped = ratio,
        Fault::MessageDuplicated => plan.network.duplicated = ratio,
        Fault::BroadcastLost => plan.network.broadcast_lost = ratio,
        Fault::LinkDelayed => plan.network.delayed = ratio,
        Fault::CommitAborted => plan.disk.aborted = ratio,
        Fault::StorageLost => plan.disk.lost = ratio,
        Fault::WriteSlow => plan.disk.slow = ratio,
        Fault::NodeDiedRewriting => plan.died_rewriting = ratio,
        Fault::CommitTorn => plan.disk.tears = per_mille > 0,
        Fault::ChunkMissing => plan.damage.chunk_missing = per_mille > 0,
        Fault::BitFlipped => plan.damage.bit_flipped = per_mille > 0,
        _ => {
            plan.timed.retain(|(timed, _)| *timed != fault);
            if timed.iter().any(|(known, _)| *known == fault) {
                plan.timed.push((fault, per_mille));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::fault::Per;
    use crate::sim::hub::hub_plan;
    use crate::sim::run::{Place, Run, run};

    fn with(chances: Vec<(Fault, u32)>) -> Run {
        Run { change: Change { inputs_min: Some(500), chances }, ..Run::of(3) }
    }

    fn all(per_mille: impl Fn(Fault) -> u32) -> Vec<(Fault, u32)> {
        let settable = Fault::ALL.iter().filter(|fault| !fault.follows());
        settable.map(|fault| (*fault, per_mille(*fault))).collect()
    }

    #[test]
    fn a_run_of_no_faults_has_none_but_those_that_follow() {
        let report = run(&with(all(|_| 0)));
        assert_eq!(report.violation, None);
        let own = Fault::ALL.iter().filter(|fault| !fault.follows());
        assert_eq!(own.map(|fault| report.totals.faults.of(*fault)).sum::<u64>(), 0);
        assert!(report.totals.inputs >= 500);
    }

    #[test]
    fn a_kind_alone_comes_alone_and_as_often_as_it_is_set() {
        let only = |per_mille| all(|fault| if fault == Fault::NodeDied { per_mille } else { 0 });
        let count = |per_mille| run(&with(only(per_mille))).totals.faults.of(Fault::NodeDied);
        let (rare, often) = (count(100), count(1000));
        assert!(0 < rare && rare * 3 < often, "{rare} and {often}");
    }

    #[test]
    fn promises_hold_with_every_kind_at_its_most() {
        let report = run(&with(all(|fault| fault.per().per_mille_max())));
        assert_eq!(report.violation, None);
        for fault in Fault::ALL.iter().filter(|fault| fault.per() == Per::Operation) {
            assert!(report.totals.faults.of(*fault) > 0, "{}", fault.text());
        }
    }

    #[test]
    fn a_hub_has_no_faults_where_there_are_to_be_none_and_stands_all_at_their_most() {
        let at = |per_mille: &dyn Fn(Fault) -> u32| {
            run(&Run { place: Place::Hub, ..with(all(per_mille)) })
        };
        let quiet = at(&|_| 0);
        assert_eq!(quiet.violation, None);
        let own = Fault::ALL.iter().filter(|fault| !fault.follows());
        assert_eq!(own.map(|fault| quiet.totals.faults.of(*fault)).sum::<u64>(), 0);
        let stormy = at(&|fault| fault.per().per_mille_max());
        assert_eq!(stormy.violation, None);
        let timed = hub_plan::TIMED.iter().map(|(fault, _)| stormy.totals.faults.of(*fault));
        assert!(timed.filter(|count| *count > 0).count() >= 5);
    }

    #[test]
    fn what_only_hubs_have_stays_out_of_a_device() {
        let report = run(&with([(Fault::HubDied, 1000)].into()));
        assert_eq!((report.violation, report.totals.faults.of(Fault::HubDied)), (None, 0));
    }

    #[test]
    fn what_is_changed_is_said_as_options() {
        let change = with([(Fault::NodeDied, 20)].into()).change;
        assert_eq!(change.options(), " --inputs 500 --fault node-died=20");
    }
}
