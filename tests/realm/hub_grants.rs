//! What the sockets of a hub may do.

use tabmq::broker::{Grant, Granting};
use tabmq::error::Code;
use tabmq::id::ClientId;
use tabmq::limits::Limits;
use tabmq::web::sockets::SocketId;

use crate::hub::hello;
use crate::hub_world::{HubWorld, message};

const ANN: ClientId = ClientId([0xaa; 16]);

fn of(user: &str) -> Grant {
    let publish = &["#"][..];
    let granting = Granting { user, publish, ..Granting::default() };
    Grant::new(&granting, &Limits::DEFAULTS).expect("a grant")
}

/// A socket of this user on which the client has said Hello.
fn enter(world: &mut HubWorld, client: ClientId, user: &str, link: u64) -> SocketId {
    let socket = world.raw_socket();
    world.grant(socket, of(user));
    world.raw_send(socket, message(client, link, 1, &[hello()]));
    world.pass_ms(100);
    socket
}

#[test]
fn a_socket_without_a_grant_may_do_nothing_where_the_host_grants() {
    let mut world = HubWorld::start(0);
    let ann = enter(&mut world, ANN, "ann", 1);
    let other = world.raw_socket();
    let digest = world.digest();
    world.raw_send(other, message(ClientId([0xbb; 16]), 2, 1, &[hello()]));
    world.pass_ms(100);
    assert_eq!(world.closed.get(&other), Some(&Code::NotAuthorized));
    assert_eq!(world.closed.get(&ann), None);
    assert_eq!(world.digest(), digest);
}

#[test]
fn whoever_claims_to_be_the_client_of_another_user_does_not_even_end_its_link() {
    let mut world = HubWorld::start(0);
    let ann = enter(&mut world, ANN, "ann", 1);
    let digest = world.digest();
    let eve = enter(&mut world, ANN, "eve", 2);
    assert_eq!(world.closed.get(&eve), Some(&Code::NotAuthorized));
    assert_eq!(world.closed.get(&ann), None);
    assert_eq!(world.digest(), digest);
    let again = enter(&mut world, ANN, "ann", 3);
    assert_eq!(world.closed.get(&again), None);
}

#[test]
fn only_a_device_of_its_user_can_say_that_a_client_is_gone() {
    let mut world = HubWorld::start(0);
    enter(&mut world, ANN, "ann", 1);
    let sessions = |world: &HubWorld| world.hub_broker().user_of_session(ANN).is_some();
    let farewell = message(ANN, 0, 0, &[]);
    let eve = enter(&mut world, ClientId([0xee; 16]), "eve", 2);
    world.raw_send(eve, farewell.clone());
    world.pass_ms(100);
    assert!(sessions(&world));
    let device = enter(&mut world, ClientId([0xab; 16]), "ann", 3);
    world.raw_send(device, farewell);
    world.pass_ms(100);
    assert!(sessions(&world), "its socket seems to be open");
    world.raw_gone(SocketId(1));
    world.pass_ms(100);
    assert!(!sessions(&world));
}

#[test]
fn a_node_that_is_over_takes_all_granted_sockets_along() {
    let mut world = HubWorld::start(0);
    let ann = enter(&mut world, ANN, "ann", 1);
    let silent = world.raw_socket();
    world.grant(silent, of("eve"));
    world.close_hub();
    world.pass_ms(100);
    assert_eq!(world.closed.get(&ann), Some(&Code::Unavailable));
    assert_eq!(world.closed.get(&silent), Some(&Code::Unavailable));
}
