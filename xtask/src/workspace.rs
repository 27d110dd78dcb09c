//! Where things are. Every verb runs with the root of the checkout as its working directory, so all
//! paths in xtask are relative to it.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, Result};

pub const WASM_TARGET: &str = "wasm32-unknown-unknown";
pub const TARGET_DIR: &str = "target";

/// Makes the root of the checkout the working directory.
pub fn enter_root() -> Result<()> {
    let manifest = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    let root = manifest.parent().context("xtask/ lies inside the checkout")?;
    env::set_current_dir(root).with_context(|| format!("cannot enter {}", root.display()))
}

/// The cargo that runs us, so that nested builds use the same toolchain.
pub fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"))
}
