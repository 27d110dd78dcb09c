//! `cargo xtask build`.

use anyhow::Result;

use crate::npm;
use crate::stamp::{self, Inputs};
use crate::wasm;

/// Builds the wasm module and, over it, the npm package.
pub fn build() -> Result<()> {
    wasm::build()?;
    if npm::has_workspace("pkg") {
        build_package()?;
    }
    Ok(())
}

fn build_package() -> Result<()> {
    let inputs = Inputs::new().tree("pkg")?.file("package-lock.json")?.file("package.json")?;
    stamp::when_changed("pkg", inputs, &["pkg/dist"], || npm::run_script("pkg", "build"))
}
