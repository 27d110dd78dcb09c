//! The realms of which a world is made.

use tabmq::client::{Client, ClientConfig};
use tabmq::id::ClientId;
use tabmq::limits::Limits;
use tabmq::options::HostKind;
use tabmq::rules::Rules;
use tabmq::time::Now;
use tabmq::web::realm::{NodeAt, Realm, RealmConfig};
use tabmq::web::worker::Part;

/// One of a hub, or of a page that reaches one.
pub fn realm(id: ClientId, now: Now, seed: u8, node_at: NodeAt, limits: &Limits) -> Realm {
    let config = ClientConfig {
        client: id,
        keepsake: None,
        peer: Vec::new(),
        limits: limits.clone(),
        rules: Rules::ON,
    };
    let client = Client::new(config, [seed; 32], now);
    let config = RealmConfig {
        client: id,
        limits: limits.clone(),
        rules: Rules::ON,
        visible: true,
        part: Part::Whole,
        node_at,
        kind: HostKind::Hub,
        persistent: true,
        alone: node_at == NodeAt::Here,
        guest: false,
    };
    Realm::new(config, client, [seed ^ 0x80; 32])
}
