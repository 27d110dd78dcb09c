//! Generated files must be what the generator makes now.

use super::Finding;
use super::tree::Tree;
use crate::generated;

pub fn check(_: &Tree) -> Vec<Finding> {
    match generated::make() {
        Ok(files) => files
            .iter()
            .filter(|file| !file.is_current())
            .map(|file| Finding::new(file.path, 0, "is not current", "run cargo xtask build"))
            .collect(),
        Err(error) => {
            let what = format!("generated files cannot be made: {error:#}");
            vec![Finding::new("src/error.rs", 0, what, "mend the source the message names")]
        }
    }
}
