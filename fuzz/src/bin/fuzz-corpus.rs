//! Writes the corpus anew: `cargo run --profile sim --package fuzz --bin fuzz-corpus`.

use std::{fs, io};

use fuzz::corpus;

fn main() -> io::Result<()> {
    for (target, entries) in corpus::make()? {
        let folder = corpus::folder(target);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        for (name, bytes) in &entries {
            fs::write(folder.join(name), bytes)?;
        }
        let bytes: usize = entries.values().map(Vec::len).sum();
        println!("{target}: {} entries, {bytes} bytes", entries.len());
    }
    Ok(())
}
