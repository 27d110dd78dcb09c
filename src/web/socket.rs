//! The socket to a hub. `dialing.rs` says when it is opened.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use js_sys::{Array, ArrayBuffer, Function, Reflect, Uint8Array};
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::*;
use web_sys::{BinaryType, CloseEvent, Event, MessageEvent, WebSocket};

use crate::error::Code;
use crate::web::dialing::{Dialing, Way};
use crate::web::listener::Listener;
use crate::web::runtime;

/// Private close codes begin here; a hub adds the number of its code.
const CLOSE_CODES: u16 = 4000;
/// Texts, which frames never are: a host of sockets may answer them without waking its hub.
const PROBE: &str = "ping";
const PROBE_ANSWER: &str = "pong";

/// The doors to one hub, and how to open them.
#[derive(Clone, Debug)]
pub struct Doors {
    /// At least one. In the order in which they are tried.
    pub urls: Vec<String>,
    /// Subprotocols that are offered.
    pub protocols: Vec<String>,
    /// A constructor like `WebSocket`, for runtimes that have none.
    pub constructor: Option<Function>,
}

/// What a socket may bring and keep.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub message_bytes_max: u32,
    pub buffered_bytes_max: u32,
}

/// What a socket tells.
#[derive(Debug)]
pub enum SocketNews {
    Opened,
    Message(Vec<u8>),
    /// The answer to a probe.
    Alive,
    /// It keeps more than it may of what was sent on it.
    Full,
    /// It keeps less than half of that.
    Drained,
    /// It is closed, or did not open. With the code that the hub gave, if it gave one.
    Closed(Option<Code>),
}

/// The one socket of a realm.
pub struct HubSocket {
    doors: Doors,
    dialing: Dialing,
    bytes_max: u32,
    buffered_bytes_max: u32,
    report: Rc<dyn Fn(u32, SocketNews)>,
    current: Option<Current>,
}

struct Current {
    _listener: Listener,
    socket: WebSocket,
}

impl HubSocket {
    /// `report` gets the number of the socket that tells and must do no more than keep the news.
    pub fn new(
        doors: Doors,
        Bounds { message_bytes_max, buffered_bytes_max }: Bounds,
        report: impl Fn(u32, SocketNews) + 'static,
    ) -> Self {
        let (dialing, report) = (Dialing::new(doors.urls.len()), Rc::new(report));
        let bytes_max = message_bytes_max;
        Self { doors, dialing, bytes_max, buffered_bytes_max, report, current: None }
    }

    /// Whether news of this number is of the socket that is used.
    pub const fn is_current(&self, number: u32) -> bool {
        self.dialing.is_current(number)
    }

    /// Sends, or opens a socket instead: whoever speaks first on a link says it again.
    pub fn send(&mut self, bytes: &[u8]) {
        match self.dialing.say() {
            Way::Send => {
                // Throws only while it is not open.
                let send = |current: &Current| {
                    current.socket.send_with_js_u8_array(&Uint8Array::from(bytes))
                };
                let _ = self.current.as_ref().map(send);
                if self.buffered_bytes() > self.buffered_bytes_max {
                    (self.report)(self.dialing.number(), SocketNews::Full);
                }
            }
            Way::Lose => {}
            Way::GiveUp => (self.report)(self.dialing.number(), SocketNews::Closed(None)),
            Way::Open { door } => self.open(door),
        }
    }

    /// What it keeps because the network does not take it yet. Not every socket tells.
    fn buffered_bytes(&self) -> u32 {
        self.current.as_ref().map_or(0, |current| current.socket.buffered_amount())
    }

    /// Tells once half of what it may keep is free.
    pub fn look(&self) {
        if self.buffered_bytes() <= self.buffered_bytes_max / 2 {
            (self.report)(self.dialing.number(), SocketNews::Drained);
        }
    }

    /// Asks for a sign of life.
    pub fn probe(&self) {
        if let Some(current) = &self.current {
            // Throws only while it is not open.
            let _ = current.socket.send_with_str(PROBE);
        }
    }

    /// The socket that is used told that it is open.
    pub const fn opened(&mut self) {
        self.dialing.opened();
    }

    /// What the next one offers as subprotocols.
    pub fn offer(&mut self, protocols: Vec<String>) {
        self.doors.protocols = protocols;
    }

    /// The next message opens another one.
    pub fn drop_current(&mut self) {
        self.dialing.drop_current();
        self.current = None;
    }

    /// Leaves this door, if there is another. Its news are those of any socket that is closed.
    pub fn leave_door(&mut self) {
        if self.doors.urls.len() > 1 && self.current.is_some() {
            (self.report)(self.dialing.number(), SocketNews::Closed(None));
        }
    }

    fn open(&mut self, door: usize) {
        self.current = None;
        let url = &self.doors.urls[door];
        let constructor = self.doors.constructor.clone();
        let constructor =
            constructor.or_else(|| Some(runtime::global("WebSocket")?.unchecked_into()));
        let socket = constructor.and_then(|constructor| {
            let protocols: Array = self.doors.protocols.iter().map(JsValue::from).collect();
            let arguments = Array::of2(&JsValue::from_str(url), &protocols);
            Some(Reflect::construct(&constructor, &arguments).ok()?.unchecked_into::<WebSocket>())
        });
        let (report, number) = (self.report.clone(), self.dialing.number());
        let Some(socket) = socket else { return report(number, SocketNews::Closed(None)) };
        socket.set_binary_type(BinaryType::Arraybuffer);
        let bytes_max = self.bytes_max;
        let types = &["open", "message", "close", "error"];
        let _listener = Listener::new(&socket, types, move |event| {
            read(event, bytes_max).into_iter().for_each(|news| report(number, news));
        });
        self.current = Some(Current { _listener, socket });
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        // What was sent before arrives.
        let _ = self.socket.close();
    }
}

/// What an event says. What is neither a byte array nor of a probe is not ours, and what is longer
/// than `bytes_max` is not copied. A hub that asks whether it is read is answered at once.
fn read(event: Event, bytes_max: u32) -> Option<SocketNews> {
    match event.type_().as_str() {
        "open" => Some(SocketNews::Opened),
        "message" => {
            let event = event.unchecked_into::<MessageEvent>();
            let data = event.data();
            if data == PROBE_ANSWER {
                return Some(SocketNews::Alive);
            }
            if let Some(text) = data.as_string() {
                let socket: WebSocket = event.target()?.unchecked_into();
                // Throws only while it is not open.
                let _ = socket.send_with_str(&[PROBE_ANSWER, text.strip_prefix(PROBE)?].concat());
                return None;
            }
            let bytes = Uint8Array::new(&data.dyn_into::<ArrayBuffer>().ok()?.into());
            (bytes.length() <= bytes_max).then(|| SocketNews::Message(bytes.to_vec()))
        }
        "close" => {
            let code = event.unchecked_into::<CloseEvent>().code();
            let number = code.checked_sub(CLOSE_CODES).and_then(|number| number.try_into().ok());
            Some(SocketNews::Closed(number.and_then(Code::numbered)))
        }
        // An error is followed by the end, which tells.
        _ => None,
    }
}
