//! Places are short: who makes room for a newcomer, and who does not (threats E02).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;
use common::{net::Net, *};
use std::{net::SocketAddr, time::Duration};
use zakura_transport::{CloseReason, GroupCaps, PeerId, Role, TransportConfig};

/// Long enough for everybody to have settled.
const A_WHILE: Duration = Duration::from_secs(11);

/// A node of its neighbourhood `group`.
async fn start_in(net: &Net, group: u8, seed: u8, max_inbound: usize) -> Node {
    let at = SocketAddr::from(([10, 0, group, seed], 8234));
    let like = TransportConfig { listen: at, socket: Some(net.socket(at)), max_inbound, ..config() };
    start_with(seed, Echo(vec![news()]), TransportConfig { groups: GroupCaps::OPEN, ..like }).await
}

/// Nodes of these neighbourhoods, who meet `node` one after another.
async fn crowd(net: &Net, node: &mut Node, groups: impl IntoIterator<Item = u8>) -> Vec<Node> {
    let mut crowd = Vec::new();
    for (seed, group) in (10..).zip(groups) {
        let peer = start_in(net, group, seed, 112).await;
        peer.handle.dial(node.handle.local_peer()).await.unwrap();
        assert_eq!(node.connected().await.id, peer.id());
        tokio::time::sleep(Duration::from_secs(1)).await;
        crowd.push(peer);
    }
    crowd
}

fn ids(node: &Node) -> Vec<PeerId> {
    node.handle.peers().iter().map(|peer| peer.id).collect()
}

async fn stop(nodes: impl IntoIterator<Item = Node>) {
    for node in nodes {
        node.stop().await;
    }
}

const REFUSED: fn() -> CloseReason = || CloseReason::Remote { code: 1, reason: "admission".into() };

#[tokio::test(start_paused = true)]
async fn a_newcomer_takes_the_place_of_the_least_useful_one_once_all_have_settled() {
    let net = Net::default();
    let mut node = start_in(&net, 1, 1, 4).await;
    let mut all = crowd(&net, &mut node, [2, 3, 4, 5]).await;
    let mut newcomer = start_in(&net, 6, 20, 112).await;
    newcomer.handle.dial(node.handle.local_peer()).await.unwrap();
    assert_eq!(newcomer.disconnected().await.1, REFUSED(), "the last has only just come");

    tokio::time::sleep(A_WHILE).await;
    // The youngest is of use, so the next one is the least useful of those whom nothing protects.
    node.handle.credit(all[3].id());
    newcomer.handle.dial(node.handle.local_peer()).await.unwrap();
    let (gone, reason) = node.disconnected().await;
    assert_eq!((gone.id, reason), (all[2].id(), CloseReason::Displaced));
    assert_eq!(node.connected().await.id, newcomer.id());
    assert_eq!(all[2].disconnected().await.1, REFUSED());
    assert_eq!(ids(&node).len(), 4);
    stop(all.into_iter().chain([node, newcomer])).await;
}

#[tokio::test(start_paused = true)]
async fn an_operator_of_one_neighbourhood_pushes_out_his_own() {
    let net = Net::default();
    let mut node = start_in(&net, 1, 1, 8).await;
    let honest = crowd(&net, &mut node, [2, 3, 4, 5]).await;
    let mut seeds = 100..;
    let mut attackers = Vec::new();
    for _ in 0..10 {
        let attacker = start_in(&net, 9, seeds.next().unwrap(), 112).await;
        attacker.handle.dial(node.handle.local_peer()).await.unwrap();
        tokio::time::sleep(A_WHILE).await;
        attackers.push(attacker);
    }
    assert!(honest.iter().all(|peer| ids(&node).contains(&peer.id())));
    assert_eq!(ids(&node).len(), 8, "he has his four places, and no more");
    stop(honest.into_iter().chain(attackers).chain([node])).await;
}

#[tokio::test(start_paused = true)]
async fn named_peers_make_room_for_nobody_until_they_are_strangers_again() {
    let net = Net::default();
    let mut node = start_in(&net, 1, 1, 3).await;
    let mut all = crowd(&net, &mut node, [2, 3, 4]).await;
    for peer in &all {
        assert_eq!(node.handle.peers()[0].role, Role::Inbound);
        node.handle.add_peer(peer.handle.local_peer()).await.unwrap();
    }
    // Behind the names in the queue of commands.
    assert!(node.handle.bans().await.unwrap().is_empty());
    assert!(node.handle.peers().iter().all(|peer| peer.role == Role::Static));
    tokio::time::sleep(A_WHILE).await;
    let mut newcomer = start_in(&net, 6, 20, 112).await;
    newcomer.handle.dial(node.handle.local_peer()).await.unwrap();
    assert_eq!(newcomer.disconnected().await.1, REFUSED());
    assert_eq!(ids(&node).len(), 3);
    for peer in &all[1..] {
        node.handle.remove_peer(peer.id()).await.unwrap();
    }
    newcomer.handle.dial(node.handle.local_peer()).await.unwrap();
    assert_eq!(all[2].disconnected().await.1, REFUSED(), "the younger one of two strangers");
    assert_eq!(node.connected().await.id, newcomer.id());
    stop(all.into_iter().chain([node, newcomer])).await;
}
