//! Names of channels, locks and databases. All of one bus and user start with the same scope, and
//! no two pairs of bus and user share one.

use alloc::string::String;

use crate::id::ClientId;

/// The prefix of everything that belongs to one bus, for one user if there is one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scope(String);

impl Scope {
    pub fn new(bus: &str, user: Option<&str>) -> Self {
        Self::below("tabmq:", bus, user)
    }

    /// Of a bus that is at a hub. The device may have one of the same name.
    pub fn at_hub(bus: &str, user: Option<&str>) -> Self {
        Self::below("tabmq-hub:", bus, user)
    }

    fn below(prefix: &str, bus: &str, user: Option<&str>) -> Self {
        let mut scope = String::from(prefix);
        push_escaped(&mut scope, bus);
        if let Some(user) = user {
            scope.push(':');
            push_escaped(&mut scope, user);
        }
        Self(scope)
    }

    /// The database, and the key in `sessionStorage`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The channel that only the hosting realm listens to, and the lock it holds.
    pub fn node(&self) -> String {
        self.with(":node")
    }

    /// The channel on which the hosting realm is told to drop its node.
    pub fn kill(&self) -> String {
        self.with(":kill")
    }

    /// The channel that every realm listens to.
    pub fn all(&self) -> String {
        self.with(":all")
    }

    /// The lock that every visible realm shares.
    pub fn visible(&self) -> String {
        self.with(":visible")
    }

    /// The channel between one client and the node.
    pub fn client_channel(&self, client: ClientId) -> String {
        self.with(":c:") + &to_hex(&client.0)
    }

    /// The lock that a client holds for life.
    pub fn client_lock(&self, client: ClientId) -> String {
        self.with(":client:") + &to_hex(&client.0)
    }

    /// The client whose lock has this name.
    pub fn client_of_lock(&self, name: &str) -> Option<ClientId> {
        let hex = name.strip_prefix(self.0.as_str())?.strip_prefix(":client:")?;
        Some(ClientId(from_hex(hex)?.try_into().ok()?))
    }

    fn with(&self, suffix: &str) -> String {
        let mut name = self.0.clone();
        name.push_str(suffix);
        name
    }
}

/// The colon separates, so it must not come from a name.
fn push_escaped(out: &mut String, name: &str) {
    for character in name.chars() {
        match character {
            ':' => out.push_str("%3A"),
            '%' => out.push_str("%25"),
            other => out.push(other),
        }
    }
}

pub fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// `None` if the text is not what `to_hex` gives.
pub fn from_hex(text: &str) -> Option<alloc::vec::Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let pair = |pair: &[u8]| match *pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_buses_or_users_share_a_name() {
        let plain = Scope::new("shop", None);
        let user = Scope::new("shop", Some("ann"));
        let tricky = Scope::new("shop:ann", None);
        assert_eq!(plain.node(), "tabmq:shop:node");
        assert_eq!(user.node(), "tabmq:shop:ann:node");
        assert_eq!(tricky.node(), "tabmq:shop%3Aann:node");
        assert_ne!(Scope::new("a%3A", None), Scope::new("a:", None));
    }

    #[test]
    fn a_client_is_known_by_its_lock() {
        let client = ClientId(*b"\x00\x01\xfe\xff456789abcdef");
        let scope = Scope::new("shop", None);
        let name = scope.client_lock(client);
        assert_eq!(name, "tabmq:shop:client:0001feff343536373839616263646566");
        assert_eq!(scope.client_of_lock(&name), Some(client));
        assert_eq!(Scope::new("sho", None).client_of_lock(&name), None);
        assert_eq!(scope.client_of_lock("tabmq:shop:client:00"), None);
        assert_eq!(scope.client_of_lock("tabmq:shop:client:0g"), None);
        assert_eq!(scope.client_of_lock(&scope.node()), None);
    }
}
