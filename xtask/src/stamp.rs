//! Skips work whose inputs did not change.
//!
//! A stamp is a file under `target/stamps/` that holds the hash of all inputs of one piece of work.
//! The hash guards against forgotten rebuilds, not against an attacker, hence xxHash.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use walkdir::WalkDir;
use xxhash_rust::xxh64::Xxh64;

use crate::workspace::TARGET_DIR;

/// Directories that never hold inputs.
const GENERATED_DIRS: [&str; 4] = ["node_modules", "dist", "target", ".git"];

/// Collects the inputs of one piece of work.
pub struct Inputs(Xxh64);

impl Inputs {
    pub fn new() -> Self {
        Self(Xxh64::new(0))
    }

    pub fn text(mut self, text: &str) -> Self {
        self.part(text.as_bytes());
        self
    }

    /// Adds a file by path and content. An absent file is an input too: it may appear later.
    pub fn file(mut self, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        self.part(path.to_string_lossy().as_bytes());
        if path.exists() {
            let bytes =
                fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            self.part(&bytes);
        }
        Ok(self)
    }

    /// Adds every file below a directory, in order of their names, without generated directories.
    pub fn tree(mut self, directory: impl AsRef<Path>) -> Result<Self> {
        let files = WalkDir::new(directory.as_ref())
            .sort_by_file_name()
            .into_iter()
            .filter_entry(|entry| !GENERATED_DIRS.iter().any(|name| entry.file_name() == *name));
        for entry in files {
            let entry = entry?;
            if entry.file_type().is_file() {
                self = self.file(entry.path())?;
            }
        }
        Ok(self)
    }

    pub fn finish(self) -> String {
        format!("{:016x}", self.0.digest())
    }

    /// Lengths go in as well, so that two inputs never run into each other.
    fn part(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }
}

/// Runs `work` unless the stamp `name` holds `inputs` and all `outputs` exist.
pub fn when_changed(
    name: &str,
    inputs: Inputs,
    outputs: &[&str],
    work: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let stamp = PathBuf::from(TARGET_DIR).join("stamps").join(name);
    let inputs = inputs.finish();
    let current = outputs.iter().all(|path| Path::new(path).exists())
        && fs::read_to_string(&stamp).is_ok_and(|kept| kept == inputs);
    if current {
        return Ok(());
    }
    work()?;
    write(&stamp, &inputs)
}

/// Writes a file and the directories above it.
pub fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_do_not_run_into_each_other() {
        let split_early = Inputs::new().text("a").text("bc").finish();
        let split_late = Inputs::new().text("ab").text("c").finish();
        assert_ne!(split_early, split_late);
    }
}
