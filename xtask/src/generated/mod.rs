//! Files of the repository that are made from others. `cargo xtask build` writes them, `tidy`
//! checks that they are current.

mod codes;
mod faults;
mod third_party;

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::stamp;

/// A file and what it should hold.
pub struct Generated {
    pub path: &'static str,
    pub text: String,
}

/// All generated files, made anew.
pub fn make() -> Result<Vec<Generated>> {
    let codes = codes::read()?;
    Ok(vec![
        Generated { path: "docs/errors.md", text: codes::render_markdown(&codes) },
        Generated { path: "pkg/src/codes.generated.ts", text: codes::render_typescript(&codes) },
        Generated {
            path: "pkg/src/sim/faults.generated.ts",
            text: faults::render(&faults::read()?),
        },
        Generated { path: "THIRD_PARTY.md", text: third_party::render()? },
    ])
}

/// Writes the files that are not current.
pub fn write() -> Result<()> {
    for file in make()? {
        if !file.is_current() {
            stamp::write(Path::new(file.path), &file.text)?;
        }
    }
    Ok(())
}

impl Generated {
    pub fn is_current(&self) -> bool {
        fs::read_to_string(self.path).is_ok_and(|text| text == self.text)
    }
}
