//! `zakura run`: a node that syncs and serves.

use std::{
    env, fs, io,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
};

use serde::Serialize;
use tokio::time::Instant;
use zakura_block_sync::{Commits, CommitsError, ports::BlockStore};
use zakura_header_sync::chain::BlockHash;
use zakura_transport::{
    AddPeerError, BindError, CloseReason, Identity, PeerEvent, PeerEvents, PeerEventsError, PeerId,
};

use super::{Bar, Edge, Failure, Tip, args::RunArgs, unreachable::Unreachable};
use crate::{
    config::Config,
    node::{ChainId, Node, NodeHandle},
    store::{Store, StoreOptions},
    zcash::Network,
};

#[derive(Serialize)]
struct Listening {
    listening: String,
    /// The height up to which every body is durable, as the store was opened.
    committed: u32,
}

#[derive(Serialize)]
struct Committed {
    committed: u32,
}

/// The name of a network's chain in the handshake.
#[must_use]
pub fn chain_id(network: Network) -> ChainId {
    ChainId { network: network.wire_id(), genesis: BlockHash(network.genesis_hash()) }
}

/// Runs a node until a signal comes or the wanted height is durable.
///
/// # Errors
///
/// Wrong usage, a store or port that cannot be had, or a node that stopped by itself.
pub fn execute(args: &RunArgs, edge: &Edge) -> Result<(), Failure> {
    args.check()?;
    let config = config(args)?;
    is_free(args.listen)?;
    let identity = Identity::load_or_create(&args.data_dir, args.network.name()).map_err(Failure::work)?;
    is_another(identity.peer_id(), &config)?;
    let options = StoreOptions { no_pow: args.no_pow, ..StoreOptions::default() };
    let store = Arc::new(Store::open(&args.data_dir, args.network, options)?);

    let start = store.acknowledged();
    edge.runtime.block_on(async {
        let builder = Node::builder(identity, chain_id(args.network), Arc::clone(&store)).config(config);
        let (node, handle) = builder.build().await.map_err(Failure::work)?;
        let (commits, events) = (handle.blocks().commits(), handle.peer_events());
        let running = edge.runtime.spawn(node.run());
        let (listening, committed) = (handle.local_peer().to_string(), start.height.get());
        let text = format!("listening on {listening}");
        let watched = match edge.output.line(&Listening { listening, committed }, &text) {
            Ok(()) => tokio::select! {
                biased;
                failure = failed(&store) => Err(failure),
                watched = watch(args, edge, &handle, commits, events) => watched,
            },
            Err(failure) => Err(failure),
        };
        handle.stop();
        drop(handle);
        let ended = running.await.map_err(Failure::work)?.map_err(Failure::work);
        watched.and(ended)
    })?;

    let tip = store.acknowledged();
    if let Some(until) = args.until_height.filter(|until| tip.height.get() < *until) {
        return Err(Failure::work(format!(
            "interrupted at block {tip}, before height {until}: run the command again to go on from there"
        )));
    }
    edge.output.line(&Tip::from(tip), &format!("the tip is block {tip}"))
}

/// The settings: a `zakura.toml` in the data directory if there is one, the environment, and then the command line.
fn config(args: &RunArgs) -> Result<Config, Failure> {
    let path = args.data_dir.join("zakura.toml");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(Failure::work(format!("{}: {error}: make it readable", path.display()))),
    };
    let mut config = Config::read(&path.display().to_string(), &text, env::vars()).map_err(Failure::usage)?;
    config.transport.listen = args.listen;
    config.transport.peers.extend(args.peers.iter().map(ToString::to_string));
    config.discovery.bootstrap.extend(args.bootstrap.iter().map(ToString::to_string));
    config.check().map_err(Failure::usage)?;
    Ok(config)
}

/// Whether the address can be had. Asked before the store is opened, since opening it for writing alters its file.
fn is_free(listen: SocketAddr) -> Result<(), Failure> {
    UdpSocket::bind(listen).map(drop).map_err(|error| Failure::work(BindError::socket(listen, error)))
}

/// Whether every named peer is another node. Asked before the store is opened.
fn is_another(own: PeerId, config: &Config) -> Result<(), Failure> {
    match config.kept_peers().map_err(Failure::usage)?.iter().any(|peer| peer.id == own) {
        true => Err(Failure::usage(format!("--peer or --bootstrap: {}", AddPeerError::Ourselves(own)))),
        false => Ok(()),
    }
}

/// Waits until the store's file fails: from then on nothing can be committed, and only a new start repairs it.
async fn failed(store: &Store) -> Failure {
    let mut failure = store.failure();
    loop {
        if let Some(reason) = failure.get() {
            return Failure::work(reason);
        }
        if failure.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Reports until the node is to stop.
async fn watch(
    args: &RunArgs,
    edge: &Edge,
    handle: &NodeHandle,
    mut commits: Commits,
    mut events: PeerEvents,
) -> Result<(), Failure> {
    let (bar, mut unreachable) = (edge.output.bar("blocks", 0), Unreachable::default());
    let mut durable = handle.blocks().committed().get().height;
    loop {
        bar.aim(u64::from(handle.headers().views().get().tip.height));
        bar.set(u64::from(durable));
        // Every commit is told before the last one ends the run.
        if commits.is_empty() && args.until_height.is_some_and(|until| durable.get() >= until) {
            return Ok(());
        }
        tokio::select! {
            biased;
            () = edge.stop.cancelled() => return Ok(()),
            () = handle.stopping() => return Ok(()),
            commit = commits.recv() => match commit {
                Ok(block) => {
                    durable = block.height;
                    if edge.output.is_json() {
                        edge.output.line(&Committed { committed: durable.get() }, "")?;
                    }
                }
                Err(CommitsError::Missed(count)) => bar.say(&format!("{count} commits were missed")),
                // The reactor has ended: the node is about to say why.
                Err(CommitsError::Closed) => handle.stopping().await,
            },
            event = events.recv() => match event {
                Ok(event) => tell(&bar, &event, &mut unreachable),
                Err(PeerEventsError::Missed(count)) => bar.say(&format!("{count} peer events were missed")),
                Err(_) => handle.stopping().await,
            },
        }
    }
}

/// Peers come and go; what an operator may have to act on is said.
fn tell(bar: &Bar, event: &PeerEvent, unreachable: &mut Unreachable) {
    match event {
        PeerEvent::Connected(peer) => {
            unreachable.met(peer.id);
            bar.say(&format!("connected to {} at {}", peer.id.short(), peer.addr));
        }
        PeerEvent::Disconnected { peer, reason } => {
            bar.say(&format!("disconnected from {} at {}: {reason}", peer.id.short(), peer.addr));
        }
        PeerEvent::DialFailed { peer, reason } => {
            let line = format!("cannot connect to {} at {}: {reason}", peer.id.short(), peer.addr);
            if unreachable.is_news(peer.id, &line, Instant::now().into_std()) {
                bar.say(&line);
            }
        }
        PeerEvent::Refused { peer, addr, reason: CloseReason::HandshakeRefused(refusal) } => {
            bar.say(&format!("refused {} at {addr}: {refusal}", peer.short()));
        }
        // That there was no place for a peer is no news: on a busy node it is every other moment.
        _ => {}
    }
}
