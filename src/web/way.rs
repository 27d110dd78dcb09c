//! The way that transport messages take beside the channels of the device: sockets, of a hub or to
//! one.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use crate::error::Code;
use crate::id::ClientId;
use crate::web::choices::Reach;
use crate::web::inbox::Inbox;
use crate::web::io::Fact;
use crate::web::js_sockets::SocketHost;
use crate::web::platform::Arrival;
use crate::web::socket::{Bounds, HubSocket, SocketNews};
use crate::web::sockets::SocketId;

pub enum Way {
    None,
    ToHub(Box<HubSocket>),
    /// This realm is the hub.
    Sockets(SocketHost),
}

impl Way {
    pub fn new(reach: Reach, bounds: Bounds, inbox: Rc<Inbox<Arrival>>) -> Self {
        match reach {
            Reach::Device => Self::None,
            Reach::Here(host) => Self::Sockets(host),
            Reach::Hub(doors) => {
                let report = move |number, news| inbox.push(Arrival::Socket(number, news));
                Self::ToHub(Box::new(HubSocket::new(doors, bounds, report)))
            }
        }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        if let Self::ToHub(socket) = self {
            socket.send(bytes);
        }
    }

    pub fn offer(&mut self, protocols: Vec<String>) {
        if let Self::ToHub(socket) = self {
            socket.offer(protocols);
        }
    }

    pub fn probe(&self) {
        if let Self::ToHub(socket) = self {
            socket.probe();
        }
    }

    pub fn look(&self) {
        if let Self::ToHub(socket) = self {
            socket.look();
        }
    }

    pub fn drop_socket(&mut self) {
        if let Self::ToHub(socket) = self {
            socket.drop_current();
        }
    }

    pub fn leave_door(&mut self) {
        if let Self::ToHub(socket) = self {
            socket.leave_door();
        }
    }

    pub fn send_to(&self, sockets: &[SocketId], bytes: &[u8]) {
        if let Self::Sockets(host) = self {
            host.send_to(sockets, bytes);
        }
    }

    pub fn renew(&self, socket: SocketId, token: &str) {
        if let Self::Sockets(host) = self {
            host.renew_one(socket, token);
        }
    }

    pub fn lost(&self, socket: SocketId, client: ClientId, count: u64) {
        if let Self::Sockets(host) = self {
            host.tell_lost(socket, client, count);
        }
    }

    pub fn close(&self, socket: SocketId, code: Code) {
        if let Self::Sockets(host) = self {
            host.close_one(socket, code);
        }
    }

    pub fn facts_of(&mut self, number: u32, news: SocketNews) -> Vec<Fact> {
        let Self::ToHub(socket) = self else { return Vec::new() };
        if !socket.is_current(number) {
            return Vec::new();
        }
        [match news {
            SocketNews::Opened => {
                socket.opened();
                Fact::SocketOpened
            }
            SocketNews::Alive => Fact::HubAlive,
            SocketNews::Full => Fact::SocketFull,
            SocketNews::Drained => Fact::SocketDrained,
            SocketNews::Message(bytes) => Fact::FromHub(bytes),
            SocketNews::Closed(code) => {
                socket.drop_current();
                Fact::SocketClosed { code }
            }
        }]
        .into()
    }
}
