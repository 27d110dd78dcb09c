//! The steps of the list that all storages are held to: actions and their answers as JSON.

use serde_json::Value;
use tabmq::id::{ChunkNumber, Epoch};
use tabmq::store::{Key, StorageAction, StorageFault, StorageResult, Stored, Sync};

pub fn action(name: &Value, with: &Value) -> StorageAction {
    match name.as_str().expect("a name") {
        "open" => StorageAction::Open,
        "list" => StorageAction::List,
        "fence" => StorageAction::ReadFence,
        "read" => StorageAction::Read { keys: list(with, key) },
        "commit" => StorageAction::Commit {
            expect: epoch(&with["expect"]),
            claim: epoch(&with["claim"]),
            sync: if with["strict"] == true { Sync::Strict } else { Sync::Relaxed },
            puts: list(&with["puts"], |put| (key(put), put[2].as_str().expect("text").into())),
            deletes: list(&with["deletes"], key),
        },
        other => panic!("no action is called {other}"),
    }
}

fn list<T>(value: &Value, read: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().into_iter().flatten().map(read).collect()
}

fn key(value: &Value) -> Key {
    let number = value[1].as_u64().expect("a number");
    match value[0].as_str().expect("a kind") {
        "manifest" => Key::Manifest,
        "chunk" => Key::Chunk(ChunkNumber(number)),
        "page" => Key::Page(number),
        other => panic!("no key is called {other}"),
    }
}

fn epoch(value: &Value) -> Option<Epoch> {
    value.as_u64().map(|counter| Epoch { counter, incarnation: counter })
}

pub fn told(result: StorageResult) -> Value {
    let text = |bytes: Vec<u8>| Value::from(String::from_utf8(bytes).expect("text"));
    let counter = |fence: Option<Epoch>| Value::from(fence.map(|epoch| epoch.counter));
    match result {
        Ok(Stored::Opened { fence, manifest }) => serde_json::json!({
            "fence": counter(fence),
            "manifest": manifest.map_or(Value::Null, text),
        }),
        Ok(Stored::Committed) => "committed".into(),
        Ok(Stored::Values(values)) => {
            values.into_iter().map(|value| value.map_or(Value::Null, text)).collect()
        }
        Ok(Stored::Chunks(chunks)) => chunks.into_iter().map(|chunk| chunk.0).collect(),
        Ok(Stored::Fence(fence)) => counter(fence),
        Err(StorageFault::Aborted) => "aborted".into(),
        Err(StorageFault::Quota) => "quota".into(),
        Err(StorageFault::Fenced) => "fenced".into(),
        Err(StorageFault::Lost) => "lost".into(),
    }
}
