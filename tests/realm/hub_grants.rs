//! What the sockets of a hub may do.

use tabmq::broker::{Grant, Granting};
use tabmq::error::Code;
use tabmq::id::ClientId;
use tabmq::limits::{Limits, TOKEN_BYTES_MAX};
use tabmq::time::UnixMillis;
use tabmq::web::sockets::SocketId;
use tabmq::wire::{Frame, Message, Summary};

use crate::handmade::{message, message_under};
use crate::hub::hello;
use crate::hub_world::HubWorld;

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

/// What the hub said on the socket.
fn said(world: &HubWorld, socket: SocketId) -> Vec<String> {
    let arrived = world.arrived.get(&socket).into_iter().flatten();
    let summary = |bytes: &Vec<u8>| -> Vec<String> {
        let message = Message::parse(bytes).expect("a message");
        message.frames().map(|frame| Summary(&frame.expect("a frame")).to_string()).collect()
    };
    arrived.flat_map(summary).collect()
}

fn until(user: &str, world: &HubWorld, ms: u64) -> Grant {
    let expires_at = Some(UnixMillis(world.now.unix.0 + ms));
    let granting = Granting { user, expires_at, publish: &["#"], ..Granting::default() };
    Grant::new(&granting, &Limits::DEFAULTS).expect("a grant")
}

fn renew(world: &mut HubWorld, socket: SocketId, position: u64, token: &str) {
    let epoch = world.hub_broker().epoch();
    let frames = [Frame::Renew { token }];
    world.raw_send(socket, message_under(epoch, ANN, 1, position, &frames));
}

#[test]
fn a_grant_is_renewed_on_its_socket() {
    let mut world = HubWorld::start(0);
    let socket = world.raw_socket();
    world.grant(socket, until("ann", &world, 5000));
    world.raw_send(socket, message(ANN, 1, 1, &[hello()]));
    world.pass_ms(3000);
    renew(&mut world, socket, 2, "second");
    assert_eq!(world.renewals, [(socket, "second".into())]);
    world.grant(socket, until("ann", &world, 5000));
    world.pass_ms(4000);
    assert!(said(&world, socket).contains(&"Granted Some(5000)".into()));
    assert_eq!(world.closed.get(&socket), None);
    world.pass_ms(2000);
    assert_eq!(world.closed.get(&socket), Some(&Code::NotAuthorized));
}

#[test]
fn whoever_renews_in_a_loop_is_heard_once_and_then_not_too_often() {
    let mut world = HubWorld::start(0);
    let socket = enter(&mut world, ANN, "ann", 1);
    (2..102).for_each(|position| renew(&mut world, socket, position, "again"));
    assert_eq!(world.renewals.len(), 1);
    world.pass_ms(5000);
    renew(&mut world, socket, 102, "again");
    assert_eq!(world.renewals.len(), 1, "the first is not answered");
    for position in 103..203 {
        world.grant(socket, of("ann"));
        renew(&mut world, socket, position, "again");
        world.pass_ms(100);
    }
    assert!((10..=11).contains(&world.renewals.len()), "{}", world.renewals.len());
    let long = "x".repeat(TOKEN_BYTES_MAX + 1);
    renew(&mut world, socket, 203, &long);
    assert!(said(&world, socket).contains(&"Hangup TOO_LARGE".into()));
}

#[test]
fn a_renewal_for_another_user_ends_the_socket() {
    let mut world = HubWorld::start(0);
    let socket = enter(&mut world, ANN, "ann", 1);
    world.grant(socket, of("eve"));
    world.pass_ms(100);
    assert_eq!(world.closed.get(&socket), Some(&Code::NotAuthorized));
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
    assert!(said(&world, eve).contains(&"Hangup CONTRACT_MISMATCH".into()));
    assert_eq!((world.closed.get(&eve), world.closed.get(&ann)), (None, None));
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
