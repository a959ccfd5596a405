//! What a node with a habit says in place of what its routines say.

use crate::{
    sim::Seed,
    worlds::{
        habits::{self, BODIES, HEADERS, Habit},
        store::NodeStore,
    },
};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use zakura_transport::{Frame, PeerInfo, Spoken, StreamKind, Tongue};

/// A habit that has its way with every frame of a node.
#[derive(Debug)]
pub struct HabitTongue {
    habit: Habit,
    store: NodeStore,
    seed: Seed,
    words: AtomicU64,
    acts: AtomicU64,
}

impl HabitTongue {
    /// A node's habit. What it does by chance grows from the seed.
    #[must_use]
    pub const fn new(habit: Habit, store: NodeStore, seed: Seed) -> Self {
        Self { habit, store, seed, words: AtomicU64::new(0), acts: AtomicU64::new(0) }
    }

    /// How often it did what it is here for.
    #[must_use]
    pub fn acts(&self) -> u64 {
        self.acts.load(Ordering::Relaxed)
    }
}

impl Tongue for HabitTongue {
    fn speak(&self, _peer: &PeerInfo, kind: StreamKind, frame: Frame) -> Spoken {
        let service = match kind {
            StreamKind::HEADER_SYNC => HEADERS,
            StreamKind::BLOCK_SYNC => BODIES,
            _ => return Spoken { frames: vec![frame], delay: Duration::ZERO },
        };
        let word = self.words.fetch_add(1, Ordering::Relaxed);
        let sent =
            habits::send(self.habit, service, frame, &self.store, &mut self.seed.nth("word", word).rng());
        self.acts.fetch_add(u64::from(sent.acted), Ordering::Relaxed);
        Spoken { frames: sent.frames, delay: Duration::from_nanos(sent.delay) }
    }
}
