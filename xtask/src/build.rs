//! `cargo xtask build`.

use anyhow::Result;

use crate::generated;
use crate::npm;
use crate::stamp::{self, Inputs};
use crate::tools;
use crate::wasm;

/// Makes the generated files, the wasm module, the example app in Rust and, over the module, the
/// npm package and the playground.
pub fn build() -> Result<()> {
    tools::require_wasm_target()?;
    npm::install()?;
    generated::write()?;
    wasm::build()?;
    wasm::build_example()?;
    build_package()?;
    build_playground()
}

fn build_package() -> Result<()> {
    let inputs = Inputs::new().tree("pkg")?.file("package-lock.json")?.file("package.json")?;
    stamp::when_changed("pkg", inputs, &["pkg/dist"], || npm::run_script("pkg", "build"))
}

fn build_playground() -> Result<()> {
    let inputs = Inputs::new().tree("pkg")?.tree("www")?.file("package-lock.json")?;
    stamp::when_changed("www", inputs, &["www/dist"], || npm::run_script("www", "build"))
}
