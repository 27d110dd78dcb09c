//! Where callbacks of the browser leave what they know. They do nothing else, so nothing is ever
//! borrowed or half done when one comes.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};

use js_sys::futures::spawn_local;

/// A queue whose reader runs in a microtask of its own once something came in.
pub struct Inbox<T> {
    items: RefCell<VecDeque<T>>,
    called: Cell<bool>,
    reader: RefCell<Option<Rc<dyn Fn()>>>,
}

impl<T> Inbox<T> {
    pub fn new() -> Rc<Self> {
        Rc::new(Self {
            items: RefCell::new(VecDeque::new()),
            called: Cell::new(false),
            reader: RefCell::new(None),
        })
    }

    /// Sets who reads. Before that, items wait.
    pub fn set_reader(&self, read: impl Fn() + 'static) {
        self.reader.replace(Some(Rc::new(read)));
    }

    pub fn push(&self, item: T) {
        self.items.borrow_mut().push_back(item);
        self.call();
    }

    /// Lets the reader run soon, though nothing may come in.
    pub fn call(&self) {
        let Some(reader) = self.reader.borrow().clone() else { return };
        if !self.called.replace(true) {
            spawn_local(async move { reader() });
        }
    }

    /// The reader runs: what comes in from here on lets it run again.
    pub fn begin(&self) {
        self.called.set(false);
    }

    pub fn pop(&self) -> Option<T> {
        self.items.borrow_mut().pop_front()
    }
}
