//! npm: installs the locked packages and runs scripts of the workspaces.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::process;
use crate::stamp::{self, Inputs};
use crate::tools;

const LOCK: &str = "package-lock.json";

/// Holds the hash of the lock file that `node_modules` was made from; it goes when `node_modules`
/// goes.
const INSTALLED: &str = "node_modules/.tabmq-lock-hash";

/// Runs `npm ci` if the lock file changed since the last time.
pub fn install() -> Result<()> {
    tools::require_node()?;
    let wanted = Inputs::new().file(LOCK)?.file("package.json")?.finish();
    if std::fs::read_to_string(INSTALLED).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    eprintln!("installing the npm packages of {LOCK}");
    process::run(&mut npm(&["ci", "--no-audit", "--no-fund"]))?;
    stamp::write(Path::new(INSTALLED), &wanted)
}

/// An npm command that never looks for a newer npm.
pub fn npm(arguments: &[&str]) -> Command {
    let mut command = Command::new("npm");
    command.args(arguments).env("npm_config_update_notifier", "false");
    command
}

/// `npm run <script>` in one workspace. What it tells is progress: standard output is for the
/// result of the verb, which a program may read.
pub fn run_script(workspace: &str, script: &str) -> Result<()> {
    process::run(npm(&["run", "--silent", script, "-w", workspace]).stdout(std::io::stderr()))
}
