//! The links between devices and the hub: ordered streams, one each way.
//!
//! The fault model. A link may be cut, each way after any part of what is under way, and both ends
//! learn of it when they have got that part. It may stall, one way or both: what was said comes
//! late, even after its page has long dialed another. It may lead nowhere without a word, and one
//! end or none learns of that. Never: a hole in what comes, or another order.

use alloc::vec::Vec;

use crate::error::Code;
use crate::sim::check::Violation;
use crate::sim::fact::ProcessId;
use crate::sim::hub::{Action, HubWorld, News, Said};
use crate::sim::schedule::{MILLI, Micros, SECOND};
use crate::web::dialing;
use crate::web::io;
use crate::web::sockets::SocketId;

/// How long a system believes in a peer that says nothing.
const GIVEN_UP_AFTER: Micros = 60 * SECOND;

/// One way of a link.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stream {
    /// When the last of what was said arrives.
    pub busy_until: Micros,
    /// What would arrive later never does.
    pub open_until: Option<Micros>,
}

impl Stream {
    /// When something said now arrives, if it does.
    pub fn arrival(&mut self, now: Micros, latency: Micros) -> Option<Micros> {
        let at = (now + latency).max(self.busy_until);
        self.busy_until = at;
        self.open_until.is_none_or(|until| at <= until).then_some(at)
    }

    /// What would arrive later than this never does.
    pub fn cut(&mut self, at: Micros) {
        self.open_until = Some(self.open_until.map_or(at, |until| until.min(at)));
    }
}

/// One life of a socket between a page that relays and a process of the hub.
#[derive(Debug)]
pub(super) struct Link {
    pub page: ProcessId,
    /// What the page calls it.
    pub number: u32,
    pub device: usize,
    pub hub: ProcessId,
    pub door: usize,
    pub up: Stream,
    pub down: Stream,
    /// Bytes that the page said and that did not arrive.
    buffered: usize,
    /// Which end has it.
    pub at_page: bool,
    pub at_hub: bool,
}

impl Link {
    pub fn new(page: ProcessId, number: u32, device: usize, hub: ProcessId, door: usize) -> Self {
        let (up, down) = (Stream::default(), Stream::default());
        let (buffered, at_page, at_hub) = (0, true, true);
        Self { page, number, device, hub, door, up, down, buffered, at_page, at_hub }
    }
}

impl HubWorld {
    fn latency(&mut self) -> Micros {
        self.dice.between(100, self.hub_plan.plan.network.latency_max.max(5 * MILLI))
    }

    /// A page sends to the hub, or dials instead.
    pub(super) fn page_says(&mut self, page: ProcessId, bytes: Vec<u8>) {
        self.mix(1, &bytes);
        let Some(sender) = self.pages.get_mut(&page) else { return };
        let said = sender.dialing.say();
        let number = sender.dialing.number();
        match said {
            dialing::Way::Send => {
                let length = bytes.len();
                self.send_up(page, Said::Message(bytes));
                self.keep_buffered(page, number, length);
            }
            dialing::Way::Lose => {}
            dialing::Way::GiveUp => {
                let news = News::Closed(None);
                self.schedule.after(0, Action::Socket { page, number, news });
            }
            dialing::Way::Open { door } => {
                let after = self.latency();
                self.schedule.after(after, Action::Knock { page, number, door });
            }
        }
    }

    /// What does not arrive at once stays in the socket.
    fn keep_buffered(&mut self, page: ProcessId, number: u32, length: usize) {
        let bytes_max = self.hub_plan.plan.limits.socket_buffered_bytes_max as usize;
        let socket = self.pages.get(&page).and_then(|page| page.socket);
        let Some(link) = socket.and_then(|socket| self.links.get_mut(&socket)) else { return };
        link.buffered += length;
        if link.buffered > bytes_max {
            let news = News::Full;
            self.schedule.after(0, Action::Socket { page, number, news });
        }
    }

    /// A page looks how much its socket keeps.
    pub(super) fn page_looks(&mut self, page: ProcessId) {
        let bytes_max = self.hub_plan.plan.limits.socket_buffered_bytes_max as usize;
        let Some(looking) = self.pages.get(&page) else { return };
        let number = looking.dialing.number();
        let link = looking.socket.and_then(|socket| self.links.get(&socket));
        if link.is_none_or(|link| link.buffered <= bytes_max / 2) {
            let news = News::Drained;
            self.schedule.after(0, Action::Socket { page, number, news });
        }
    }

    /// A page asks for a sign of life. Nothing comes of it where no socket is open.
    pub(super) fn page_probes(&mut self, page: ProcessId) {
        self.send_up(page, Said::Probe);
    }

    fn send_up(&mut self, page: ProcessId, said: Said) {
        let (latency, now) = (self.latency(), self.schedule.now());
        let Some(socket) = self.pages.get(&page).and_then(|page| page.socket) else { return };
        let Some(link) = self.links.get_mut(&socket) else { return };
        if let Some(at) = link.up.arrival(now, latency) {
            self.schedule.at(at, Action::OnLink { socket, said });
        }
    }

    /// A hub sends on a socket.
    pub(super) fn send_down(&mut self, socket: SocketId, bytes: &[u8]) {
        self.news_down(socket, News::Message(bytes.to_vec()));
    }

    fn news_down(&mut self, socket: SocketId, news: News) {
        let (latency, now) = (self.latency(), self.schedule.now());
        let Some(link) = self.links.get_mut(&socket).filter(|link| link.at_hub) else { return };
        let (page, number) = (link.page, link.number);
        if let Some(at) = link.down.arrival(now, latency) {
            self.schedule.at(at, Action::Socket { page, number, news });
        }
    }

    /// A message on a link, or its end, reaches the hub.
    pub(super) fn on_link(&mut self, socket: SocketId, said: Said) -> Result<(), Violation> {
        let Some(link) = self.links.get_mut(&socket) else { return Ok(()) };
        if let Said::Message(bytes) = &said {
            link.buffered -= bytes.len();
        }
        if !link.at_hub {
            return Ok(());
        }
        let hub = link.hub;
        match said {
            Said::Message(bytes) => self.hub_fact(hub, io::Fact::AtSocket { socket, bytes }),
            Said::Probe => {
                self.news_down(socket, News::Alive);
                Ok(())
            }
            Said::Farewell => {
                link.at_hub = false;
                self.forget_link(socket);
                self.hub_fact(hub, io::Fact::SocketGone { socket })
            }
        }
    }

    /// News of a socket reaches the page that dialed it.
    pub(super) fn socket_news(
        &mut self,
        page: ProcessId,
        number: u32,
        news: News,
    ) -> Result<(), Violation> {
        let Some(dialer) = self.pages.get_mut(&page).filter(|page| page.dialing.is_current(number))
        else {
            return Ok(());
        };
        match news {
            News::Opened => {
                dialer.dialing.opened();
                self.page_fact(page, io::Fact::SocketOpened)
            }
            News::Message(bytes) => self.page_fact(page, io::Fact::FromHub(bytes)),
            News::Alive => self.page_fact(page, io::Fact::HubAlive),
            News::Full => self.page_fact(page, io::Fact::SocketFull),
            News::Drained => self.page_fact(page, io::Fact::SocketDrained),
            News::Closed(code) => {
                self.drop_socket(page);
                self.page_fact(page, io::Fact::SocketClosed { code })
            }
        }
    }

    /// A page uses its socket no more: what it said before may still arrive.
    pub(super) fn drop_socket(&mut self, page: ProcessId) {
        let Some(dialer) = self.pages.get_mut(&page) else { return };
        dialer.dialing.drop_current();
        if let Some(socket) = dialer.socket.take() {
            self.end_at_page(socket);
        }
    }

    /// The page's end of a link is closed. The hub learns of it behind what was said.
    pub(super) fn end_at_page(&mut self, socket: SocketId) {
        let now = self.schedule.now();
        let latency = self.latency();
        let Some(link) = self.links.get_mut(&socket) else { return };
        link.at_page = false;
        let seen_at = link.up.arrival(now, latency);
        let given_up_at = now + self.dice.between(SECOND, GIVEN_UP_AFTER);
        let seen_at = seen_at.unwrap_or(given_up_at);
        self.schedule.at(seen_at, Action::OnLink { socket, said: Said::Farewell });
        self.forget_link(socket);
    }

    /// The hub's end of a link is closed. The page learns of it behind what was said.
    pub(super) fn end_at_hub(&mut self, socket: SocketId, code: Option<Code>) {
        let now = self.schedule.now();
        let latency = self.latency();
        let Some(link) = self.links.get_mut(&socket).filter(|link| link.at_hub) else { return };
        link.at_hub = false;
        let (page, number) = (link.page, link.number);
        if let Some(at) = link.down.arrival(now, latency) {
            self.schedule.at(at, Action::Socket { page, number, news: News::Closed(code) });
        }
        self.forget_link(socket);
    }

    /// The hub is told at some time that the other end is gone.
    pub(super) fn hub_gives_up(&mut self, socket: SocketId, after: Micros) {
        self.schedule.after(after, Action::OnLink { socket, said: Said::Farewell });
    }

    /// The page is told at some time that the other end is gone.
    pub(super) fn page_gives_up(&mut self, socket: SocketId, after: Micros) {
        let Some(link) = self.links.get(&socket) else { return };
        let (page, number) = (link.page, link.number);
        self.schedule.after(after, Action::Socket { page, number, news: News::Closed(None) });
    }

    fn forget_link(&mut self, socket: SocketId) {
        let over = |link: &Link| !link.at_page && !link.at_hub;
        if self.links.get(&socket).is_some_and(over) {
            self.links.remove(&socket);
        }
    }
}
