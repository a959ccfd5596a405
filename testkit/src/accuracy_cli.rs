//! The commands of `zakura-sim` that measure a line: in the model, or through the kernel.

use crate::accuracy::{Line, Measured, measure, modelled, relay, serve};
use clap::{Args, Subcommand};
use std::{
    future::{Future, pending},
    io::{self, Write},
    net::SocketAddr,
    time::Duration,
};
use zakura_transport::{PeerAddr, Spawner, TransportConfig};

/// Measures round trip and goodput of a line.
#[derive(Debug, Subcommand)]
pub enum ProbeCommand {
    /// As the link model has it, in virtual time.
    Model {
        /// The line.
        #[command(flatten)]
        line: Line,
        /// Everything random grows from it.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Answers probes until it is ended; prints its name first.
    Serve(Listen),
    /// Probes a node that serves.
    Measure {
        /// Where the one who probes listens.
        #[command(flatten)]
        own: Listen,
        /// The node, as it printed its name, perhaps with a relay's address in place of its own.
        peer: PeerAddr,
        /// Megabytes that are sent.
        #[arg(long, default_value_t = 20)]
        megabytes: u32,
    },
    /// Passes datagrams between two networks, each a while late.
    Relay {
        /// Where the one who probes writes to.
        #[arg(long)]
        near: SocketAddr,
        /// Our own address in the other network.
        #[arg(long)]
        own_far: SocketAddr,
        /// The node that serves.
        #[arg(long)]
        far: SocketAddr,
        /// Milliseconds one way.
        #[arg(long, default_value_t = 10)]
        delay: u32,
    },
}

/// Where a node listens.
#[derive(Debug, Args)]
pub struct Listen {
    /// Its address.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

impl ProbeCommand {
    /// Measures, or helps to.
    ///
    /// # Errors
    ///
    /// What stood in the way, in words.
    pub fn run(&self) -> Result<String, String> {
        match self {
            Self::Model { line, seed } => {
                modelled(*line, *seed).map(|measured| told(&measured)).map_err(|failed| failed.to_string())
            }
            Self::Serve(own) => in_real_time(async {
                let node =
                    serve(own.config(1), 1, Spawner::new()).await.map_err(|error| error.to_string())?;
                say(&node.local_peer().to_string()).map_err(|error| error.to_string())?;
                pending().await
            }),
            Self::Measure { own, peer, megabytes } => in_real_time(async {
                let node =
                    serve(own.config(2), 2, Spawner::new()).await.map_err(|error| error.to_string())?;
                let measured = measure(&node, *peer, *megabytes).await.map_err(|error| error.to_string())?;
                Ok(told(&measured))
            }),
            Self::Relay { near, own_far, far, delay } => in_real_time(async {
                let delay = Duration::from_millis((*delay).into());
                relay(*near, *own_far, *far, delay).await.map_err(|error| error.to_string())?;
                Ok(String::new())
            }),
        }
    }
}

impl Listen {
    fn config(&self, seed: u64) -> TransportConfig {
        TransportConfig::new(self.listen, 3, [7; 32], seed)
    }
}

fn told(measured: &Measured) -> String {
    serde_json::json!(measured).to_string()
}

/// Says a line at once: somebody waits for it.
fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{line}")?;
    out.flush()
}

fn in_real_time(work: impl Future<Output = Result<String, String>>) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| format!("no runtime: {error}"))?.block_on(work)
}
