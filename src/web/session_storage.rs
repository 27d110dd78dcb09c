//! What a tab keeps over a reload. A copy of a tab gets a copy of it, so a keepsake alone gives no
//! right to an identity: the lock does.

use alloc::vec::Vec;

use wasm_bindgen::JsCast;
use web_sys::Storage;

use crate::cbor;
use crate::client::io::Keepsake;
use crate::web::names::{Scope, from_hex, to_hex};
use crate::web::runtime;

/// The keepsake of the page that was here before, if it left one. Private modes and sandboxed
/// frames refuse the storage, and workers have none.
pub fn take(scope: &Scope) -> Option<Keepsake> {
    let storage = storage()?;
    let text = storage.get_item(scope.as_str()).ok()??;
    let _ = storage.remove_item(scope.as_str());
    cbor::decode(&from_hex(&text)?).ok()
}

/// Leaves a keepsake for the page that comes next.
pub fn put(scope: &Scope, keepsake: &Keepsake) {
    let Some(storage) = storage() else { return };
    let mut bytes = Vec::new();
    cbor::encode(keepsake, &mut bytes);
    // A full storage costs a resumed session, nothing more.
    let _ = storage.set_item(scope.as_str(), &to_hex(&bytes));
}

fn storage() -> Option<Storage> {
    Some(runtime::global("sessionStorage")?.unchecked_into())
}
