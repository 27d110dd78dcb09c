//! Sockets of a hub that JavaScript holds, for every server has its own. They are told by number
//! what to send; what comes on them arrives through `Driver::at_socket`.

use alloc::vec::Vec;

use js_sys::{Uint8Array, Uint32Array};
use wasm_bindgen::prelude::*;

use crate::error::Code;
use crate::id::ClientId;
use crate::web::sockets::SocketId;

#[wasm_bindgen]
extern "C" {
    /// `RawSockets` of pkg/src/raw.ts.
    #[derive(Clone, Debug)]
    pub type SocketHost;
    #[wasm_bindgen(method, catch)]
    fn send(this: &SocketHost, sockets: &Uint32Array, bytes: &Uint8Array) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch)]
    fn close(this: &SocketHost, socket: u32, code: u32) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch)]
    fn lost(this: &SocketHost, socket: u32, client: &[u8], count: f64) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch)]
    fn renew(this: &SocketHost, socket: u32, token: &str) -> Result<(), JsValue>;
}

impl SocketHost {
    /// Sends one message on several sockets. One that can't take it tells by being gone.
    pub fn send_to(&self, sockets: &[SocketId], bytes: &[u8]) {
        let numbers: Vec<u32> = sockets.iter().map(|socket| socket.0).collect();
        let _ = self.send(&Uint32Array::from(&numbers[..]), &Uint8Array::from(bytes));
    }

    /// Asks whoever grants for another grant of the socket.
    pub fn renew_one(&self, socket: SocketId, token: &str) {
        let _ = self.renew(socket.0, token);
    }

    /// Tells that a client on it had so many more sends confirmed than are stored.
    #[allow(clippy::cast_precision_loss)]
    pub fn tell_lost(&self, socket: SocketId, client: ClientId, count: u64) {
        let _ = self.lost(socket.0, &client.0, count as f64);
    }

    pub fn close_one(&self, socket: SocketId, code: Code) {
        let _ = self.close(socket.0, u32::from(code.number()));
    }
}
