//! The part of the border that hubs have: sockets to one, and the sockets of one.

use alloc::string::String;
use alloc::vec::Vec;

use wasm_bindgen::prelude::*;

use crate::js::options;
use crate::js::raw_bus::{Answer, RawBus, to_error};
use crate::web::sockets::SocketId;

#[wasm_bindgen]
impl RawBus {
    /// What the next socket to the hub offers as subprotocols: a token may be among them.
    pub fn offer(&self, protocols: Vec<String>) {
        self.driver.offer(protocols);
    }

    /// A transport message came on a socket of this hub.
    #[wasm_bindgen(js_name = atSocket)]
    pub fn at_socket(&self, socket: u32, bytes: Vec<u8>) {
        self.driver.at_socket(SocketId(socket), bytes);
    }

    /// What a socket of this hub may do from now on: an object like `RawGrant` of pkg/src/raw.ts.
    #[wasm_bindgen(js_name = socketGranted)]
    pub fn socket_granted(&self, socket: u32, grant: &JsValue) -> Answer<()> {
        let grant = options::grant(grant).map_err(to_error)?;
        self.driver.socket_granted(SocketId(socket), grant);
        Ok(())
    }

    /// A socket that an earlier node of this hub had.
    #[wasm_bindgen(js_name = socketAdopted)]
    pub fn socket_adopted(&self, socket: u32) {
        self.driver.socket_adopted(SocketId(socket));
    }

    /// A socket of this hub is gone.
    #[wasm_bindgen(js_name = socketGone)]
    pub fn socket_gone(&self, socket: u32) {
        self.driver.socket_gone(SocketId(socket));
    }
}
