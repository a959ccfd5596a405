//! The commands and their arguments.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use zakura_transport::PeerAddr;

use super::Failure;
use crate::zcash::{MAX_BLOCK_BYTES, Network};

/// The highest legal height (wire 7.1), as a bound of arguments.
const MAX_HEIGHT: i64 = 0x7fff_ffff;

/// The largest block, as a bound of arguments.
const MAX_BODY: i64 = MAX_BLOCK_BYTES as i64;

/// More servers than this, with their sockets and connections, do not fit in one process's file descriptors.
const MAX_LOCAL_PEERS: i64 = 256;

/// Peer-to-peer stack of a full node, and a stand-alone Zcash node.
#[derive(Debug, Parser)]
#[command(name = "zakura", version, arg_required_else_help = true, subcommand_required = true)]
pub struct Cli {
    /// End standard output with one JSON object
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The main job: mine a chain, serve it from many nodes over loopback QUIC, sync a fresh node
    Localnet(LocalnetArgs),
    /// Extend a Regtest chain in a store; the same seed gives the same chain
    Mine(MineArgs),
    /// Check and append raw blocks, all of them or none
    Import(ImportArgs),
    /// Write raw blocks, one file a height, byte for byte as they came in
    Export(ExportArgs),
    /// Print the node's identity, and create it if there is none
    Id(IdArgs),
    /// Run a node that syncs and serves
    Run(RunArgs),
}

/// Arguments of `zakura localnet`.
#[derive(Debug, Clone, Args)]
pub struct LocalnetArgs {
    /// Nodes that serve the chain
    #[arg(long, value_name = "N", default_value_t = 8,
        value_parser = clap::value_parser!(u32).range(1..=MAX_LOCAL_PEERS))]
    pub peers: u32,
    /// Blocks of the chain above genesis
    #[arg(long, value_name = "N", default_value_t = 2000,
        value_parser = clap::value_parser!(u32).range(1..MAX_HEIGHT))]
    pub blocks: u32,
    /// Bytes of every block; a mix as of a busy chain if absent
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..=MAX_BODY))]
    pub body_bytes: Option<u32>,
    /// Seed of the chain
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Where the syncing node keeps its store; a temporary directory if absent
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Arguments of `zakura mine`.
#[derive(Debug, Clone, Args)]
pub struct MineArgs {
    /// The node's directory; created if absent
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Blocks to mine
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..MAX_HEIGHT))]
    pub blocks: u32,
    /// Bytes of every block; a mix as of a busy chain if absent
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..=MAX_BODY))]
    pub body_bytes: Option<u32>,
    /// Seed of the chain
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// Arguments of `zakura import`.
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    /// The node's directory; created if absent
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// mainnet, testnet or regtest
    #[arg(long)]
    pub network: Network,
    /// Raw blocks, one a file, lowest first
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// Arguments of `zakura export`.
#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    /// The node's directory
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// mainnet, testnet or regtest
    #[arg(long)]
    pub network: Network,
    /// The first height
    #[arg(long, value_name = "HEIGHT", value_parser = clap::value_parser!(u32).range(..=MAX_HEIGHT))]
    pub from: u32,
    /// The last height
    #[arg(long, value_name = "HEIGHT", value_parser = clap::value_parser!(u32).range(..=MAX_HEIGHT))]
    pub to: u32,
    /// Where the files go; created if absent
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Arguments of `zakura id`.
#[derive(Debug, Clone, Args)]
pub struct IdArgs {
    /// The node's directory; created if absent
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// mainnet, testnet or regtest
    #[arg(long)]
    pub network: Network,
}

/// Arguments of `zakura run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// The node's directory; created if absent
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// mainnet, testnet or regtest
    #[arg(long)]
    pub network: Network,
    /// The UDP address to bind; port 0 takes a free one
    #[arg(long, value_name = "IP:PORT", value_parser = listen)]
    pub listen: SocketAddr,
    /// A peer to keep a connection to; may be given many times
    #[arg(long = "peer", value_name = "ID@IP:PORT")]
    pub peers: Vec<PeerAddr>,
    /// A peer to begin with: others are learned from it; may be given many times
    #[arg(long = "bootstrap", value_name = "ID@IP:PORT")]
    pub bootstrap: Vec<PeerAddr>,
    /// End once this height is durably committed
    #[arg(long, value_name = "HEIGHT", value_parser = clap::value_parser!(u32).range(..=MAX_HEIGHT))]
    pub until_height: Option<u32>,
    /// Skip proof-of-work and target checks; Regtest only, for chains that other nodes mined without
    #[arg(long)]
    pub no_pow: bool,
}

/// Reads an address to listen on; the standard library's own words do not say what is missing.
fn listen(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "write IP:PORT, such as 127.0.0.1:8234 or [::1]:8234, with a port from 0 to 65535")
}

impl RunArgs {
    /// Checks what single arguments do not show.
    ///
    /// # Errors
    ///
    /// Wrong usage: `--no-pow` outside Regtest.
    pub fn check(&self) -> Result<(), Failure> {
        if self.no_pow && self.network != Network::Regtest {
            return Err(Failure::usage(format!(
                "--no-pow is for regtest only, not for {}: leave it out",
                self.network
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Parser)]
    struct Line<A: Args> {
        #[command(flatten)]
        args: A,
    }

    fn run(line: &str) -> Result<RunArgs, clap::Error> {
        Line::try_parse_from(line.split(' ')).map(|line| line.args)
    }

    #[test]
    fn a_node_is_described_in_one_line() {
        let id = "ab".repeat(32);
        let line = format!("run --data-dir d --network Testnet --listen [::1]:0 --peer {id}@127.0.0.1:8234");
        let args = run(&format!("{line} --until-height 10")).unwrap();
        assert_eq!((args.network, args.until_height, args.peers.len()), (Network::Testnet, Some(10), 1));
        assert_eq!(args.check(), Ok(()));
        let refused = run(&format!("{line} --no-pow")).unwrap().check().unwrap_err();
        assert_eq!(refused.code(), 2);
        assert!(refused.to_string().contains("regtest only"));
        let malformed = run(&line.replace('@', "#")).unwrap_err().to_string();
        assert!(malformed.contains("lacks an '@'"), "{malformed}");
    }

    #[test]
    fn the_main_job_needs_no_arguments() {
        let args = Line::<LocalnetArgs>::try_parse_from(["localnet"]).unwrap().args;
        assert_eq!((args.peers, args.blocks, args.body_bytes, args.data_dir), (8, 2000, None, None));
        assert!(Line::<LocalnetArgs>::try_parse_from(["localnet", "--peers", "0"]).is_err());
        assert!(Line::<LocalnetArgs>::try_parse_from(["localnet", "--body-bytes", "2000001"]).is_err());
    }
}
