//! `zakura localnet`: the main job. Mines a chain, serves it from many nodes over QUIC on loopback, syncs a fresh node.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Serialize;
use zakura_block_sync::ports::BlockStore;
use zakura_header_sync::{chain::BlockRef, ports::HeaderChain};
use zakura_transport::{Cancel, Identity, PeerAddr, PeerId};

use super::{
    Bar, Edge, Failure,
    args::LocalnetArgs,
    mine::{Plan, extend},
    run::chain_id,
};
use crate::{
    config::Config,
    node::{Node, NodeHandle},
    store::{Store, StoreError, StoreOptions},
    zcash::Network,
};

/// What one serving node delivered to the syncing one.
#[derive(Debug, Serialize)]
struct Delivered {
    id: String,
    headers: u64,
    blocks: u64,
    bytes: u64,
}

/// The result, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Synced {
    synced: bool,
    peers: u32,
    blocks: u32,
    tip_height: u32,
    tip_hash: String,
    expected_tip_hash: String,
    bytes: u64,
    seconds: f64,
    mine_seconds: f64,
    headers_per_s: f64,
    blocks_per_s: f64,
    mb_per_s: f64,
    per_peer: Vec<Delivered>,
}

/// When the sync passed its milestones, from its start.
#[derive(Debug, Clone, Copy, Default)]
struct Milestones {
    connected: Option<Duration>,
    headers: Option<Duration>,
    bodies: Option<Duration>,
}

/// Runs the main job.
///
/// # Errors
///
/// The store, a socket or a node failed, the sync did not end at the miner's tip, or a signal came first.
pub fn execute(args: &LocalnetArgs, edge: &Edge) -> Result<(), Failure> {
    let temporary;
    let dir: PathBuf = match &args.data_dir {
        Some(dir) => dir.clone(),
        None => {
            temporary = tempfile::tempdir().map_err(|error| {
                Failure::work(format!("no temporary directory: {error}: give --data-dir"))
            })?;
            temporary.path().to_owned()
        }
    };
    is_fresh(&dir)?;
    let (chain, mine_seconds) = mine(args, edge)?;
    let expected = chain.view().tip;
    let store = Arc::new(Store::open(&dir, Network::Regtest, StoreOptions::default())?);

    let (delivered, seconds, milestones) = edge.runtime.block_on(sync(args, edge, chain, &store))?;
    let tip = store.acknowledged();
    let bytes = delivered.iter().map(|peer| peer.bytes).sum();
    let per_second = |amount: f64| if seconds > 0.0 { amount / seconds } else { 0.0 };
    let result = Synced {
        synced: tip == expected,
        peers: args.peers,
        blocks: args.blocks,
        tip_height: tip.height.get(),
        tip_hash: tip.hash.to_string(),
        expected_tip_hash: expected.hash.to_string(),
        bytes,
        seconds,
        mine_seconds,
        headers_per_s: per_second(f64::from(expected.height.get())),
        blocks_per_s: per_second(f64::from(expected.height.get())),
        mb_per_s: per_second(bytes as f64 / 1e6),
        per_peer: delivered,
    };
    edge.output.line(&result, &describe(&result, milestones))?;
    match (result.synced, edge.stop.is_cancelled()) {
        (true, _) => Ok(()),
        (false, true) => {
            Err(Failure::work(format!("interrupted at block {tip} of {expected}")).after_result())
        }
        (false, false) => {
            Err(Failure::work(format!("the sync ended at block {tip} instead of {expected}")).after_result())
        }
    }
}

/// Whether the syncing node would begin at genesis. Reads an existing store, and leaves it as it is.
fn is_fresh(dir: &Path) -> Result<(), Failure> {
    let held = match Store::open_existing(dir, Network::Regtest, StoreOptions::default()) {
        Ok(store) => store.view().tip.height.get(),
        Err(StoreError::Absent { .. }) => 0,
        Err(error) => return Err(error.into()),
    };
    if held > 0 {
        return Err(Failure::work(format!(
            "data directory {} holds {held} Regtest blocks already, and the main job syncs a fresh node: give another \
             --data-dir",
            dir.display()
        )));
    }
    Ok(())
}

/// Mines the chain into memory.
fn mine(args: &LocalnetArgs, edge: &Edge) -> Result<(Arc<Store>, f64), Failure> {
    let chain = Store::in_memory(Network::Regtest, StoreOptions::default())?;
    let started = clock();
    let bar = edge.output.bar("mining", u64::from(args.blocks));
    bar.say(&format!("mining {} blocks", args.blocks));
    let plan = Plan { blocks: args.blocks, body_bytes: args.body_bytes, seed: args.seed };
    let mined = extend(&chain, plan, &bar, &edge.stop)?;
    if mined < args.blocks {
        return Err(Failure::work(format!(
            "interrupted while mining, after {mined} of {} blocks",
            args.blocks
        )));
    }
    Ok((Arc::new(chain), started.elapsed().as_secs_f64()))
}

/// Serves the chain and syncs the store from it.
async fn sync(
    args: &LocalnetArgs,
    edge: &Edge,
    chain: Arc<Store>,
    store: &Arc<Store>,
) -> Result<(Vec<Delivered>, f64, Milestones), Failure> {
    let expected = chain.view().tip;
    let (mut running, mut servers) = (Vec::new(), Vec::new());
    for index in 0..args.peers {
        let (node, handle) = local_node(identity(args.seed, index + 1)?, Arc::clone(&chain), &[]).await?;
        running.push(edge.runtime.spawn(node.run()));
        servers.push(handle);
    }
    let named: Vec<PeerAddr> = servers.iter().map(NodeHandle::local_peer).collect();

    let started = clock();
    let (node, handle) = local_node(identity(args.seed, 0)?, Arc::clone(store), &named).await?;
    running.push(edge.runtime.spawn(node.run()));
    let bar = edge.output.bar("syncing", u64::from(expected.height));
    bar.say(&format!("syncing a fresh node from {} peers", args.peers));
    let milestones = follow(&handle, expected, started, &bar, &edge.stop).await;
    let seconds = started.elapsed().as_secs_f64();
    drop(bar);
    let delivered = delivered(&handle, &named);

    handle.stop();
    servers.iter().for_each(NodeHandle::stop);
    drop((handle, servers));
    for node in running {
        node.await.map_err(Failure::work)?.map_err(Failure::work)?;
    }
    Ok((delivered, seconds, milestones))
}

async fn local_node(
    identity: Identity,
    store: Arc<Store>,
    peers: &[PeerAddr],
) -> Result<(Node, NodeHandle), Failure> {
    let mut config = Config::local();
    // Every server sees one peer and the fresh node sees them all.
    config.transport.max_outbound = config.transport.max_outbound.max(peers.len());
    config.node.memory_limit = config.node.memory_limit.max(config.memory_envelope());
    config.transport.peers = peers.iter().map(ToString::to_string).collect();
    // Who serves whom is the point of the run.
    config.discovery.enabled = false;
    let builder = Node::builder(identity, chain_id(Network::Regtest), store).config(config);
    builder.build().await.map_err(Failure::work)
}

/// The same run has the same identities.
fn identity(seed: u64, index: u32) -> Result<Identity, Failure> {
    let (seed, index) = (seed.to_le_bytes(), index.to_le_bytes());
    let bytes = crate::zcash::hash::sha256d(&[b"zakura localnet identity", &seed, &index]);
    Identity::from_seed(bytes).map_err(Failure::work)
}

/// Watches the sync until it ends, the node stops or a signal comes.
async fn follow(
    handle: &NodeHandle,
    expected: BlockRef,
    started: Instant,
    bar: &Bar,
    stop: &Cancel,
) -> Milestones {
    let mut milestones = Milestones::default();
    let (mut views, mut committed) = (handle.headers().views(), handle.blocks().committed());
    let mut events = handle.peer_events();
    loop {
        let (view, body) = (views.get(), committed.get());
        bar.set(u64::from(body.height));
        // Before what came over it: a short sync may be over before anybody reads the event.
        if !handle.peers().is_empty() {
            milestones.connected.get_or_insert_with(|| started.elapsed());
        }
        if view.tip.height >= expected.height {
            milestones.headers.get_or_insert_with(|| started.elapsed());
        }
        if body.height >= expected.height {
            milestones.bodies.get_or_insert_with(|| started.elapsed());
            return milestones;
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return milestones,
            () = handle.stopping() => return milestones,
            changed = committed.changed() => if changed.is_err() { return milestones },
            changed = views.changed() => if changed.is_err() { return milestones },
            _ = events.recv(), if milestones.connected.is_none() => {}
        }
    }
}

/// What each serving node delivered, in the order in which they were started.
fn delivered(handle: &NodeHandle, servers: &[PeerAddr]) -> Vec<Delivered> {
    let (headers, blocks) = (handle.headers().status(), handle.blocks().status());
    let of = |id: PeerId| {
        let headers = headers.peers.iter().find(|peer| peer.peer == id).map_or(0, |peer| peer.headers);
        let (blocks, bytes) = blocks
            .per_peer
            .iter()
            .find(|peer| peer.peer == id)
            .map_or((0, 0), |peer| (peer.blocks, peer.bytes));
        Delivered { id: id.to_string(), headers, blocks, bytes }
    };
    servers.iter().map(|server| of(server.id)).collect()
}

fn describe(result: &Synced, milestones: Milestones) -> String {
    let mut lines = vec![format!(
        "{} {} blocks from {} peers in {:.2} s: {:.0} blocks/s, {:.1} MB/s",
        if result.synced { "synced" } else { "did not sync" },
        result.blocks,
        result.peers,
        result.seconds,
        result.blocks_per_s,
        result.mb_per_s,
    )];
    lines.push(format!("tip {} {}", result.tip_height, result.tip_hash));
    for peer in &result.per_peer {
        let (id, headers) = (peer.id.get(..8).unwrap_or_default(), peer.headers);
        lines.push(format!(
            "  {id}  {headers:>6} headers  {:>6} blocks  {:>10} bytes",
            peer.blocks, peer.bytes
        ));
    }
    let at = |time: Option<Duration>| {
        time.map_or("never".to_owned(), |time| format!("{:.2} s", time.as_secs_f64()))
    };
    lines.push(format!(
        "time: mining {:.2} s; then first connection at {}, all headers durable at {}, all bodies durable at {}",
        result.mine_seconds,
        at(milestones.connected),
        at(milestones.headers),
        at(milestones.bodies),
    ));
    lines.join("\n")
}

#[allow(clippy::disallowed_methods, reason = "the command line measures what a user waits for")]
fn clock() -> Instant {
    Instant::now()
}
