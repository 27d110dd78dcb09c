//! `cargo xtask build`.

use std::process::Command;

use anyhow::Result;

use crate::generated;
use crate::npm;
use crate::process;
use crate::stamp::{self, Inputs};
use crate::tools;
use crate::wasm;

/// Makes the generated files, the wasm module, what the tests run beside it and, over the module,
/// the npm package and the playground.
pub fn build() -> Result<()> {
    tools::require_wasm_target()?;
    npm::install()?;
    generated::write()?;
    wasm::build()?;
    wasm::build_for_tests()?;
    wasm::build_versions()?;
    build_package()?;
    build_versions_of_package()?;
    build_playground()
}

fn build_package() -> Result<()> {
    let inputs = Inputs::new().tree("pkg")?.file("package-lock.json")?.file("package.json")?;
    stamp::when_changed("pkg", inputs, &["pkg/dist"], || npm::run_script("pkg", "build"))
}

/// The package over each of the modules that stand for later builds.
fn build_versions_of_package() -> Result<()> {
    for feature in wasm::VERSIONS {
        let (module, out) = (format!("target/{feature}/wasm"), format!("target/{feature}/dist"));
        let inputs = Inputs::new().tree("pkg")?.tree(&module)?.file("package-lock.json")?;
        stamp::when_changed(&format!("{feature}-pkg"), inputs, &[&out], || {
            let mut bundle = Command::new("node");
            bundle.args(["pkg/build.mjs", "--module", &module, "--out", &out]);
            process::run(&mut bundle)
        })?;
    }
    Ok(())
}

fn build_playground() -> Result<()> {
    let inputs = Inputs::new().tree("pkg")?.tree("www")?.file("package-lock.json")?;
    stamp::when_changed("www", inputs, &["www/dist"], || npm::run_script("www", "build"))
}
