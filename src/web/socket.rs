//! The socket to a hub. It is opened when there is something to say, so the client's Hellos, which
//! come in growing intervals, are what dials again; and each try takes the next door.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;

use js_sys::{Array, ArrayBuffer, Function, Reflect, Uint8Array};
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::*;
use web_sys::{BinaryType, CloseEvent, Event, MessageEvent, WebSocket};

use crate::error::Code;
use crate::web::listener::Listener;
use crate::web::runtime;

/// So many messages may be lost to a socket that does not open before the next door is tried.
const MESSAGES_LOST_MAX: u32 = 6;
/// Private close codes begin here; a hub adds the number of its code.
const CLOSE_CODES: u16 = 4000;

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

/// What a socket tells.
#[derive(Debug)]
pub enum SocketNews {
    Opened,
    Message(Vec<u8>),
    /// It is closed, or did not open. With the code that the hub gave, if it gave one.
    Closed(Option<Code>),
}

/// The one socket of a realm.
pub struct HubSocket {
    doors: Doors,
    next_door: usize,
    bytes_max: u32,
    report: Rc<dyn Fn(u32, SocketNews)>,
    number: u32,
    current: Option<Current>,
}

struct Current {
    _listener: Listener,
    socket: WebSocket,
    is_open: Rc<Cell<bool>>,
    lost: u32,
}

impl HubSocket {
    /// `report` gets the number of the socket that tells and must do no more than keep the news.
    pub fn new(doors: Doors, bytes_max: u32, report: impl Fn(u32, SocketNews) + 'static) -> Self {
        let report = Rc::new(report);
        Self { doors, next_door: 0, bytes_max, report, number: 0, current: None }
    }

    /// Whether news of this number is of the socket that is used.
    pub fn is_current(&self, number: u32) -> bool {
        number == self.number && self.current.is_some()
    }

    /// Sends, or opens a socket instead: whoever speaks first on a link says it again.
    pub fn send(&mut self, bytes: &[u8]) {
        match &mut self.current {
            Some(current) if current.is_open.get() => {
                // Throws only while it is not open.
                let _ = current.socket.send_with_js_u8_array(&Uint8Array::from(bytes));
            }
            Some(current) if current.lost < MESSAGES_LOST_MAX => current.lost += 1,
            Some(_) => (self.report)(self.number, SocketNews::Closed(None)),
            None => self.open(),
        }
    }

    /// What the next one offers as subprotocols.
    pub fn offer(&mut self, protocols: Vec<String>) {
        self.doors.protocols = protocols;
    }

    /// The next message opens another one.
    pub fn drop_current(&mut self) {
        self.current = None;
    }

    /// Leaves this door, if there is another. Its news are those of any socket that is closed.
    pub fn leave_door(&mut self) {
        if self.doors.urls.len() > 1 && self.current.is_some() {
            (self.report)(self.number, SocketNews::Closed(None));
        }
    }

    fn open(&mut self) {
        self.current = None;
        self.number = self.number.wrapping_add(1);
        let url = &self.doors.urls[self.next_door % self.doors.urls.len()];
        self.next_door = self.next_door.wrapping_add(1);
        let constructor = self.doors.constructor.clone();
        let constructor =
            constructor.or_else(|| Some(runtime::global("WebSocket")?.unchecked_into()));
        let socket = constructor.and_then(|constructor| {
            let protocols: Array = self.doors.protocols.iter().map(JsValue::from).collect();
            let arguments = Array::of2(&JsValue::from_str(url), &protocols);
            Some(Reflect::construct(&constructor, &arguments).ok()?.unchecked_into::<WebSocket>())
        });
        let (report, number) = (self.report.clone(), self.number);
        let Some(socket) = socket else { return report(number, SocketNews::Closed(None)) };
        socket.set_binary_type(BinaryType::Arraybuffer);
        let is_open = Rc::new(Cell::new(false));
        let (opened, bytes_max) = (is_open.clone(), self.bytes_max);
        let types = &["open", "message", "close", "error"];
        let _listener = Listener::new(&socket, types, move |event| {
            let news = read(event, bytes_max);
            if let Some(news) = &news {
                opened.set(!matches!(news, SocketNews::Closed(_)));
            }
            news.into_iter().for_each(|news| report(number, news));
        });
        self.current = Some(Current { _listener, socket, is_open, lost: 0 });
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        // What was sent before arrives.
        let _ = self.socket.close();
    }
}

/// What an event says. What is no byte array is not ours, and what is longer than `bytes_max` is
/// not copied.
fn read(event: Event, bytes_max: u32) -> Option<SocketNews> {
    match event.type_().as_str() {
        "open" => Some(SocketNews::Opened),
        "message" => {
            let data = event.unchecked_into::<MessageEvent>().data();
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
