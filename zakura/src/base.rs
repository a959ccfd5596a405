//! What a node stands on: the operating system, or a simulation.

use crate::config::Config;
use std::io;
use zakura_block_sync::BlockSyncConfig;
use zakura_header_sync::HeaderSyncConfig;
use zakura_transport::{Spawner, TransportConfig, routine::WorkPool};
#[cfg(feature = "simulation")]
use {
    std::sync::Arc,
    zakura_transport::{DatagramSocket, Entropy, TokenTime, Tongue, routine::JobCost},
};

/// Where time, randomness, tasks and datagrams come from.
#[derive(Debug, Default)]
pub(crate) enum Base {
    /// From the operating system.
    #[default]
    Os,
    /// From the operating system, but for who starts tasks and threads.
    #[cfg(feature = "simulation")]
    On(Spawner),
    /// From a simulation.
    #[cfg(feature = "simulation")]
    Simulated(Box<Simulated>),
}

/// What a simulated node is given in place of the operating system. It runs in tokio's paused time.
#[cfg(feature = "simulation")]
#[derive(Debug, Clone)]
pub struct Simulated {
    /// Its network.
    pub socket: Arc<dyn DatagramSocket>,
    /// What all its randomness grows from: it never asks the operating system. Another life takes another seed.
    pub seed: [u8; 32],
    /// Its wall clock, for address tokens.
    pub token_time: Arc<dyn TokenTime>,
    /// What a job on its work pool takes. Jobs run on the node's own tasks.
    pub job_cost: JobCost,
    /// What it does to its own words, if it is a peer with a habit.
    pub tongue: Option<Arc<dyn Tongue>>,
    /// Settings of the services in place of those that follow from the node's.
    pub services: Option<(HeaderSyncConfig, BlockSyncConfig)>,
    /// Starts its tasks, and can kill them.
    pub spawner: Spawner,
}

impl Base {
    pub(crate) fn spawner(&self) -> Spawner {
        match self {
            Self::Os => Spawner::new(),
            #[cfg(feature = "simulation")]
            Self::On(spawner) => spawner.clone(),
            #[cfg(feature = "simulation")]
            Self::Simulated(simulated) => simulated.spawner.clone(),
        }
    }

    pub(crate) fn pool(&self, spawner: &Spawner, threads: usize, sessions: usize) -> io::Result<WorkPool> {
        match self {
            Self::Os => WorkPool::new(spawner, threads, sessions),
            #[cfg(feature = "simulation")]
            Self::On(_) => WorkPool::new(spawner, threads, sessions),
            #[cfg(feature = "simulation")]
            Self::Simulated(simulated) => Ok(WorkPool::inline(spawner, simulated.job_cost.clone(), sessions)),
        }
    }

    /// What the services are started with.
    pub(crate) fn services(&self, config: &Config) -> (HeaderSyncConfig, BlockSyncConfig) {
        let usual = || (config.header_sync.build(), config.block_sync.build());
        match self {
            Self::Os => usual(),
            #[cfg(feature = "simulation")]
            Self::On(_) => usual(),
            #[cfg(feature = "simulation")]
            Self::Simulated(simulated) => simulated.services.clone().unwrap_or_else(usual),
        }
    }

    pub(crate) fn lay(self, settings: TransportConfig) -> TransportConfig {
        match self {
            Self::Os => settings,
            #[cfg(feature = "simulation")]
            Self::On(_) => settings,
            #[cfg(feature = "simulation")]
            Self::Simulated(simulated) => TransportConfig {
                socket: Some(simulated.socket),
                entropy: Entropy::Seeded(simulated.seed),
                token_time: Some(simulated.token_time),
                tongue: simulated.tongue,
                ..settings
            },
        }
    }
}
