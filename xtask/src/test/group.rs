//! Runs one step as a process group that can be ended as a whole.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::process::describe;

/// How long a group may take to end after it was asked to.
const TERMINATE_GRACE: Duration = Duration::from_secs(20);

/// What the runner waits for.
pub enum Notice {
    Exited {
        success: bool,
    },
    /// SIGINT, SIGTERM or SIGHUP reached us.
    Interrupted,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Exited { success: bool },
    Interrupted,
    OutOfTime,
}

/// Notices of all steps of a run arrive in one place.
pub struct Notices {
    pub sender: Sender<Notice>,
    pub receiver: Receiver<Notice>,
}

/// Runs `command` with its output in the file `log` until it ends, `deadline` passes or a signal
/// comes. In the last two cases the whole group is ended.
pub fn run(
    mut command: Command,
    log: &Path,
    deadline: Instant,
    notices: &Notices,
) -> Result<Ending> {
    let output = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
    let child = command.spawn().with_context(|| format!("cannot start {}", describe(&command)))?;
    let group = Pid::from_raw(child.id().cast_signed());
    let sender = notices.sender.clone();
    let waiter = thread::spawn(move || {
        let success = wait_and_reap(group);
        // The receiver outlives every step; if it is gone, so is the run.
        drop(sender.send(Notice::Exited { success }));
    });
    let ending = match notices.receiver.recv_timeout(remaining(deadline)) {
        Ok(Notice::Exited { success }) => Ending::Exited { success },
        Ok(Notice::Interrupted) => Ending::Interrupted,
        Err(RecvTimeoutError::Timeout) => Ending::OutOfTime,
        Err(RecvTimeoutError::Disconnected) => unreachable!("`notices` holds a sender"),
    };
    if !matches!(ending, Ending::Exited { .. }) {
        end(group, notices);
    }
    drop(waiter.join());
    Ok(ending)
}

/// Waits for `child`. We are the parent of every orphan of the step, and a test that waits for a
/// process to be gone waits until its parent has noticed, so all of them are reaped on the way.
fn wait_and_reap(child: Pid) -> bool {
    loop {
        match waitpid(None::<Pid>, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => return code == 0,
            Ok(WaitStatus::Signaled(pid, ..)) if pid == child => return false,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
}

/// Asks the group to end, waits, then kills what is left of it.
fn end(group: Pid, notices: &Notices) {
    signal(group, Signal::SIGTERM);
    // A group that is stopped handles nothing before it goes on.
    signal(group, Signal::SIGCONT);
    let deadline = Instant::now() + TERMINATE_GRACE;
    loop {
        match notices.receiver.recv_timeout(remaining(deadline)) {
            Ok(Notice::Exited { .. }) | Err(_) => break,
            Ok(Notice::Interrupted) => {}
        }
    }
    signal(group, Signal::SIGKILL);
}

/// The group may be gone already; that is what we want.
fn signal(group: Pid, signal: Signal) {
    let _ = killpg(group, signal);
}

fn remaining(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::leftovers::{self, Baseline};
    use std::sync::mpsc;

    fn shell(script: &str, deadline: Instant, notices: &Notices) -> Ending {
        let log = std::env::temp_dir().join(format!("xtask-group-{}", std::process::id()));
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let ending = run(command, &log, deadline, notices).unwrap();
        std::fs::remove_file(log).unwrap();
        ending
    }

    fn notices() -> Notices {
        let (sender, receiver) = mpsc::channel();
        Notices { sender, receiver }
    }

    /// One test, because a run reaps every child of this process.
    #[test]
    fn a_step_ends_by_itself_or_with_its_whole_group_and_strays_are_found() {
        let far = Instant::now() + Duration::from_secs(600);
        assert_eq!(shell("exit 0", far, &notices()), Ending::Exited { success: true });
        assert_eq!(shell("exit 4", far, &notices()), Ending::Exited { success: false });

        let two_processes = "sh -c 'exec sleep 3600' & wait";
        assert_eq!(shell(two_processes, Instant::now(), &notices()), Ending::OutOfTime);

        let notices = notices();
        notices.sender.send(Notice::Interrupted).unwrap();
        assert_eq!(shell("exec sleep 3600", far, &notices), Ending::Interrupted);

        drop(Baseline::take());
        let stray = "setsid env -i sleep 3599 > /dev/null 2>&1 &";
        assert_eq!(shell(stray, far, &notices), Ending::Exited { success: true });
        let left = leftovers::end_processes("a run with no process", Duration::ZERO);
        assert_eq!(left.len(), 1);
        assert_eq!(leftovers::end_processes("a run with no process", Duration::ZERO), []);
    }
}
