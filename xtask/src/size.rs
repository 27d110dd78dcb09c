//! `cargo xtask size`: what an application ships, against the ratchet.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::cli::SizeOptions;
use crate::{build, process};

const MEASURE: &str = "xtask/size/measure.mjs";
const RATCHET: &str = "xtask/size-ratchet.txt";

/// Growth below this needs no line: it is what a mended defect costs.
const SLACK_PERCENT: u64 = 2;

/// Bytes of one part, as they are and compressed at the highest levels.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    name: String,
    raw: u64,
    gzip: u64,
    brotli: u64,
}

/// Builds the package, measures it and compares; the last line is `N passed, N failed`, counted in
/// parts.
pub fn size(options: &SizeOptions) -> Result<ExitCode> {
    build::build()?;
    let report = process::output(Command::new("node").arg(MEASURE))?;
    if options.json {
        print!("{report}");
        return Ok(ExitCode::SUCCESS);
    }
    let parts = parse_report(&report)?;
    println!("{:<14} {:>9} {:>9} {:>9} {:>9}", "part", "raw", "gzip", "brotli", "limit");
    let ratchet = fs::read_to_string(RATCHET).with_context(|| format!("cannot read {RATCHET}"))?;
    let limits = parse_ratchet(&ratchet)?;
    for Part { name, raw, gzip, brotli } in &parts {
        let limit = limits.get(name).map_or_else(|| "-".to_owned(), u64::to_string);
        println!("{name:<14} {raw:>9} {gzip:>9} {brotli:>9} {limit:>9}");
    }
    let limit = |part: &Part| limits.get(&part.name).copied();
    let complaints: Vec<String> =
        parts.iter().filter_map(|part| complain(part, limit(part))).collect();
    let won = parts.iter().filter_map(|part| praise(part, limit(part)));
    for line in complaints.iter().cloned().chain(won) {
        println!("{line}");
    }
    println!("{} passed, {} failed", parts.len() - complaints.len(), complaints.len());
    Ok(if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is wrong with a part, if anything.
fn complain(part: &Part, limit: Option<u64>) -> Option<String> {
    let Part { name, gzip, .. } = part;
    let line = format!("add the line `{name} {gzip} WHAT IT BOUGHT` to {RATCHET}");
    match limit {
        None => Some(format!("{name} has no limit: {line}")),
        Some(limit) if gzip * 100 > limit * (100 + SLACK_PERCENT) => {
            Some(format!("{name} grew from {limit} to {gzip} bytes: make it smaller, or {line}"))
        }
        Some(_) => None,
    }
}

/// Says what was won, so that it is kept.
fn praise(part: &Part, limit: Option<u64>) -> Option<String> {
    let Part { name, gzip, .. } = part;
    let won = gzip * 100 < limit? * (100 - SLACK_PERCENT);
    won.then(|| format!("{name} shrank: to keep that, add the line `{name} {gzip} WHAT SAVED IT`"))
}

fn parse_report(report: &str) -> Result<Vec<Part>> {
    let report: Value = serde_json::from_str(report).context("the report is not JSON")?;
    let parts = report.as_array().context("the report is not a list")?;
    let parse = |part: &Value| {
        let bytes = |key: &str| part[key].as_u64();
        Some(Part {
            name: part["name"].as_str()?.to_owned(),
            raw: bytes("raw")?,
            gzip: bytes("gzip")?,
            brotli: bytes("brotli")?,
        })
    };
    parts.iter().map(|part| parse(part).context("a part of the report lacks a field")).collect()
}

/// The last line of each part.
fn parse_ratchet(text: &str) -> Result<BTreeMap<String, u64>> {
    let mut limits = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap_or_default();
        let bytes = words.next().and_then(|bytes| bytes.parse().ok());
        let (Some(bytes), Some(_)) = (bytes, words.next()) else {
            anyhow::bail!("{RATCHET}: `{line}` is not PART BYTES WHAT IT BOUGHT");
        };
        limits.insert(name.to_owned(), bytes);
    }
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(gzip: u64) -> Part {
        Part { name: "wasm".to_owned(), raw: gzip * 2, gzip, brotli: gzip }
    }

    #[test]
    fn growth_needs_a_line_that_says_what_it_bought() {
        let limits = parse_ratchet("# why\nwasm 1000 queues\nwasm 2000 calls\n").unwrap();
        assert_eq!(limits["wasm"], 2000);
        assert!(parse_ratchet("wasm 1000\n").is_err());
        assert!(complain(&part(2040), Some(2000)).is_none());
        assert!(complain(&part(2041), Some(2000)).unwrap().contains("grew"));
        assert!(complain(&part(1800), Some(2000)).is_none());
        assert!(praise(&part(1800), Some(2000)).unwrap().contains("wasm 1800"));
        assert!(praise(&part(1960), Some(2000)).is_none());
        assert!(complain(&part(1), None).unwrap().contains("no limit"));
    }

    #[test]
    fn the_report_is_read() {
        let report = r#"[{"name": "wasm", "raw": 20, "gzip": 10, "brotli": 10}]"#;
        assert_eq!(parse_report(report).unwrap(), [part(10)]);
    }
}
