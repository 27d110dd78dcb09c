//! Transport messages between realms of one storage partition. A channel has no end, no echo and
//! no answer; what nobody listens to is lost.

use alloc::vec::Vec;

use js_sys::Uint8Array;
use wasm_bindgen::JsCast;
use web_sys::{BroadcastChannel, Event, MessageEvent};

use crate::web::listener::Listener;

/// One channel that is posted to and listened to. Whoever posts does not hear itself.
#[derive(Debug)]
pub struct Channel {
    // Before the channel, so that it is removed from a channel that is still open.
    _listener: Option<Listener>,
    channel: BroadcastChannel,
}

impl Channel {
    /// Opens a channel and hands what is heard to `receive`. What is no byte array is not ours, and
    /// what is longer than `bytes_max` is not copied: memory that has grown stays as large.
    pub fn listen(
        name: &str,
        bytes_max: u32,
        mut receive: impl FnMut(Vec<u8>) + 'static,
    ) -> Option<Self> {
        let channel = BroadcastChannel::new(name).ok()?;
        let listener = Listener::new(&channel, &["message"], move |event: Event| {
            let data = event.unchecked_into::<MessageEvent>().data();
            match data.dyn_into::<Uint8Array>() {
                Ok(bytes) if bytes.length() <= bytes_max => receive(bytes.to_vec()),
                _ => {}
            }
        });
        Some(Self { _listener: Some(listener), channel })
    }

    /// Opens a channel that is only posted to. Keep it no longer than needed: the runtime wakes
    /// this realm for each message on it all the same.
    pub fn open(name: &str) -> Option<Self> {
        Some(Self { _listener: None, channel: BroadcastChannel::new(name).ok()? })
    }

    /// Posts a copy of the bytes. In a page that is going away nothing happens.
    pub fn post(&self, bytes: &[u8]) {
        let _ = self.channel.post_message(&Uint8Array::from(bytes));
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.channel.close();
    }
}
