//! The probe over simulated sockets.

use super::probe::{Measured, measure, serve};
use crate::sim::{Access, FailedRun, Genesis, Lane, Nat, PathShape, Seed, Switch, World, WorldError, run};
use std::{net::SocketAddr, time::Duration};
use zakura::store::Store;
use zakura_transport::{Entropy, PeerAddr, Spawner, TransportConfig, TransportHandle};

/// What a line is said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::Args)]
pub struct Line {
    /// Mbit/s, each way.
    #[arg(long, default_value_t = 20)]
    pub rate: u32,
    /// Milliseconds that a full queue holds.
    #[arg(long, default_value_t = 100)]
    pub queue: u32,
    /// Milliseconds one way.
    #[arg(long, default_value_t = 10)]
    pub delay: u32,
    /// Megabytes that are sent.
    #[arg(long, default_value_t = 20)]
    pub megabytes: u32,
}

/// How long two tasks have to end.
const FUNERAL: Duration = Duration::from_secs(1);

impl Line {
    /// Its access links in the model.
    #[must_use]
    pub const fn access(self) -> Access {
        let (rate, queue) = (self.rate as u64 * 1_000_000, self.queue as u64);
        let lane = Lane { rate, queue: rate / 8 * queue / 1_000 };
        Access { up: lane, down: lane }
    }
}

/// Measures the line as the link model has it, in virtual time.
///
/// # Errors
///
/// The failed run.
pub fn modelled(line: Line, seed: u64) -> Result<Measured, Box<FailedRun>> {
    let usual_path = PathShape::clean(Duration::from_millis(line.delay.into()));
    let genesis = Genesis { usual_path, ..Genesis::rough(seed) };
    let finished = run(genesis, async move |world: &mut World<Store>| {
        let (switch, tasks) = (world.switch().clone(), Spawner::new());
        let outcome = between(&switch, line, seed, &tasks).await;
        tasks.kill();
        // What was killed cannot stay.
        drop(tasks.stop(FUNERAL).await);
        outcome
    })?;
    Ok(finished.value)
}

async fn between(switch: &Switch, line: Line, seed: u64, tasks: &Spawner) -> Result<Measured, WorldError> {
    let failed = |error: super::ProbeError| WorldError::Failed(error.to_string());
    let server = attach(switch, line, seed, 1, tasks).await.map_err(failed)?;
    let client = attach(switch, line, seed, 2, tasks).await.map_err(failed)?;
    let peer = PeerAddr { id: server.local_id(), addr: addr(1) };
    measure(&client, peer, line.megabytes).await.map_err(failed)
}

const fn addr(number: u8) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 78, 0, number)), 8234)
}

async fn attach(
    switch: &Switch,
    line: Line,
    seed: u64,
    number: u8,
    tasks: &Spawner,
) -> Result<TransportHandle, super::ProbeError> {
    let addr = addr(number);
    let node = switch.attach(addr, line.access(), Nat::Open);
    let entropy = Entropy::Seeded(Seed::root(seed).nth("probe", number.into()).bytes());
    let config = TransportConfig {
        socket: Some(switch.raise(node)),
        entropy,
        ..TransportConfig::new(addr, 3, [7; 32], number.into())
    };
    serve(config, number, tasks.clone()).await
}
