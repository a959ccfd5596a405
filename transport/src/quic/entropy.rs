//! The one place where randomness enters the node from outside: keys, nonces, connection ids.

use ring::rand::{SecureRandom, SystemRandom};
#[cfg(feature = "simulation")]
use {
    rand_chacha::ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
    std::{
        cell::Cell,
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering},
        },
    },
};

/// Where a transport's randomness comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Entropy {
    /// The operating system.
    #[default]
    Os,
    /// All of it grows from these bytes, TLS keys included, so that a run repeats to the byte. Anyone who knows them can
    /// read the traffic. Two starts of one node must not share them: connection ids would come again.
    #[cfg(feature = "simulation")]
    Seeded([u8; 32]),
}

#[cfg(feature = "simulation")]
thread_local! {
    static OS_DRAWS: Cell<u64> = const { Cell::new(0) };
}

/// How often this thread has asked the operating system for randomness through the transport, which is the only way that
/// any of our members has. A simulated world has a thread of its own, and whoever asks there makes it a world that does
/// not repeat.
#[cfg(feature = "simulation")]
#[must_use]
pub fn os_draws() -> u64 {
    OS_DRAWS.get()
}

/// The operating system gave no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no randomness")]
pub(crate) struct NoEntropy;

/// Fresh random bytes from the operating system.
pub(crate) fn fresh_bytes() -> Result<[u8; 32], NoEntropy> {
    Source::Os.draw()
}

/// Random bytes for one purpose. Clones draw from the same stream.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// The operating system's.
    Os,
    /// A seed's.
    #[cfg(feature = "simulation")]
    Seeded(Arc<Seeded>),
}

/// A seed, and how often was drawn from it.
#[cfg(feature = "simulation")]
#[derive(Debug)]
pub(crate) struct Seeded {
    seed: [u8; 32],
    draws: AtomicU64,
}

impl Source {
    pub(crate) fn new(entropy: Entropy) -> Self {
        match entropy {
            Entropy::Os => Self::Os,
            #[cfg(feature = "simulation")]
            Entropy::Seeded(seed) => Self::seeded(seed),
        }
    }

    /// Fills `bytes` with what nobody has drawn before.
    pub(crate) fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        match self {
            Self::Os => {
                #[cfg(feature = "simulation")]
                OS_DRAWS.set(OS_DRAWS.get().saturating_add(1));
                SystemRandom::new().fill(bytes).map_err(|_| NoEntropy)
            }
            #[cfg(feature = "simulation")]
            Self::Seeded(seeded) => {
                let mut stream = ChaCha20Rng::from_seed(seeded.seed);
                stream.set_stream(seeded.draws.fetch_add(1, Ordering::Relaxed));
                stream.fill_bytes(bytes);
                Ok(())
            }
        }
    }

    /// 32 bytes that nobody has drawn before.
    pub(crate) fn draw(&self) -> Result<[u8; 32], NoEntropy> {
        let mut bytes = [0; 32];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// The source for one purpose, the same whenever it is asked for: what one purpose draws never shifts what another
    /// one gets.
    #[cfg_attr(not(feature = "simulation"), expect(unused_variables, reason = "a purpose parts seeds only"))]
    pub(crate) fn child(&self, purpose: &str) -> Self {
        match self {
            Self::Os => Self::Os,
            #[cfg(feature = "simulation")]
            Self::Seeded(seeded) => {
                let mut hash = blake2b_simd::Params::new();
                let hash = hash.hash_length(32).key(&seeded.seed).hash(purpose.as_bytes());
                let mut seed = [0; 32];
                seed.copy_from_slice(hash.as_bytes());
                Self::seeded(seed)
            }
        }
    }

    /// A source for the next of several lives, never the same twice.
    pub(crate) fn next_life(&self) -> Result<Self, NoEntropy> {
        Ok(match self {
            Self::Os => Self::Os,
            #[cfg(feature = "simulation")]
            Self::Seeded(_) => Self::seeded(self.draw()?),
        })
    }

    #[cfg(feature = "simulation")]
    fn seeded(seed: [u8; 32]) -> Self {
        Self::Seeded(Arc::new(Seeded { seed, draws: AtomicU64::new(0) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operating_system_never_repeats() {
        let source = Source::new(Entropy::Os);
        assert_ne!(source.child("a").draw().unwrap(), source.child("a").draw().unwrap());
    }

    #[cfg(feature = "simulation")]
    #[test]
    fn whoever_asks_the_operating_system_is_counted_and_a_seed_is_not() {
        let before = os_draws();
        let seeded = Source::new(Entropy::Seeded([1; 32]));
        seeded.child("tls").next_life().unwrap().draw().unwrap();
        assert_eq!(os_draws(), before);
        fresh_bytes().unwrap();
        Source::new(Entropy::Os).child("a").draw().unwrap();
        assert_eq!(os_draws(), before + 2);
    }

    #[cfg(feature = "simulation")]
    #[test]
    fn a_seed_repeats_and_no_draw_comes_twice() {
        let take = |source: &Source| [source.draw().unwrap(), source.draw().unwrap()];
        let (a, b) = (Source::new(Entropy::Seeded([1; 32])), Source::new(Entropy::Seeded([1; 32])));
        assert_eq!(take(&a), take(&b));
        assert_ne!(take(&a)[0], take(&a)[0]);
        assert_ne!(
            take(&Source::new(Entropy::Seeded([2; 32]))),
            take(&Source::new(Entropy::Seeded([1; 32])))
        );
    }

    #[cfg(feature = "simulation")]
    #[test]
    fn a_child_does_not_depend_on_what_others_draw_and_a_life_is_never_the_same() {
        let (a, b) = (Source::new(Entropy::Seeded([1; 32])), Source::new(Entropy::Seeded([1; 32])));
        a.draw().unwrap();
        assert_eq!(a.child("tls").draw(), b.child("tls").draw());
        assert_ne!(a.child("tls").draw(), a.child("ids").draw());
        let lives = a.child("endpoint");
        assert_ne!(lives.next_life().unwrap().draw(), lives.next_life().unwrap().draw());
    }
}
