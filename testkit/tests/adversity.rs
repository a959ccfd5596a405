//! One sync from seven peers at once, of which four go wrong, each in its own way. The node ends on the right tip; who
//! lied is named with the proof, who fell silent or died is not called a liar, and nobody honest is blamed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its own functions too")]

use futures::FutureExt;
use std::{fmt::Write as _, sync::Arc};
use tokio::sync::{mpsc, oneshot, watch};
use zakura::{
    store::{Store, StoreOptions},
    zcash::{Network, Parent},
};
use zakura_header_sync::{
    chain::{BlockRef, Height},
    ports::HeaderChain,
};
use zakura_testkit::{
    chain::{append, unmined},
    cluster::{Member, PATIENCE},
    hostile::{Asked, Block, Book, Name, Server, Trouble, Victim, identity, wire::GetHeaders},
};
use zakura_transport::{CloseReason, PeerEvent, PeerId, Spawner};

/// Blocks of the chain: more than its last checkpoint covers.
const LENGTH: u32 = 8_100;
/// A checkpoint every so many headers, as on the real network.
const SPACING: u32 = 400;
/// Peers that do as they should.
const HONEST: u8 = 3;

/// What a script tells the test.
type Told = mpsc::Sender<()>;

/// Closed until something has happened.
type Gate = watch::Receiver<bool>;

/// What scripts wait for.
#[derive(Clone)]
struct Gates {
    /// Everybody is there.
    everybody: Gate,
    /// The node has every header.
    headers: Gate,
}

fn store(blocks: &[Vec<u8>], checkpoints: Vec<BlockRef>) -> Arc<Store> {
    let options = StoreOptions { no_pow: true, checkpoints: Some(checkpoints), ..StoreOptions::default() };
    let store = Store::in_memory(Network::Regtest, options).unwrap();
    append(&store, blocks).unwrap();
    Arc::new(store)
}

/// Says that headers are asked for, and waits until all seven are there.
async fn held(server: &mut Server, told: &Told, gate: &mut Gate) -> Result<GetHeaders, Trouble> {
    let asked = loop {
        match server.next().await? {
            Asked::Headers(request) => break request,
            Asked::Bodies { .. } | Asked::Nothing => {}
        }
    };
    told.send(()).await.map_err(Trouble::of)?;
    gate.wait_for(|open| *open).await.map_err(Trouble::of)?;
    Ok(asked)
}

/// Serves headers in order until bodies are asked for and the node has every header: nobody falls silent over a page, for
/// which it would be given 30 s.
async fn bodies_wanted(server: &mut Server, told: &Told, gates: &mut Gates) -> Result<(u32, u32), Trouble> {
    let asked = held(server, told, &mut gates.everybody).await?;
    server.answer(&Asked::Headers(asked)).await?;
    let mut wanted = None;
    loop {
        let asked = tokio::select! {
            biased;
            done = gates.headers.wait_for(|open| *open), if wanted.is_some() => {
                done.map_err(Trouble::of)?;
                return wanted.ok_or_else(|| Trouble::of("no bodies are wanted"));
            }
            asked = server.next() => asked?,
        };
        match asked {
            Asked::Bodies { start, count } => wanted = wanted.or(Some((start, count))),
            Asked::Headers(_) | Asked::Nothing => server.answer(&asked).await?,
        }
    }
}

/// Serves a segment whose last header is another one.
async fn lies_in_headers(mut server: Server, told: Told, mut gates: Gates) -> Result<(), Trouble> {
    let asked = held(&mut server, &told, &mut gates.everybody).await?;
    let mut page = server.book.page(&asked).ok_or_else(|| Trouble::of("asked for another chain"))?;
    // A bit of its nonce.
    page.headers.last_mut().into_iter().for_each(|header| header[110] ^= 1);
    server.headers.say(&page.bytes()).await?;
    server.closed().await
}

/// Serves one body with one bit flipped.
async fn lies_in_bodies(mut server: Server, told: Told, mut gates: Gates) -> Result<(), Trouble> {
    let (start, _) = bodies_wanted(&mut server, &told, &mut gates).await?;
    let mut raw = server.book.at(start).unwrap().raw.clone();
    // A bit of the number in its coinbase.
    raw[177 + 1 + 4 + 1 + 36 + 5] ^= 1;
    server.bodies(start, 1, vec![raw]).await?;
    server.closed().await
}

/// Serves half of what was asked for, and then says nothing more.
async fn falls_silent(mut server: Server, told: Told, mut gates: Gates) -> Result<(), Trouble> {
    half(&mut server, &told, &mut gates).await?;
    told.send(()).await.map_err(Trouble::of)?;
    while server.next().await.is_ok() {}
    Ok(())
}

/// Serves half of what was asked for; then it is killed.
async fn dies(mut server: Server, told: Told, mut gates: Gates) -> Result<(), Trouble> {
    half(&mut server, &told, &mut gates).await?;
    told.send(()).await.map_err(Trouble::of)?;
    std::future::pending().await
}

async fn half(server: &mut Server, told: &Told, gates: &mut Gates) -> Result<(), Trouble> {
    let (start, count) = bodies_wanted(server, told, gates).await?;
    for raw in
        server.book.bodies(start, count.div_ceil(2)).into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>()
    {
        server.blocks.say(&[&[3][..], &raw].concat()).await?;
    }
    Ok(())
}

/// A peer of the story: who it is, and what it does.
struct Part {
    id: PeerId,
    does: &'static str,
}

fn seed(does: &str) -> [u8; 32] {
    identity(0, "adversity", does)
}

fn part(server: &Server, does: &'static str) -> Part {
    Part { id: PeerId::new(server.id().unwrap()), does }
}

/// Runs a script beside the test; how it ended.
fn runs(
    tasks: &Spawner,
    script: impl Future<Output = Result<(), Trouble>> + Send + 'static,
) -> oneshot::Receiver<Result<(), Trouble>> {
    let (end, ended) = oneshot::channel();
    tasks.spawn("script", async move {
        // A test that has failed does not ask.
        drop(end.send(script.await));
    });
    ended
}

async fn within<T>(what: &str, thing: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, thing).await.map_err(|_| format!("waited for {what}")).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_ends_on_the_right_tip_though_four_of_seven_peers_go_wrong() {
    let chain = unmined(Parent::genesis(), LENGTH, 1);
    let honest = store(&chain, Vec::new());
    let anchor = |n: u32| {
        let height = Height::new(n * SPACING).unwrap();
        BlockRef { height, hash: honest.hash_at(height).unwrap() }
    };
    let own = store(&[], (1..=LENGTH / SPACING).map(anchor).collect());
    let node = Member::start(200, &own, &[]).await.unwrap();
    let mut events = node.handle.peer_events();
    let victim = Victim {
        name: Name { id: *node.id().as_bytes(), addr: node.peer().addr },
        network: Network::Regtest.wire_id(),
        genesis: Network::Regtest.genesis_hash(),
    };
    let mut book = Book::above(0, victim.genesis);
    chain.into_iter().for_each(|raw| book.push(Block::whole(raw, victim.header_bytes())));

    // The four come first, so that the lowest segments are theirs to serve; they hold their answers back.
    let (open, everybody) = watch::channel(false);
    let (all, headers_in) = watch::channel(false);
    let gates = Gates { everybody, headers: headers_in };
    let (told, mut heard) = mpsc::channel(8);
    let meet = async |does| {
        let server = Server::meet(victim, &seed(does), book.clone()).await.unwrap();
        (part(&server, does), server)
    };
    let (tasks, mut parts) = (Spawner::new(), Vec::new());
    let (who, server) = meet("lies in headers").await;
    parts.push(who);
    let header_liar = runs(&tasks, lies_in_headers(server, told.clone(), gates.clone()));
    let (who, server) = meet("lies in bodies").await;
    parts.push(who);
    let body_liar = runs(&tasks, lies_in_bodies(server, told.clone(), gates.clone()));
    let (who, server) = meet("falls silent").await;
    parts.push(who);
    let (fell, mut fallen) = mpsc::channel(8);
    let silent = runs(&tasks, falls_silent(server, fell, gates.clone()));
    // A process of its own, as far as that goes: its runtime goes at once, and nobody says goodbye.
    let doomed = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (ready, dying) = (book.clone(), gates.clone());
    let (killed, mut death) = mpsc::channel(8);
    let (name, named) = oneshot::channel();
    doomed.spawn(async move {
        let server = Server::meet(victim, &seed("is killed"), ready).await.unwrap();
        name.send(part(&server, "is killed")).ok().unwrap();
        dies(server, killed, dying).await.unwrap();
    });
    parts.push(within("the doomed one to connect", named).await.unwrap());
    for _ in 0..2 {
        within("the liars to be asked for headers", heard.recv()).await.unwrap();
    }
    within("the silent one to be asked for headers", fallen.recv()).await.unwrap();
    within("the doomed one to be asked for headers", death.recv()).await.unwrap();

    let mut members = Vec::new();
    for index in 1..=HONEST {
        let member = Member::start(index, &honest, &[]).await.unwrap();
        node.handle.add_peer(member.peer()).await.unwrap();
        parts.push(Part { id: member.id(), does: "serves" });
        members.push(member);
    }
    let mut seen = Vec::new();
    within("all seven to be connected", async {
        while node.handle.peers().len() < parts.len() {
            seen.push(events.recv().await.unwrap());
        }
    })
    .await;
    open.send(true).unwrap();
    let tip = honest.view().tip;
    let mut views = node.handle.headers().views();
    within("every header", async {
        while views.get().tip != tip {
            views.changed().await.unwrap();
        }
    })
    .await;
    all.send(true).unwrap();

    within("the doomed one to be asked for bodies", death.recv()).await.unwrap();
    doomed.shutdown_background();
    within("the silent one to be asked for bodies", fallen.recv()).await.unwrap();
    within("the header liar's end", header_liar).await.unwrap().unwrap();
    within("the body liar's end", body_liar).await.unwrap().unwrap();
    node.commits(tip).await.unwrap();
    while let Some(Ok(event)) = events.recv().now_or_never() {
        seen.push(event);
    }

    // The right chain, header for header.
    for height in (0..=LENGTH).filter_map(Height::new) {
        assert_eq!(own.hash_at(height), honest.hash_at(height));
    }
    let end = |id| {
        seen.iter().find_map(|event| match event {
            PeerEvent::Disconnected { peer, reason } if peer.id == id => Some(reason),
            _ => None,
        })
    };
    let (headers, blocks) = (node.handle.headers().status(), node.handle.blocks().status());
    let mut table = String::new();
    for Part { id, does } in &parts {
        let got = headers.peers.iter().find(|peer| peer.peer == *id).map_or(0, |peer| peer.headers);
        let kept = blocks.per_peer.iter().find(|peer| peer.peer == *id).map_or(0, |peer| peer.blocks);
        let what = end(*id).map_or_else(|| "stays".to_owned(), ToString::to_string);
        writeln!(table, "{does:16} {got:5} headers {kept:5} bodies  {what}").unwrap();
    }
    println!("{table}");

    let convicted = |id| {
        let of = headers.convictions.iter().map(|found| (found.peer, found.rule, &found.evidence));
        let all = of.chain(blocks.convictions.iter().map(|found| (found.peer, found.rule, &found.evidence)));
        all.filter(|(peer, ..)| *peer == id).map(|(_, rule, evidence)| (rule, evidence.clone())).next()
    };
    for Part { id, does } in &parts {
        let rule = match *does {
            "lies in headers" => "segment.closes",
            "lies in bodies" => "body does not match its header",
            _ => {
                assert_eq!(convicted(*id), None, "{does}\n{table}");
                // Of the dead one the network may have told, and that is all.
                let told =
                    end(*id).is_none_or(|reason| *does == "is killed" && *reason == CloseReason::Timeout);
                assert!(told, "{does}\n{table}");
                continue;
            }
        };
        let Some(CloseReason::Violation { violation, .. }) = end(*id) else { panic!("{does}\n{table}") };
        assert_eq!(violation.rule(), rule, "{table}");
        let (named, evidence) = convicted(*id).unwrap();
        assert_eq!((named, evidence.as_str()), (rule, violation.evidence()));
        assert!(!evidence.is_empty(), "{table}");
    }
    node.stop().await.unwrap();
    within("the silent one's end", silent).await.unwrap().unwrap();
    for member in members {
        member.stop().await.unwrap();
    }
}
