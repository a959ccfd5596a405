//! Whom a node does not meet: the banned, those that cool down, and on some nodes everybody who is not named.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on panics")]

mod common;
use common::{net::Net, *};
use std::{net::SocketAddr, time::Duration};
use zakura_transport::{
    BanError, BanReason, BanTarget, CloseReason, Exit, GroupCaps, Netgroup, PeerEvent, PeerId, Role, Service,
    TransportConfig, Violation,
};

const HOUR: Duration = Duration::from_secs(3600);

/// A node of its neighbourhood `group`.
async fn start_in(net: &Net, group: u8, seed: u8, service: impl Service, like: TransportConfig) -> Node {
    let at = SocketAddr::from(([10, 0, group, seed], 8234));
    let like = TransportConfig { listen: at, socket: Some(net.socket(at)), groups: GroupCaps::OPEN, ..like };
    start_with(seed, service, like).await
}

async fn echo(net: &Net, group: u8, seed: u8) -> Node {
    start_in(net, group, seed, Echo(vec![news()]), config()).await
}

/// Dials once, and says how that ends: with a connection that stands, or with the reason why not.
async fn meets(from: &mut Node, to: &Node) -> Result<(), CloseReason> {
    from.handle.dial(to.handle.local_peer()).await.unwrap();
    loop {
        match from.event().await {
            PeerEvent::DialFailed { reason, .. } | PeerEvent::Disconnected { reason, .. } => {
                return Err(reason);
            }
            PeerEvent::Connected(_) => {
                // The dialled side closes whom it does not take at once, but after its Ack.
                match tokio::time::timeout(Duration::from_millis(500), from.event()).await {
                    Ok(PeerEvent::Disconnected { reason, .. }) => return Err(reason),
                    Ok(other) => panic!("{other:?}"),
                    Err(_) => return Ok(()),
                }
            }
            _ => {}
        }
    }
}

/// Whom a node says next that it did not let in, and why.
async fn turned_away(node: &mut Node) -> (PeerId, CloseReason) {
    match node.event().await {
        PeerEvent::Refused { peer, reason, .. } => (peer, reason),
        other => panic!("{other:?}"),
    }
}

const CLOSED: CloseReason = CloseReason::Remote { code: 0, reason: String::new() };

#[tokio::test(start_paused = true)]
async fn a_banned_identity_is_closed_refused_not_dialled_and_readmitted() {
    let net = Net::default();
    let mut node = echo(&net, 1, 1).await;
    let mut peer = echo(&net, 2, 2).await;
    assert_eq!(meets(&mut peer, &node).await, Ok(()));
    let target = BanTarget::Peer(peer.id());
    node.handle.ban(target, HOUR, "sends\u{7}spam").await.unwrap();
    assert_eq!(peer.disconnected().await.1, CLOSED, "what stands is closed");
    assert_eq!(node.disconnected().await.1, CloseReason::Banned);
    assert_eq!(meets(&mut peer, &node).await, Err(CLOSED));
    assert_eq!(turned_away(&mut node).await, (peer.id(), CloseReason::Banned));
    assert_eq!(meets(&mut node, &peer).await, Err(CloseReason::Banned));
    assert!(node.handle.peers().is_empty());

    let [ban] = node.handle.bans().await.unwrap().try_into().unwrap();
    assert_eq!(
        (ban.target, ban.reason, ban.evidence.as_str()),
        (target, BanReason::Asked, r"sends\u{7}spam")
    );
    assert!(ban.left <= HOUR && ban.left > HOUR / 2);
    assert_eq!(node.handle.unban(target).await, Ok(true));
    assert_eq!(node.handle.unban(target).await, Ok(false));
    assert_eq!(meets(&mut peer, &node).await, Ok(()));
    node.stop().await;
    peer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_ban_ends_by_itself() {
    let net = Net::default();
    let node = echo(&net, 1, 1).await;
    let mut peer = echo(&net, 2, 2).await;
    node.handle.ban(BanTarget::Peer(peer.id()), HOUR, "").await.unwrap();
    assert_eq!(meets(&mut peer, &node).await, Err(CLOSED));
    tokio::time::sleep(HOUR).await;
    assert_eq!(meets(&mut peer, &node).await, Ok(()));
    node.stop().await;
    peer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_banned_address_hears_nothing_and_its_neighbours_do() {
    let net = Net::default();
    let node = echo(&net, 1, 1).await;
    let mut peer = echo(&net, 2, 2).await;
    let mut neighbour = echo(&net, 2, 3).await;
    let target = BanTarget::Ip(peer.handle.local_addr().ip());
    node.handle.ban(target, HOUR, "").await.unwrap();
    assert_eq!(meets(&mut peer, &node).await, Err(CloseReason::Timeout), "no answer at all");
    assert_eq!(meets(&mut neighbour, &node).await, Ok(()));
    let whole = BanTarget::Group(Netgroup::of(peer.handle.local_addr().ip()));
    node.handle.ban(whole, HOUR, "").await.unwrap();
    assert_eq!(neighbour.disconnected().await.1, CLOSED);
    assert_eq!(meets(&mut neighbour, &node).await, Err(CloseReason::Timeout));
    assert_eq!(node.handle.unban(target).await, Ok(true));
    assert_eq!(node.handle.unban(whole).await, Ok(true));
    assert_eq!(meets(&mut peer, &node).await, Ok(()));
    node.stop().await;
    peer.stop().await;
    neighbour.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_trusted_peer_is_never_banned_and_a_named_one_is() {
    let net = Net::default();
    let mut node = echo(&net, 1, 1).await;
    let (trusted, mut named) = (echo(&net, 2, 2).await, echo(&net, 3, 3).await);
    node.handle.add_peer(named.handle.local_peer()).await.unwrap();
    assert_eq!(node.connected().await.role, Role::Static);
    node.handle.add_trusted_peer(trusted.handle.local_peer()).await.unwrap();
    assert_eq!(node.connected().await.role, Role::Trusted);
    let id = trusted.id();
    assert_eq!(node.handle.ban(BanTarget::Peer(id), HOUR, "").await, Err(BanError::Trusted(id)));
    for node_of in [&trusted, &named] {
        let ip = node_of.handle.local_addr().ip();
        node.handle.ban(BanTarget::Group(Netgroup::of(ip)), HOUR, "").await.unwrap();
    }
    let (gone, reason) = node.disconnected().await;
    assert_eq!((gone.id, reason), (named.id(), CloseReason::Banned));
    assert_eq!(node.handle.peers().iter().map(|peer| peer.id).collect::<Vec<_>>(), [id]);
    named.disconnected().await;
    let unheard = tokio::time::timeout(Duration::from_secs(100), named.events.recv()).await;
    assert!(unheard.is_err(), "the other is not even dialled");
    node.handle.close(id).await.unwrap();
    assert_eq!(node.connected().await.id, id, "it is dialled again");
    node.stop().await;
    trusted.stop().await;
    named.stop().await;
}

#[tokio::test(start_paused = true)]
async fn provably_wrong_content_cools_its_sender_and_its_neighbourhood_down_and_a_bad_word_does_not() {
    let net = Net::default();
    let (service, mut sessions) = handover(vec![news()]);
    let node = start_in(&net, 1, 1, service, config()).await;
    let mut liar = echo(&net, 2, 2).await;
    let mut neighbour = echo(&net, 2, 3).await;
    let mut standing = echo(&net, 2, 4).await;
    let mut other = echo(&net, 3, 5).await;
    assert_eq!(meets(&mut standing, &node).await, Ok(()));
    let _standing = session(&mut sessions).await;

    assert_eq!(meets(&mut liar, &node).await, Ok(()));
    let (_session, exit) = session(&mut sessions).await;
    exit.send(Exit::Violation(Violation::protocol("word", "odd"))).unwrap();
    assert_eq!(liar.disconnected().await.1, CLOSED);
    assert_eq!(meets(&mut liar, &node).await, Ok(()), "what may be an honest node's bug has no sequel");

    let (_session, exit) = session(&mut sessions).await;
    exit.send(Exit::Violation(Violation::proven_invalid("content", "wrong hash"))).unwrap();
    assert_eq!(liar.disconnected().await.1, CLOSED);
    assert_eq!(meets(&mut liar, &node).await, Err(CloseReason::Timeout));
    assert_eq!(meets(&mut neighbour, &node).await, Err(CloseReason::Timeout), "the operator's next key");
    assert_eq!(meets(&mut other, &node).await, Ok(()));
    let bans = node.handle.bans().await.unwrap();
    assert_eq!(bans.len(), 2);
    for ban in bans {
        assert_eq!(
            (ban.reason, ban.evidence.as_str()),
            (BanReason::Cooldown { rule: "content" }, "wrong hash")
        );
    }
    let standing_still = node.handle.peers().iter().any(|peer| peer.id == standing.id());
    assert!(standing_still, "whoever was there already has done nothing");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(meets(&mut liar, &node).await, Ok(()));
    assert_eq!(meets(&mut neighbour, &node).await, Ok(()));
    node.stop().await;
    for node in [liar, neighbour, standing, other] {
        node.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_for_named_peers_meets_nobody_else() {
    let net = Net::default();
    let closed = TransportConfig { connect_only: true, ..config() };
    let mut node = start_in(&net, 1, 1, Echo(vec![news()]), closed).await;
    let mut stranger = echo(&net, 2, 2).await;
    let named = echo(&net, 3, 3).await;
    assert_eq!(meets(&mut stranger, &node).await, Err(CLOSED));
    assert_eq!(turned_away(&mut node).await, (stranger.id(), CloseReason::NotNamed));
    assert_eq!(meets(&mut node, &stranger).await, Err(CloseReason::NotNamed));
    node.handle.add_peer(named.handle.local_peer()).await.unwrap();
    assert_eq!(node.connected().await.role, Role::ConnectOnly);
    node.handle.add_peer(stranger.handle.local_peer()).await.unwrap();
    assert_eq!(node.connected().await.id, stranger.id(), "named, it is none any more");
    node.stop().await;
    stranger.stop().await;
    named.stop().await;
}
