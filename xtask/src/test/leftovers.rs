//! Finds what a step left behind: processes and browser profiles.
//!
//! On Linux we ask to become the parent of orphans, so whatever a step started stays a descendant
//! of ours until it ends, whatever it did to its session, its process group or its environment. The
//! marker in the environment finds those that some other service started for us.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Environment variable that marks the processes of a run.
pub const MARKER: &str = "TABMQ_TEST_RUN";

/// Where the browser tests keep their profiles.
const PROFILES_DIR: &str = "target/browser-profiles";

/// How long helpers of a browser may take to notice that it is gone.
pub const GRACE: Duration = Duration::from_secs(10);

const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A process that outlived its step.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leftover {
    pub pid: i32,
    pub command: String,
}

/// What there was before the run; it is not ours to judge.
pub struct Baseline {
    profiles: BTreeSet<PathBuf>,
}

impl Baseline {
    /// Starts to keep track of everything this process starts from now on.
    pub fn take() -> Self {
        #[cfg(target_os = "linux")]
        if let Err(error) = nix::sys::prctl::set_child_subreaper(true) {
            eprintln!("cannot adopt orphans ({error}): processes left behind may go unnoticed");
        }
        Self { profiles: profiles() }
    }

    /// Profiles that the run made and did not remove. They are removed now.
    pub fn remove_profiles(&self) -> Vec<PathBuf> {
        let left: Vec<PathBuf> = profiles().difference(&self.profiles).cloned().collect();
        for profile in &left {
            if let Err(error) = fs::remove_dir_all(profile) {
                eprintln!("cannot remove {}: {error}", profile.display());
            }
        }
        left
    }
}

/// Kills what the last step left running and tells what it was. Called while no step runs.
pub fn end_processes(run: &str, grace: Duration) -> Vec<Leftover> {
    let deadline = Instant::now() + grace;
    loop {
        reap();
        let left = find(run);
        if left.is_empty() || Instant::now() >= deadline {
            kill_all(run);
            return left;
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// A process may start another one between our look and its end, so we look again until none is
/// left.
fn kill_all(run: &str) {
    let deadline = Instant::now() + GRACE;
    loop {
        let left = find(run);
        if left.is_empty() || Instant::now() >= deadline {
            return;
        }
        for process in left {
            let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
        }
        thread::sleep(POLL_INTERVAL);
        reap();
    }
}

/// Takes the exit codes of orphans that ended.
fn reap() {
    while !matches!(
        waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)),
        Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD)
    ) {}
}

/// All our descendants and all processes with the marker, ourselves and our ancestors aside.
fn find(run: &str) -> Vec<Leftover> {
    let marker = format!("{MARKER}={run}");
    let parents = parents();
    let own = std::process::id().cast_signed();
    let ancestors = chain(own, &parents);
    parents
        .keys()
        .filter(|pid| !ancestors.contains(pid))
        .filter(|pid| chain(**pid, &parents).contains(&own) || has_marker(**pid, &marker))
        .map(|pid| Leftover { pid: *pid, command: command_line(*pid) })
        .collect()
}

/// The parent of every living process.
fn parents() -> BTreeMap<i32, i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return BTreeMap::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid: i32| Some((pid, parent_if_alive(pid)?)))
        .collect()
}

/// Reads `/proc/<pid>/stat`; the name in it may hold spaces and parentheses, so we cut at its end.
fn parent_if_alive(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    (state != "Z" && state != "X").then_some(parent)
}

/// `pid` and everything above it.
fn chain(pid: i32, parents: &BTreeMap<i32, i32>) -> BTreeSet<i32> {
    let mut chain = BTreeSet::from([pid]);
    let mut at = pid;
    while let Some(parent) = parents.get(&at) {
        if !chain.insert(*parent) {
            break;
        }
        at = *parent;
    }
    chain
}

fn has_marker(pid: i32, marker: &str) -> bool {
    fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
        environment.split(|byte| *byte == 0).any(|v| v == marker.as_bytes())
    })
}

fn command_line(pid: i32) -> String {
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&arguments).replace('\0', " ");
    line.chars().take(120).collect()
}

fn profiles() -> BTreeSet<PathBuf> {
    let Ok(entries) = fs::read_dir(Path::new(PROFILES_DIR)) else {
        return BTreeSet::new();
    };
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_climbs_to_the_root() {
        let parents = BTreeMap::from([(5, 3), (3, 1), (4, 1)]);
        assert_eq!(chain(5, &parents), BTreeSet::from([5, 3, 1]));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_a_living_parent() {
        let own = std::process::id().cast_signed();
        assert_eq!(
            parents().get(&own).copied(),
            Some(std::os::unix::process::parent_id().cast_signed())
        );
    }
}
