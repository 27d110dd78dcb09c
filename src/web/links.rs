//! The connections of a node that is reached by channels: which client speaks on which.

use crate::id::{ClientId, ConnId, LinkNonce};
use crate::sorted::Map;

/// One link for each client: a new link of a client ends the one before.
#[derive(Debug, Default)]
pub struct Links {
    by_client: Map<ClientId, (LinkNonce, ConnId)>,
    by_conn: Map<ConnId, ClientId>,
}

impl Links {
    pub fn conn(&self, client: ClientId, link: LinkNonce) -> Option<ConnId> {
        self.by_client.get(&client).filter(|(nonce, _)| *nonce == link).map(|(_, conn)| *conn)
    }

    pub fn client(&self, conn: ConnId) -> Option<ClientId> {
        self.by_conn.get(&conn).copied()
    }

    /// The connection of the client, on whichever link.
    pub fn conn_of(&self, client: ClientId) -> Option<ConnId> {
        self.by_client.get(&client).map(|(_, conn)| *conn)
    }

    pub fn has_client(&self, client: ClientId) -> bool {
        self.by_client.contains_key(&client)
    }

    /// How many clients have a link.
    pub fn count(&self) -> usize {
        self.by_client.len()
    }

    /// Adds a link. Returns the connection of the client's link before, which is over.
    pub fn insert(&mut self, client: ClientId, link: LinkNonce, conn: ConnId) -> Option<ConnId> {
        let (_, before) = self.by_client.insert(client, (link, conn)).unzip();
        if let Some(before) = before {
            self.by_conn.remove(&before);
        }
        self.by_conn.insert(conn, client);
        before
    }

    /// Returns the client that spoke on the connection; `None` if it has another by now.
    pub fn remove(&mut self, conn: ConnId) -> Option<ClientId> {
        let client = self.by_conn.remove(&conn)?;
        self.by_client.remove(&client);
        Some(client)
    }

    /// Returns whether the client had a link.
    pub fn remove_client(&mut self, client: ClientId) -> bool {
        let Some((_, conn)) = self.by_client.remove(&client) else { return false };
        self.by_conn.remove(&conn);
        true
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: ClientId = ClientId([1; 16]);

    #[test]
    fn a_new_link_of_a_client_ends_the_one_before() {
        let mut links = Links::default();
        assert_eq!(links.insert(ANN, LinkNonce(7), ConnId(1)), None);
        assert_eq!(links.conn(ANN, LinkNonce(7)), Some(ConnId(1)));
        assert_eq!(links.insert(ANN, LinkNonce(8), ConnId(2)), Some(ConnId(1)));
        assert_eq!(links.conn(ANN, LinkNonce(7)), None);
        assert_eq!(links.client(ConnId(1)), None);
        assert_eq!(links.remove(ConnId(1)), None);
        assert_eq!(links.remove(ConnId(2)), Some(ANN));
        assert_eq!(links.count(), 0);
    }
}
