//! Peers that lie, stall or ask too much: the chain still comes over, and the right one is named.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a scenario that cannot be set up has failed")]

mod support;

use std::{sync::atomic::Ordering, time::Duration};
use support::{
    peers::{ByHand, Link, Node},
    toy::{Flaw, Toy, block, flawed, genesis, grow, hash, tip},
};
use zakura_header_sync::{
    HeaderSyncConfig,
    chain::{BlockHash, BlockRef, Height},
    ports::SizedHeader,
    wire::{GetHeaders, Headers, Message, Outcome, Refusal, RequestId},
};
use zakura_transport::{Exit, PeerId};

fn rule(exit: &Exit) -> &'static str {
    match exit {
        Exit::Violation(violation) => violation.rule(),
        other => panic!("ended with {other:?}"),
    }
}

fn convicted(node: &Node) -> Vec<(PeerId, &'static str)> {
    node.handle.status().convictions.iter().map(|it| (it.peer, it.rule)).collect()
}

/// Waits for a request.
async fn asked(peer: &mut ByHand) -> GetHeaders {
    match peer.hear().await {
        Message::GetHeaders(request) => request,
        other => panic!("heard {other:?}"),
    }
}

/// A page of `chain` from `first` on, as an answer.
fn page(request: &GetHeaders, chain: &[bytes::Bytes], first: usize, count: usize) -> Headers {
    let headers = chain[first..first + count].iter();
    Headers {
        id: request.id,
        target: request.target,
        ancestor: block(chain, first - 1),
        complete: first + count == chain.len(),
        headers: headers.map(|raw| SizedHeader { raw: raw.clone(), size_hint: 0 }).collect(),
        aux: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_segment_that_does_not_close_is_fetched_elsewhere_and_its_server_is_named() {
    let chain = grow(&genesis(), 20_000, 1, 1);
    let anchors: Vec<_> = (1..=200).map(|step| block(&chain, step * 100)).collect();
    let node = Node::new(1, Toy::with_anchors(&genesis(), anchors));
    // The liar joins first, so it gets a segment for sure.
    let liar = Node::new(66, Toy::new(&grow(&genesis(), 20_000, 666, 1)));
    let (liar_link, _there) = node.join(&liar);
    let exit = liar_link.ended().await;
    assert_eq!(rule(&exit), "segment.closes");
    let heights = [20_000, 20_000, 15_000, 12_050, 9_999, 5_000, 2_500];
    let servers: Vec<_> = (2..).zip(heights).map(|(id, to)| Node::new(id, Toy::new(&chain[..=to]))).collect();
    let _links: Vec<_> = servers.iter().map(|server| node.join(server)).collect();
    node.reach(tip(&chain)).await;
    assert_eq!(node.chain.headers(), chain);
    assert_eq!(convicted(&node), [(liar.id, "segment.closes")]);
    let evidence = node.handle.status().convictions[0].evidence.clone();
    assert!(evidence.contains(&liar.id.to_string()) && evidence.contains("segment 0 "), "{evidence}");
    assert_eq!(node.from(liar.id), 0);
}

#[tokio::test(start_paused = true)]
async fn a_header_without_proof_costs_its_server_the_session_and_nothing_of_it_is_stored() {
    let chain = grow(&genesis(), 1_500, 1, 1);
    for (flaw, before) in [(Flaw::Proof, "the proof"), (Flaw::Rule, "the toy rule")] {
        let node = Node::new(1, Toy::new(&genesis()));
        let liar = Node::new(66, Toy::new(&flawed(&chain, 700, flaw)));
        let (link, _there) = node.join(&liar);
        assert_eq!(rule(&link.ended().await), "header.rules");
        node.wait("convicted", |status| !status.convictions.is_empty()).await;
        assert!(node.handle.status().convictions[0].evidence.contains(before));
        assert_eq!(node.chain.tip(), block(&chain, 0), "the page with the flaw is refused whole");
        let server = Node::new(2, Toy::new(&chain));
        let _link = node.join(&server);
        node.reach(tip(&chain)).await;
        assert_eq!(node.from(server.id), 1_500);
        assert_eq!(convicted(&node), [(liar.id, "header.rules")]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_silent_peer_owes_comes_from_another() {
    let chain = grow(&genesis(), 800, 1, 1);
    let config = HeaderSyncConfig { page_timeout: Duration::from_secs(1), ..HeaderSyncConfig::recommended() };
    let anchors = vec![block(&chain, 400)];
    let node = Node::configured(1, Toy::with_anchors(&genesis(), anchors), config);
    let (_link, mut silent) = node.join_by_hand(66);
    silent.advertise(tip(&chain)).await;
    assert_eq!(asked(&mut silent).await.locator, [genesis()].map(|it| block(&it, 0).hash));
    let server = Node::new(2, Toy::new(&chain));
    let _there = node.join(&server);
    node.reach(tip(&chain)).await;
    assert_eq!(node.from(server.id), 800);
}

#[tokio::test(start_paused = true)]
async fn a_silent_holder_of_the_tip_costs_its_patience_and_no_more() {
    let chain = grow(&genesis(), 800, 1, 1);
    // The second time the silent peer's order has all the room there is.
    for staged_headers in [4_000, 300] {
        let config = HeaderSyncConfig { staged_headers, ..HeaderSyncConfig::recommended() };
        let node = Node::configured(1, Toy::new(&genesis()), config);
        let (_link, mut silent) = node.join_by_hand(66);
        silent.advertise(tip(&chain)).await;
        asked(&mut silent).await;
        let since = tokio::time::Instant::now();
        let server = Node::new(2, Toy::new(&chain));
        let _there = node.join(&server);
        node.reach(tip(&chain)).await;
        assert!(since.elapsed() < Duration::from_secs(6), "{:?} of the page's 30 s", since.elapsed());
        assert_eq!(node.from(server.id), 800);
        assert_eq!(convicted(&node), [], "silence is no crime");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tip_of_slow_holders_alone_is_reached() {
    let chain = grow(&genesis(), 1_500, 1, 1);
    let node = Node::new(1, Toy::new(&genesis()));
    let links: Vec<_> = [66, 67].into_iter().map(|id| node.join_by_hand(id)).collect();
    let (mut held, mut slow) = (vec![], vec![]);
    for (link, mut peer) in links {
        peer.advertise(tip(&chain)).await;
        held.push(link);
        slow.push(peer);
    }
    let serve = slow.into_iter().map(async |mut peer| {
        loop {
            let request = asked(&mut peer).await;
            // Longer than anyone is waited for alone.
            tokio::time::sleep(Duration::from_secs(7)).await;
            let known = chain.iter().zip(0..).find(|(raw, _)| hash(raw) == request.locator[0]);
            let first = known.map_or(0, |(_, at)| at) + 1;
            let count = (chain.len() - first).min(request.max_count as usize);
            peer.say(Message::Headers(page(&request, &chain, first, count))).await;
        }
    });
    tokio::select! {
        biased;
        () = node.reach(tip(&chain)) => {}
        _ = futures::future::join_all(serve) => unreachable!("they serve for ever"),
    }
    assert_eq!(convicted(&node), []);
}

#[tokio::test(start_paused = true)]
async fn one_peers_refusal_closes_no_tip_that_another_leads_to() {
    let chain = grow(&genesis(), 800, 1, 1);
    let node = Node::new(1, Toy::new(&genesis()));
    let (_link, mut liar) = node.join_by_hand(66);
    liar.advertise(tip(&chain)).await;
    let request = asked(&mut liar).await;
    let server = Node::new(2, Toy::new(&chain));
    let _there = node.join(&server);
    node.wait("known", |status| status.peers.iter().filter(|peer| peer.tip.is_some()).count() == 2).await;
    let outcome = Outcome { id: request.id, target: request.target, refusal: Refusal::NoIntersection };
    liar.say(Message::Outcome(outcome)).await;
    node.reach(tip(&chain)).await;
    assert_eq!(convicted(&node), []);
}

#[tokio::test(start_paused = true)]
async fn a_false_height_beside_a_true_hash_hides_nobodys_tip() {
    let chain = grow(&genesis(), 800, 1, 1);
    for false_height in [5, 5_000] {
        let node = Node::new(1, Toy::new(&genesis()));
        let (_link, mut liar) = node.join_by_hand(66);
        let height = Height::new(false_height).unwrap();
        liar.advertise(BlockRef { height, hash: tip(&chain).hash }).await;
        asked(&mut liar).await;
        let server = Node::new(2, Toy::new(&chain));
        let _there = node.join(&server);
        node.reach(tip(&chain)).await;
        assert_eq!(node.from(server.id), 800);
        assert_eq!(convicted(&node), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_header_the_store_cannot_judge_yet_holds_up_no_other_tip() {
    let chain = grow(&genesis(), 800, 1, 1);
    let early = flawed(&grow(&genesis(), 1, 2, 1), 1, Flaw::Early);
    let node = Node::new(1, Toy::new(&genesis()));
    let hasty = Node::new(66, Toy::new(&early));
    let _link = node.join(&hasty);
    node.wait("held up", |status| status.local_fault.is_some()).await;
    let server = Node::new(2, Toy::new(&chain));
    let _there = node.join(&server);
    node.reach(tip(&chain)).await;
    assert_eq!(convicted(&node), [], "an early header is nobody's proven fault");
    assert_eq!(node.handle.status().local_fault, None);
}

#[tokio::test(start_paused = true)]
async fn what_a_leaving_peer_owes_comes_from_another() {
    let chain = grow(&genesis(), 800, 1, 1);
    let node = Node::new(1, Toy::new(&genesis()));
    let (link, mut leaving) = node.join_by_hand(66);
    leaving.advertise(tip(&chain)).await;
    asked(&mut leaving).await;
    let server = Node::new(2, Toy::new(&chain));
    let _there = node.join(&server);
    node.wait("known", |status| status.peers.iter().filter(|peer| peer.tip.is_some()).count() == 2).await;
    link.cancel.cancel();
    node.reach(tip(&chain)).await;
}

#[tokio::test(start_paused = true)]
async fn three_timeouts_close_the_session_without_blame_and_reconnecting_does_not_help() {
    let chain = grow(&genesis(), 800, 1, 1);
    let node = Node::new(1, Toy::new(&genesis()));
    let start = tokio::time::Instant::now();
    let (link, mut silent) = node.join_by_hand(66);
    silent.advertise(tip(&chain)).await;
    let first = asked(&mut silent).await;
    let second = asked(&mut silent).await;
    assert_ne!(first.id, second.id);
    let third = asked(&mut silent).await;
    // A late answer to a request given up a moment ago is no fault, and no help.
    silent.say(Message::Headers(page(&second, &chain, 1, 10))).await;
    assert_eq!(link.ended().await, Exit::Local("three pages in a row timed out"));
    assert!(start.elapsed() >= Duration::from_secs(90) && third.id > second.id);
    node.wait("noticed", |status| status.peers.iter().all(|peer| !peer.connected)).await;
    assert_eq!(convicted(&node), []);
    assert_eq!(node.chain.tip(), block(&chain, 0));
    let (_link, mut again) = node.join_by_hand(66);
    again.advertise(tip(&chain)).await;
    let rejoined = tokio::time::Instant::now();
    asked(&mut again).await;
    assert!(
        rejoined.elapsed() >= Duration::from_secs(55),
        "left alone for a minute: {:?}",
        rejoined.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_branch_from_below_the_floor_is_refused_and_stores_nothing() {
    let trunk = grow(&genesis(), 100, 1, 1);
    let ours = grow(&trunk, 300, 2, 1);
    let theirs = grow(&trunk, 900, 3, 9);
    let node = Node::new(1, Toy::new(&ours).final_after(100));
    let (_link, mut server) = node.join_by_hand(2);
    server.advertise(tip(&theirs)).await;
    let request = asked(&mut server).await;
    let below: Vec<_> = (0..300).map(|height| block(&ours, height).hash).collect();
    assert!(request.locator.iter().all(|hash| !below.contains(hash)), "nothing below the floor is named");
    let outcome = Outcome { id: request.id, target: request.target, refusal: Refusal::NoIntersection };
    server.say(Message::Outcome(outcome)).await;
    node.wait("refused", |status| status.targets.is_empty()).await;
    assert_eq!(node.chain.headers(), ours);
    assert_eq!(node.chain.batches.load(Ordering::SeqCst), 0);
}

/// Answers requests from a branch that shares `shared` headers with the node's chain, `pages` times.
async fn serve_branch(server: &mut ByHand, branch: &[bytes::Bytes], shared: usize, pages: usize) {
    let mut first = None;
    for _ in 0..pages {
        let request = asked(server).await;
        let known = |height: &usize| request.locator.contains(&block(branch, *height).hash);
        let from = first.unwrap_or_else(|| (0..shared).rev().find(known).unwrap() + 1);
        let count = (branch.len() - from).min(request.max_count as usize);
        server.say(Message::Headers(page(&request, branch, from, count))).await;
        first = Some(from + count);
    }
}

#[tokio::test(start_paused = true)]
async fn a_branch_that_claims_less_work_is_neither_checked_nor_stored() {
    let trunk = grow(&genesis(), 100, 1, 1);
    let ours = grow(&trunk, 200, 2, 9);
    let theirs = grow(&trunk, 1_000, 3, 1);
    let node = Node::new(1, Toy::new(&ours));
    let (_link, mut server) = node.join_by_hand(2);
    server.advertise(tip(&theirs)).await;
    serve_branch(&mut server, &theirs, 101, 2).await;
    node.wait("given up", |status| status.targets.is_empty() && status.headers_staged == 0).await;
    assert_eq!(node.chain.verified.load(Ordering::SeqCst), 0);
    assert_eq!(node.chain.batches.load(Ordering::SeqCst), 0);
    assert_eq!(convicted(&node), [], "useless is not guilty");
}

#[tokio::test(start_paused = true)]
async fn a_branch_that_our_store_cannot_weigh_now_is_weighed_again_and_not_fetched_again() {
    let trunk = grow(&genesis(), 100, 1, 1);
    let theirs = grow(&trunk, 300, 3, 9);
    let node = Node::new(1, Toy::new(&grow(&trunk, 200, 2, 1)));
    node.chain.unreadable.store(1, Ordering::SeqCst);
    let (_link, mut server) = node.join_by_hand(2);
    server.advertise(tip(&theirs)).await;
    serve_branch(&mut server, &theirs, 101, 1).await;
    node.reach(tip(&theirs)).await;
}

#[tokio::test(start_paused = true)]
async fn an_endless_branch_of_low_work_fills_no_more_than_its_bound() {
    let ours = grow(&genesis(), 3_000, 2, 200);
    let endless = grow(&genesis(), 30_000, 3, 1);
    let node = Node::new(1, Toy::new(&ours));
    let (_link, mut server) = node.join_by_hand(66);
    server.advertise(tip(&endless)).await;
    serve_branch(&mut server, &endless, 1, 4).await;
    node.wait("let go at 4,000 headers", |status| status.targets.is_empty()).await;
    assert_eq!((node.handle.status().headers_staged, node.chain.batches.load(Ordering::SeqCst)), (0, 0));
    let honest = Node::new(3, Toy::new(&grow(&ours, 50, 2, 1)));
    let _honest = node.join(&honest);
    node.reach(honest.chain.tip()).await;
}

#[tokio::test(start_paused = true)]
async fn a_made_up_branch_towards_a_true_tip_closes_it_to_nobody() {
    let ours = grow(&genesis(), 5_000, 2, 200);
    let theirs = grow(&ours, 50, 2, 1);
    let made_up = grow(&genesis(), 5_049, 3, 1);
    let node = Node::new(1, Toy::new(&ours));
    let (_link, mut liar) = node.join_by_hand(66);
    liar.advertise(tip(&theirs)).await;
    serve_branch(&mut liar, &made_up, 1, 3).await;
    let last = asked(&mut liar).await;
    let honest = Node::new(2, Toy::new(&theirs));
    let _honest = node.join(&honest);
    node.wait("known", |status| status.peers.iter().filter(|peer| peer.tip.is_some()).count() == 2).await;
    liar.say(Message::Headers(page(&last, &made_up, 3_001, 1_000))).await;
    node.reach(tip(&theirs)).await;
    assert_eq!(node.from(honest.id), 50);
    assert_eq!(convicted(&node), [], "useless is not guilty");
}

/// Joins peers that advertise invented tips of these heights and answer nothing.
async fn join_silent(node: &Node, heights: std::ops::Range<u8>) -> Vec<(Link, ByHand)> {
    let mut silent = vec![];
    for height in heights {
        let (link, mut peer) = node.join_by_hand(100 + height);
        peer.advertise(BlockRef {
            height: Height::new(height.into()).unwrap(),
            hash: BlockHash([height; 32]),
        })
        .await;
        silent.push((link, peer));
    }
    silent
}

#[tokio::test(start_paused = true)]
async fn invented_tips_hold_no_slot_that_a_better_held_tip_waits_for() {
    let ours = grow(&genesis(), 100, 1, 9);
    let (theirs, made_up) = (grow(&ours, 800, 1, 9), grow(&genesis(), 100, 3, 1));
    for one_page_first in [false, true] {
        let config = HeaderSyncConfig { staged_headers: 17_000, ..HeaderSyncConfig::recommended() };
        let node = Node::configured(1, Toy::new(&ours), config);
        let mut silent = join_silent(&node, 20..36).await;
        for (_, peer) in &mut silent {
            let request = asked(peer).await;
            if one_page_first {
                peer.say(Message::Headers(page(&request, &made_up, 1, 10))).await;
                asked(peer).await;
            }
        }
        let servers = [2, 3].map(|id| Node::new(id, Toy::new(&theirs)));
        let _links = servers.each_ref().map(|server| node.join(server));
        node.reach(tip(&theirs)).await;
        assert!(node.handle.status().targets.len() <= 16);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slot_goes_to_the_higher_of_two_equally_held_tips() {
    let chain = grow(&genesis(), 800, 1, 1);
    let config = HeaderSyncConfig { max_targets: 1, ..HeaderSyncConfig::recommended() };
    let node = Node::configured(1, Toy::new(&genesis()), config);
    let mut first = join_silent(&node, 9..10).await;
    asked(&mut first[0].1).await;
    let _second = join_silent(&node, 5..6).await;
    let server = Node::new(2, Toy::new(&chain));
    let _link = node.join(&server);
    node.wait("known", |status| status.peers.iter().filter(|peer| peer.tip.is_some()).count() == 3).await;
    first[0].0.cancel.cancel();
    node.reach(tip(&chain)).await;
}

async fn breaks(
    answer: impl FnOnce(&GetHeaders, &[bytes::Bytes]) -> Message,
) -> (&'static str, Vec<&'static str>) {
    let chain = grow(&genesis(), 20, 1, 1);
    let node = Node::new(1, Toy::new(&genesis()));
    let (link, mut liar) = node.join_by_hand(66);
    liar.advertise(tip(&chain)).await;
    let request = asked(&mut liar).await;
    liar.say(answer(&request, &chain)).await;
    let rule = rule(&link.ended().await);
    node.wait("convicted", |status| !status.convictions.is_empty()).await;
    (rule, convicted(&node).into_iter().map(|(_, rule)| rule).collect())
}

#[tokio::test(start_paused = true)]
async fn every_breach_of_a_page_is_named() {
    let other = grow(&genesis(), 20, 7, 1);
    let stranger = block(&other, 5);
    type Answer<'a> = Box<dyn FnOnce(&GetHeaders, &[bytes::Bytes]) -> Message + 'a>;
    let with = |change: fn(&mut Headers)| -> Answer<'_> {
        Box::new(move |request, chain| {
            let mut page = page(request, chain, 1, 10);
            change(&mut page);
            Message::Headers(page)
        })
    };
    let table: Vec<(&str, Answer<'_>)> = vec![
        ("answer.unasked", with(|page| page.id = page.id.next())),
        ("headers.target", with(|page| page.target = BlockHash([9; 32]))),
        ("headers.schema", with(|page| page.aux = Some(vec![0; 1_560].into()))),
        ("headers.size", with(|page| page.headers.iter_mut().for_each(|it| it.raw = it.raw.slice(1..)))),
        ("headers.complete", with(|page| page.complete = true)),
        ("headers.link", with(|page| page.headers.swap(3, 4))),
        (
            "headers.describe",
            with(|page| {
                let mut raw = page.headers[5].raw.to_vec();
                raw[63] = 1;
                page.headers[5].raw = raw.into();
            }),
        ),
        (
            "headers.ancestor",
            Box::new(|request, chain| {
                Message::Headers(Headers { ancestor: stranger, ..page(request, chain, 1, 10) })
            }),
        ),
        (
            "headers.height",
            Box::new(|request, _| {
                let page = page(request, &other, 1, 20);
                Message::Headers(Headers { complete: false, ..page })
            }),
        ),
        (
            "outcome.target",
            Box::new(|request, _| {
                let (id, target) = (request.id, BlockHash([9; 32]));
                Message::Outcome(Outcome { id, target, refusal: Refusal::Busy })
            }),
        ),
    ];
    for (expected, answer) in table {
        assert_eq!(breaks(answer).await, (expected, vec![expected]));
    }
}

#[tokio::test(start_paused = true)]
async fn more_headers_than_asked_for_are_a_breach() {
    let chain = grow(&genesis(), 20, 1, 1);
    let node = Node::new(1, Toy::with_anchors(&genesis(), vec![block(&chain, 5)]));
    let (link, mut liar) = node.join_by_hand(66);
    liar.advertise(tip(&chain)).await;
    let mut request = asked(&mut liar).await;
    if request.max_count != 5 {
        request = asked(&mut liar).await;
    }
    liar.say(Message::Headers(page(&request, &chain, 1, 6))).await;
    assert_eq!(rule(&link.ended().await), "headers.count");
}

#[tokio::test(start_paused = true)]
async fn answers_that_were_never_asked_for_end_the_session() {
    let node = Node::new(1, Toy::new(&genesis()));
    let (link, mut liar) = node.join_by_hand(66);
    let (id, target) = (RequestId::FIRST, BlockHash([1; 32]));
    liar.say(Message::Outcome(Outcome { id, target, refusal: Refusal::Busy })).await;
    assert_eq!(rule(&link.ended().await), "answer.unasked");
}

async fn ask(link_and_peer: (Link, ByHand), max_count: u32, schema: u8) -> (Link, ByHand) {
    let (link, mut peer) = link_and_peer;
    let (id, target) = (RequestId::FIRST, BlockHash([1; 32]));
    peer.say(Message::GetHeaders(GetHeaders { id, target, locator: vec![target], max_count, schema })).await;
    (link, peer)
}

#[tokio::test(start_paused = true)]
async fn asking_beyond_our_limits_ends_the_session() {
    let node = Node::new(1, Toy::new(&genesis()));
    for (max_count, schema, expected) in [(1_001, 0, "GetHeaders.max_count"), (1, 1, "GetHeaders.schema")] {
        let (link, _peer) = ask(node.join_by_hand(66), max_count, schema).await;
        assert_eq!(rule(&link.ended().await), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_answers_pages_refusals_and_busy() {
    let chain = grow(&genesis(), 2_300, 1, 1);
    let node = Node::new(1, Toy::new(&chain));
    let (_link, mut peer) = node.join_by_hand(2);
    let mut last = block(&chain, 0);
    for (number, count) in [(1, 1_000), (2, 1_000), (3, 300)] {
        let id = RequestId::new(number).unwrap();
        let (target, locator) = (tip(&chain).hash, vec![last.hash]);
        peer.say(Message::GetHeaders(GetHeaders { id, target, locator, max_count: 1_000, schema: 0 })).await;
        let Message::Headers(page) = peer.hear().await else { panic!("a page") };
        assert_eq!(
            (page.id, page.headers.len(), page.ancestor, page.complete),
            (id, count, last, number == 3)
        );
        last = block(&chain, last.height.get() as usize + count);
    }
    for (target, locator, refusal) in [
        (BlockHash([9; 32]), last.hash, Refusal::TargetNotRetained),
        (last.hash, BlockHash([9; 32]), Refusal::NoIntersection),
    ] {
        let (id, locator) = (RequestId::new(9).unwrap(), vec![locator]);
        peer.say(Message::GetHeaders(GetHeaders { id, target, locator, max_count: 1, schema: 0 })).await;
        let Message::Outcome(outcome) = peer.hear().await else { panic!("an outcome") };
        assert_eq!(outcome, Outcome { id, target, refusal });
    }
}

#[tokio::test(start_paused = true)]
async fn a_tip_that_flaps_and_lies_changes_nothing() {
    let chain = grow(&genesis(), 30, 1, 1);
    let node = Node::new(1, Toy::new(&genesis()));
    let (_link, mut liar) = node.join_by_hand(66);
    for height in (0..500_u32).rev() {
        let height = zakura_header_sync::chain::Height::new(0x7fff_ffff - height).unwrap();
        liar.advertise(BlockRef { height, hash: BlockHash([height.get() as u8; 32]) }).await;
    }
    let server = Node::new(2, Toy::new(&chain));
    let _link = node.join(&server);
    node.reach(tip(&chain)).await;
    assert!(node.handle.status().targets.len() <= 3, "{:?}", node.handle.status().targets);
}

#[tokio::test(start_paused = true)]
async fn sessions_that_go_leave_nothing_stranded() {
    let chain = grow(&genesis(), 6_000, 1, 1);
    let anchors = (1..=30).map(|step| block(&chain, step * 100)).collect();
    let node = Node::new(1, Toy::with_anchors(&genesis(), anchors));
    for id in 2..12 {
        let server = Node::new(id, Toy::new(&chain));
        let (link, _there) = node.join(&server);
        tokio::task::yield_now().await;
        link.cancel.cancel();
        assert_eq!(link.ended().await, Exit::Closed { reopen: false });
    }
    let server = Node::new(20, Toy::new(&chain));
    let _link = node.join(&server);
    node.reach(tip(&chain)).await;
}
