//! The border of the simulator's own module: one run at a time and what it found; chance
//! and history of a world whose pages are JavaScript.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;
use std::panic;

use js_sys::{Array, Error, Object, Reflect};
use wasm_bindgen::prelude::*;
use xxhash_rust::xxh64::Xxh64;

use crate::rules::Rules;
use crate::sim::change::{Change, INPUTS_MAX};
use crate::sim::dice::Dice;
use crate::sim::fault::Fault;
use crate::sim::run::{self, Run, SeedReport};

std::thread_local! {
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs one seed. `kinds` and `per_mille` belong together by their
/// places.
///
/// A panic of the core ends the module; `lastPanic` still tells what it was.
#[wasm_bindgen(js_name = simulateSeed)]
pub fn simulate_seed(
    seed: f64,
    inputs: Option<f64>,
    kinds: Vec<String>,
    per_mille: &[u32],
    without: Option<String>,
) -> Result<Object, JsValue> {
    panic::set_hook(alloc::boxed::Box::new(|panic| {
        LAST_PANIC.set(panic.to_string());
    }));
    let run = run_of(seed, inputs, &kinds, per_mille, without.as_deref());
    let run = run.ok_or_else(|| JsValue::from(Error::new("INVALID")))?;
    Ok(report(&run::run(&run)))
}

/// What the last panic said.
#[wasm_bindgen(js_name = lastPanic)]
pub fn last_panic() -> String {
    LAST_PANIC.take()
}

fn run_of(
    seed: f64,
    inputs: Option<f64>,
    kinds: &[String],
    per_mille: &[u32],
    without: Option<&str>,
) -> Option<Run> {
    let seed = whole(seed)?;
    let inputs_min = match inputs {
        Some(inputs) => Some(whole(inputs).filter(|inputs| *inputs <= INPUTS_MAX)?),
        None => None,
    };
    let mut chances = Vec::new();
    for (kind, per_mille) in kinds.iter().zip(per_mille) {
        let fault = Fault::named(kind).filter(|fault| !fault.follows() && !fault.is_of_hubs())?;
        chances.push((fault, *per_mille));
        if *per_mille > fault.per().per_mille_max() {
            return None;
        }
    }
    let rules = match without {
        Some(name) => Rules::without(name)?,
        None => Rules::ON,
    };
    Some(Run { rules, change: Change { inputs_min, chances }, ..Run::of(seed) })
}

fn whole(number: f64) -> Option<u64> {
    let whole = number as u64;
    (whole as f64 == number).then_some(whole)
}

fn report(report: &SeedReport) -> Object {
    let faults = Object::new();
    for fault in Fault::ALL.iter().filter(|fault| !fault.is_of_hubs()) {
        set(&faults, fault.text(), number(report.totals.faults.of(*fault)));
    }
    let counts = Object::new();
    for (name, count) in report.totals.named() {
        set(&counts, name, number(count));
    }
    let findings = Array::new();
    if let Some(violation) = &report.violation {
        let finding = Object::new();
        set(&finding, "checker", violation.checker.into());
        set(&finding, "what", violation.what.as_str().into());
        findings.push(&finding);
    }
    let object = Object::new();
    set(&object, "seed", number(report.seed));
    set(&object, "hash", alloc::format!("{:016x}", report.hash).into());
    set(&object, "tabs", number(report.tabs as u64));
    set(&object, "steps", number(report.steps));
    set(&object, "virtualMs", number(report.virtual_ms));
    set(&object, "faults", faults.into());
    set(&object, "counts", counts.into());
    set(&object, "findings", findings.into());
    object
}

/// Counts of a run are far below where JavaScript numbers lose their ones.
fn number(count: u64) -> JsValue {
    JsValue::from_f64(count as f64)
}

fn set(object: &Object, name: &str, value: JsValue) {
    // Fails only for a frozen object.
    let _ = Reflect::set(object, &JsValue::from_str(name), &value);
}

/// One stream of chance of a simulated world.
#[wasm_bindgen(js_name = Chance)]
pub struct Chance {
    dice: Dice,
}

#[wasm_bindgen(js_class = Chance)]
impl Chance {
    #[wasm_bindgen(constructor)]
    pub fn new(seed: f64, stream: u32) -> Self {
        Self { dice: Dice::new(seed as u64, stream) }
    }

    /// A whole number from `first` to `last`, both included and in order.
    pub fn between(&mut self, first: u32, last: u32) -> u32 {
        self.dice.between(u64::from(first), u64::from(last)) as u32
    }

    pub fn fill(&mut self, bytes: &mut [u8]) {
        for part in bytes.chunks_mut(16) {
            part.copy_from_slice(&self.dice.bytes16()[..part.len()]);
        }
    }
}

/// The hash of all that happens in a simulated world.
#[wasm_bindgen(js_name = History)]
pub struct History {
    hash: Xxh64,
}

#[wasm_bindgen(js_class = History)]
impl History {
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self { hash: Xxh64::new(0) }
    }

    pub fn add(&mut self, what: &str, bytes: &[u8]) {
        self.hash.update(what.as_bytes());
        self.hash.update(&[0]);
        self.hash.update(bytes);
    }

    /// As 16 hexadecimal digits.
    pub fn digest(&self) -> String {
        alloc::format!("{:016x}", self.hash.digest())
    }
}
