//! What every storage does, from the list that all storages are held to. Here the one in memory,
//! which is the plain meaning of the actions; pkg/test/files-store.test.mjs has files and
//! tests/browsers/product/storage.test.mjs IndexedDB, over the same list.
//! A store that claims looks again before it does anything else, as the core does.

use serde_json::Value;
use tabmq::log::MemoryStore;

use crate::steps::{action, told};

#[test]
fn the_store_in_memory_does_what_every_store_does() {
    let text = include_str!("conformance.json");
    let scenarios: Vec<Value> = serde_json::from_str(text).expect("the list is JSON");
    assert!(scenarios.len() >= 9, "the list is there");
    for scenario in &scenarios {
        let mut store = MemoryStore::default();
        for step in scenario["steps"].as_array().expect("steps") {
            // Both writers have the one store, and opening it again changes nothing.
            if step[1] == "reopen" {
                continue;
            }
            let result = store.perform(&action(&step[1], &step[2]));
            assert_eq!(told(result), step[3], "{}: {step}", scenario["name"]);
        }
    }
}
