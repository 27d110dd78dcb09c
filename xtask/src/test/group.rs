//! Runs one step as a process group that can be ended as a whole.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
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
        child: Pid,
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

/// Runs each command with its output in a file of its own until all end, `deadline` passes or a
/// signal comes. In the last two cases all that still runs is ended, as whole groups. Resolves with
/// how each ended, and when.
pub fn run(
    commands: Vec<(Command, PathBuf)>,
    deadline: Instant,
    notices: &Notices,
) -> Result<Vec<(Ending, Instant)>> {
    let groups: Vec<Pid> = commands.into_iter().map(spawn).collect::<Result<_>>()?;
    let sender = notices.sender.clone();
    let children = groups.clone();
    let waiter = thread::spawn(move || wait_and_reap(children, &sender));
    let mut endings: Vec<Option<(Ending, Instant)>> = vec![None; groups.len()];
    while endings.contains(&None) {
        let stopped = match notices.receiver.recv_timeout(remaining(deadline)) {
            Ok(Notice::Exited { child, success }) => {
                let place = groups.iter().position(|group| *group == child);
                let place = place.expect("only our children are waited for");
                endings[place] = Some((Ending::Exited { success }, Instant::now()));
                continue;
            }
            Ok(Notice::Interrupted) => Ending::Interrupted,
            Err(RecvTimeoutError::Timeout) => Ending::OutOfTime,
            Err(RecvTimeoutError::Disconnected) => unreachable!("`notices` holds a sender"),
        };
        let running: Vec<Pid> =
            groups.iter().zip(&endings).filter(|(_, end)| end.is_none()).map(|(g, _)| *g).collect();
        end(&running, notices);
        for ending in endings.iter_mut().filter(|ending| ending.is_none()) {
            *ending = Some((stopped, Instant::now()));
        }
    }
    drop(waiter.join());
    Ok(endings.into_iter().flatten().collect())
}

fn spawn((mut command, log): (Command, PathBuf)) -> Result<Pid> {
    let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
    let child = command.spawn().with_context(|| format!("cannot start {}", describe(&command)))?;
    Ok(Pid::from_raw(child.id().cast_signed()))
}

/// Waits for all of `children`. We are the parent of every orphan of a step, and a test that waits
/// for a process to be gone waits until its parent has noticed, so all of them are reaped on the
/// way.
fn wait_and_reap(mut children: Vec<Pid>, sender: &Sender<Notice>) {
    while !children.is_empty() {
        let (child, success) = match waitpid(None::<Pid>, None) {
            Ok(WaitStatus::Exited(pid, code)) => (pid, code == 0),
            Ok(WaitStatus::Signaled(pid, ..)) => (pid, false),
            Ok(_) | Err(Errno::EINTR) => continue,
            Err(_) => {
                let gone = children.drain(..);
                // The receiver outlives every step; if it is gone, so is the run.
                gone.for_each(|child| drop(sender.send(Notice::Exited { child, success: false })));
                return;
            }
        };
        if let Some(place) = children.iter().position(|known| *known == child) {
            children.swap_remove(place);
            drop(sender.send(Notice::Exited { child, success }));
        }
    }
}

/// Asks the groups to end, waits, then kills what is left of them.
fn end(groups: &[Pid], notices: &Notices) {
    for group in groups {
        signal(*group, Signal::SIGTERM);
        // A group that is stopped handles nothing before it goes on.
        signal(*group, Signal::SIGCONT);
    }
    let deadline = Instant::now() + TERMINATE_GRACE;
    let mut left = groups.len();
    while left > 0 {
        match notices.receiver.recv_timeout(remaining(deadline)) {
            Ok(Notice::Exited { .. }) => left -= 1,
            Ok(Notice::Interrupted) => {}
            Err(_) => break,
        }
    }
    groups.iter().for_each(|group| signal(*group, Signal::SIGKILL));
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
        let endings = run(vec![(command, log.clone())], deadline, notices).unwrap();
        std::fs::remove_file(log).unwrap();
        endings[0].0
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

        let log = |name| std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        let exit = |code: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", code]);
            command
        };
        let both = vec![(exit("exit 3"), log("first")), (exit("sleep 0.1"), log("second"))];
        let logs = both.iter().map(|(_, log)| log.clone()).collect::<Vec<_>>();
        let endings = run(both, far, &notices()).unwrap();
        let [(first, early), (second, late)] = endings[..] else { panic!("two ended") };
        assert_eq!(first, Ending::Exited { success: false });
        assert_eq!(second, Ending::Exited { success: true });
        assert!(early < late, "each has its own time");
        logs.iter().for_each(|log| std::fs::remove_file(log).unwrap());

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
