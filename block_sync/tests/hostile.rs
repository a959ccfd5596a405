//! Peers that lie, leave or fall silent: sync goes on, and only the guilty are blamed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot be set up has failed")]

mod support;

use std::time::Duration;
use support::{
    node::{Link, Node, id},
    script::{Answer, follow, forge_one, hear, honest, say, status},
    toy::{Chain, Store, height, strange},
};
use zakura_block_sync::wire::{Message, Span};
use zakura_transport::{Exit, FaultClass, Session};

const ROGUE: u8 = 66;

/// A node without bodies, a session of its with a rogue that is asked before anybody else, and an honest server.
struct Stage {
    node: Node,
    server: Node,
    link: Link,
}

/// Runs the rogue by its script; the honest server joins once the rogue was asked for something.
async fn beside_a_rogue(chain: &Chain, script: impl FnMut(Span) -> Answer + Send + 'static) -> Stage {
    let (node, server) = (Node::new(1, chain, 1), Node::full(2, chain));
    let (link, session) = node.join_by_hand(ROGUE);
    node.spawner.spawn("rogue", {
        let first = status(chain.tip(), 128, 64);
        async move { drop(follow(session, first, script).await) }
    });
    node.wait("asked", |status| !status.per_peer.is_empty()).await;
    node.join(&server);
    Stage { node, server, link }
}

fn assert_unblamed(stage: &Stage) {
    let status = stage.node.handle.status();
    assert!(status.convictions.iter().all(|conviction| conviction.peer != stage.server.id), "{status:#?}");
    assert_eq!(stage.node.progress(stage.server.id).timeouts, 0);
}

#[tokio::test(start_paused = true)]
async fn a_forged_body_convicts_its_deliverer_and_is_fetched_elsewhere() {
    let chain = Chain::genesis().grow(400, 1, |_| 500);
    let theirs = chain.clone();
    let stage = beside_a_rogue(&chain, move |span| Answer::Bodies(forge_one(&theirs, span, 20))).await;
    stage.node.reach(chain.tip()).await;
    let Exit::Violation(violation) = stage.link.ended().await else { panic!("the rogue was not closed") };
    assert_eq!(violation.class(), FaultClass::ProvenInvalid);
    assert!(violation.evidence().contains("wrong filling"), "{violation}");
    let convictions = stage.node.handle.status().convictions;
    let of: Vec<_> = convictions.iter().map(|conviction| (conviction.peer, conviction.rule)).collect();
    assert_eq!(of, [(id(ROGUE), violation.rule())]);
}

#[tokio::test(start_paused = true)]
async fn junk_of_unknown_rules_costs_seconds_at_most_and_raises_no_alarm() {
    let chain = Chain::genesis().grow(400, 1, |_| 500);
    let theirs = chain.clone();
    let script = move |span| Answer::Bodies(honest(&theirs, span).iter().map(strange).collect());
    let stage = beside_a_rogue(&chain, script).await;
    let start = tokio::time::Instant::now();
    stage.node.reach(chain.tip()).await;
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    assert_unblamed(&stage);
    let (status, rogue) = (stage.node.handle.status(), stage.node.progress(id(ROGUE)));
    assert_eq!((status.alarm, status.convictions), (None, vec![]));
    assert!(rogue.connected, "{rogue:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_holds_the_floor_for_seconds_and_is_not_blamed() {
    let chain = Chain::genesis().grow(300, 1, |_| 500);
    let stage = beside_a_rogue(&chain, |_| Answer::Silence).await;
    let start = tokio::time::Instant::now();
    stage.node.reach(chain.tip()).await;
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert_unblamed(&stage);
    let rogue = stage.node.progress(id(ROGUE));
    assert_eq!((rogue.blocks, rogue.connected), (0, true));
    assert_eq!(stage.node.handle.status().convictions, []);
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_took_along_is_fetched_elsewhere() {
    let chain = Chain::genesis().grow(400, 1, |_| 500);
    let theirs = chain.clone();
    let script = move |span| Answer::HangUp(honest(&theirs, span).into_iter().take(7).collect());
    let stage = beside_a_rogue(&chain, script).await;
    let start = tokio::time::Instant::now();
    stage.node.reach(chain.tip()).await;
    assert!(start.elapsed() < Duration::from_secs(2), "no deadline was waited for: {:?}", start.elapsed());
    assert_eq!(stage.node.progress(id(ROGUE)).blocks, 7, "what it did bring counts");
    assert_unblamed(&stage);
    assert_eq!(stage.link.ended().await, Exit::Closed { reopen: true });
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_refuses_what_it_advertised_is_routed_around() {
    let chain = Chain::genesis().grow(400, 1, |_| 500);
    let stage = beside_a_rogue(&chain, |_| Answer::Unavailable).await;
    let start = tokio::time::Instant::now();
    stage.node.reach(chain.tip()).await;
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_unblamed(&stage);
    let rogue = stage.node.progress(id(ROGUE));
    assert!((1..=4).contains(&rogue.refusals) && rogue.reliability < 1_000, "{rogue:#?}");
}

#[tokio::test(start_paused = true)]
async fn another_chains_bodies_are_recorded_and_no_fault() {
    let chain = Chain::genesis().grow(400, 1, |_| 500);
    let other = Chain::genesis().grow(400, 9, |_| 500);
    let stage = beside_a_rogue(&chain, move |span| Answer::Bodies(honest(&other, span))).await;
    stage.node.reach(chain.tip()).await;
    assert_unblamed(&stage);
    let rogue = stage.node.progress(id(ROGUE));
    assert!(rogue.connected && rogue.blocks == 0 && rogue.useless > 0 && rogue.refusals > 0, "{rogue:#?}");
}

/// A session with a node that has everything, at whose other end the test sits.
fn with_server(chain: &Chain) -> (Node, Link, Session) {
    let node = Node::full(1, chain);
    let (link, session) = node.join_by_hand(ROGUE);
    (node, link, session)
}

fn ask(start: usize, count: u32) -> Message {
    Message::GetBlocks(Span::new(height(start), count).unwrap())
}

#[tokio::test(start_paused = true)]
async fn unrequested_bodies_are_put_up_with_then_not() {
    let chain = Chain::genesis().grow(10, 1, |_| 100);
    let (_node, link, mut session) = with_server(&chain);
    assert!(say(&mut session, status(chain.tip(), 128, 64)).await);
    for _ in 0..256 {
        assert!(say(&mut session, Message::Block(chain.raw(3))).await);
    }
    assert!(say(&mut session, ask(3, 1)).await, "still served");
    assert_eq!(hear(&mut session).await, Some(Message::Block(chain.raw(3))));
    let mut more = 0;
    while say(&mut session, Message::Block(chain.raw(3))).await {
        more += 1;
        assert!(more < 2_000, "put up with for ever");
    }
    assert_eq!(link.ended().await, Exit::Closed { reopen: false }, "no blame, but no stream");
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_block_close_the_connection() {
    let chain = Chain::genesis().grow(10, 1, |_| 100);
    let (_node, link, mut session) = with_server(&chain);
    assert!(say(&mut session, Message::Block(chain.raw(3).slice(..20))).await);
    let Exit::Violation(violation) = link.ended().await else { panic!("it was put up with") };
    assert_eq!(violation.class(), FaultClass::Malformed);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_served_before_status_and_everything_after() {
    let chain = Chain::genesis().grow(10, 1, |_| 100);
    let (_node, _link, mut session) = with_server(&chain);
    assert!(say(&mut session, ask(1, 1)).await);
    assert!(say(&mut session, status(chain.tip(), 128, 64)).await);
    assert!(say(&mut session, ask(9, 5)).await);
    assert!(say(&mut session, ask(11, 5)).await);
    let span = |start, count| Span::new(height(start), count).unwrap();
    let expected = [
        Message::Block(chain.raw(9)),
        Message::Block(chain.raw(10)),
        Message::BlocksDone(span(9, 2)),
        Message::RangeUnavailable(span(11, 5)),
    ];
    for message in expected {
        assert_eq!(hear(&mut session).await, Some(message));
    }
}

#[tokio::test(start_paused = true)]
async fn readers_that_never_read_hold_up_nobody() {
    let chain = Chain::genesis().grow(300, 1, |_| 60_000);
    let node = Node::full(1, &chain);
    let mut flooders = Vec::new();
    for number in 100..115 {
        let (link, mut session) = node.join_by_hand(number);
        assert!(say(&mut session, status(chain.tip(), 128, 64)).await);
        for _ in 0..40 {
            assert!(say(&mut session, ask(1, 128)).await);
        }
        flooders.push((link, session));
    }
    let reader = Node::new(2, &chain, 1);
    let _link = reader.join(&node);
    let start = tokio::time::Instant::now();
    reader.reach(chain.tip()).await;
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn one_forger_among_many_spoils_nothing() {
    let chain = Chain::genesis().grow(1_000, 1, |_| 3_000);
    let node = Node::configured(
        1,
        Store::new(&chain, 1),
        zakura_block_sync::BlockSyncConfig { retained_bytes: 600_000, ..Default::default() },
    );
    let servers: Vec<_> = (2..5).map(|number| Node::full(number, &chain)).collect();
    let _links: Vec<_> = servers.iter().map(|server| node.join(server)).collect();
    let (link, session) = node.join_by_hand(ROGUE);
    let theirs = chain.clone();
    let forge = move |span: Span| {
        let first = span.start().get() as usize;
        Answer::Bodies(forge_one(&theirs, span, first))
    };
    let first = status(chain.tip(), 128, 64);
    node.spawner.spawn("rogue", async move { drop(follow(session, first, forge).await) });
    node.reach(chain.tip()).await;
    let convictions = node.handle.status().convictions;
    assert!(convictions.iter().all(|conviction| conviction.peer == id(ROGUE)), "{convictions:#?}");
    drop(link);
}
