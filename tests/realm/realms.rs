//! The realms of which a world is made.

use tabmq::client::{Client, ClientConfig};
use tabmq::id::ClientId;
use tabmq::limits::Limits;
use tabmq::node::Naps;
use tabmq::options::HostKind;
use tabmq::rules::Rules;
use tabmq::time::Now;
use tabmq::web::realm::{NodeAt, Realm, RealmConfig};
use tabmq::web::worker::Part;

/// One of a hub, or of a page that reaches one.
pub fn realm(id: ClientId, now: Now, seed: u8, node_at: NodeAt, limits: &Limits) -> Realm {
    realm_with(id, now, seed, node_at, limits, None)
}

/// One of a hub whose host falls asleep.
pub fn sleeper(id: ClientId, now: Now, seed: u8, limits: &Limits) -> Realm {
    realm_with(id, now, seed, NodeAt::Here, limits, Some(Naps::OF_OBJECTS))
}

fn realm_with(
    id: ClientId,
    now: Now,
    seed: u8,
    node_at: NodeAt,
    limits: &Limits,
    naps: Option<Naps>,
) -> Realm {
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
        naps,
    };
    Realm::new(config, client, [seed ^ 0x80; 32])
}
