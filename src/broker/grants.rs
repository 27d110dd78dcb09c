//! What a connection may do: of one user, for some time, by patterns of names. Who grants is the
//! host; a tab of this device gets everything.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::error::{Code, Refused};
use crate::limits::{GRANT_PATTERNS_MAX, Limits, USER_BYTES_MAX};
use crate::time::UnixMillis;
use crate::topic::Filter;

/// A grant as its host writes it. What is absent is not granted. In patterns `*` stands for one
/// word and `#` for zero or more; neither stands for the first word of topics of the system.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Granting<'a> {
    /// Whom the connection belongs to: 1 to `USER_BYTES_MAX` bytes without control characters.
    pub user: &'a str,
    /// From then on, by the wall clock, the connection is over.
    pub expires_at: Option<UnixMillis>,
    /// Topics and queues to which it may send.
    pub publish: &'a [&'a str],
    /// Topics to which it may listen. A filter may be used if one of the patterns covers it.
    pub subscribe: &'a [&'a str],
    /// Queues from which it may take and into which it may look.
    pub consume: &'a [&'a str],
    /// Services and roles for which it may stand.
    pub serve: &'a [&'a str],
    /// Services that it may call.
    pub call: &'a [&'a str],
    /// What is done to queues as a whole, whatever they are called, and all about policies.
    pub admin: bool,
}

/// What a connection may do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant(Option<Box<Granted>>);

/// What a connection of a user may do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Granted {
    user: Box<str>,
    expires_at: Option<UnixMillis>,
    publish: Vec<Filter>,
    subscribe: Vec<Filter>,
    consume: Vec<Filter>,
    serve: Vec<Filter>,
    call: Vec<Filter>,
    admin: bool,
}

/// What is done under a name. Each is a list of a grant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    Publish,
    Subscribe,
    Consume,
    Serve,
    Call,
}

impl Action {
    /// The name of the list, and the reason of a refusal.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::Consume => "consume",
            Self::Serve => "serve",
            Self::Call => "call",
        }
    }
}

impl Grant {
    /// Everything, for ever and of no user: for the tabs of this device, and code of the host.
    pub const ALL: Self = Self(None);

    /// # Errors
    /// `INVALID` with `user`, or with the name of the list that has a pattern that is none;
    /// `TOO_LARGE` with `user_bytes_max` or `grant_patterns_max`.
    pub fn new(granting: &Granting<'_>, limits: &Limits) -> Result<Self, Refused> {
        let Granting { user, expires_at, publish, subscribe, consume, serve, call, admin } =
            *granting;
        if user.len() > USER_BYTES_MAX {
            return Err(Refused::new(Code::TooLarge, "user_bytes_max"));
        }
        if user.is_empty() || user.chars().any(char::is_control) {
            return Err(Refused::new(Code::Invalid, "user"));
        }
        let parse = |action, patterns| parse(action, patterns, limits);
        Ok(Self(Some(Box::new(Granted {
            user: user.into(),
            expires_at,
            publish: parse(Action::Publish, publish)?,
            subscribe: parse(Action::Subscribe, subscribe)?,
            consume: parse(Action::Consume, consume)?,
            serve: parse(Action::Serve, serve)?,
            call: parse(Action::Call, call)?,
            admin,
        }))))
    }

    /// The user whom it is for; `None` if it is everything.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.0.as_ref().map(|granted| &*granted.user)
    }

    /// When it ends.
    #[must_use]
    pub fn expires_at(&self) -> Option<UnixMillis> {
        self.0.as_ref().and_then(|granted| granted.expires_at)
    }

    /// What it is bounded to; `None` if it is everything.
    pub(super) fn granted(&self) -> Option<&Granted> {
        self.0.as_deref()
    }
}

impl Granted {
    /// Whether this may be done under the name.
    pub fn may(&self, action: Action, name: &str) -> bool {
        self.patterns(action).iter().any(|pattern| pattern.stands_for(name))
    }

    /// Whether it may listen to all topics of the filter.
    pub fn may_listen(&self, filter: &Filter) -> bool {
        self.subscribe.iter().any(|pattern| pattern.covers(filter))
    }

    /// Whether the queue of that name is any of its business.
    pub fn may_use(&self, queue: &str) -> bool {
        self.may(Action::Consume, queue) || self.may(Action::Publish, queue)
    }

    pub const fn is_admin(&self) -> bool {
        self.admin
    }

    /// Whether it may serve anything.
    pub fn serves(&self) -> bool {
        !self.serve.is_empty()
    }

    fn patterns(&self, action: Action) -> &[Filter] {
        match action {
            Action::Publish => &self.publish,
            Action::Subscribe => &self.subscribe,
            Action::Consume => &self.consume,
            Action::Serve => &self.serve,
            Action::Call => &self.call,
        }
    }
}

fn parse(action: Action, patterns: &[&str], limits: &Limits) -> Result<Vec<Filter>, Refused> {
    if patterns.len() > GRANT_PATTERNS_MAX {
        return Err(Refused::new(Code::TooLarge, "grant_patterns_max"));
    }
    let invalid = |_| Refused::new(Code::Invalid, action.text());
    patterns.iter().map(|text| Filter::parse(text, limits).map_err(invalid)).collect()
}
