//! The verbs of whoever writes sends down that have no answer.

use alloc::string::String;
use alloc::vec::Vec;

use wasm_bindgen::prelude::*;

use crate::client::Client;
use crate::error::{Code, Refused};
use crate::id::{LogId, RequestId};
use crate::js::raw_bus::{Answer, RawBus, to_error};

#[wasm_bindgen]
impl RawBus {
    /// Events tell what is to be written down from now on.
    #[wasm_bindgen(js_name = keepSends)]
    pub fn keep_sends(&self) -> Answer<()> {
        self.tell(Client::keep_sends)
    }

    pub fn kept(&self, request: u32) -> Answer<()> {
        self.tell(|client, now| client.kept(now, RequestId(request)))
    }

    /// `send` is an encoded `KeptSend`.
    #[wasm_bindgen(js_name = takeUp)]
    pub fn take_up(&self, send: &[u8], anew: bool) -> Answer<u32> {
        self.ask(|client, now| client.take_up(now, send, anew)).map(|request| request.0)
    }

    /// The log and the user that sends belong to, if they are known. For a bus at a hub, before it
    /// starts, and to take another log.
    pub fn bind(&self, log: Option<Vec<u8>>, user: Option<String>) -> Answer<()> {
        let id = |log: Vec<u8>| <[u8; 16]>::try_from(log).ok().map(LogId);
        let log = log.map(|log| id(log).ok_or_else(|| Refused::new(Code::Invalid, "log")));
        let log = log.transpose().map_err(to_error)?;
        self.tell(|client, now| client.bind(now, log, user))
    }

    /// Hands another token to the hub, before the grant of the last one ends.
    pub fn renew(&self, token: &str) -> Answer<()> {
        self.tell(|client, now| client.renew(now, token))
    }

    #[wasm_bindgen(js_name = discardSend)]
    pub fn discard_send(&self, request: u32) -> Answer<()> {
        self.ask(|client, now| client.discard_send(now, RequestId(request)))
    }

    #[wasm_bindgen(js_name = giveUpSends)]
    pub fn give_up_sends(&self) -> Answer<()> {
        self.tell(Client::give_up_sends)
    }

    /// After the event `claimed`.
    #[wasm_bindgen(js_name = goOn)]
    pub fn go_on(&self) -> Answer<()> {
        self.driver.go_on().map_err(to_error)
    }
}
