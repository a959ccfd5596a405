//! TLS and tokens without the operating system: what a simulation repeats to the byte.

use super::entropy::Source;
use crate::TokenTime;
use quinn::TimeSource;
use rustls::{
    Error, NamedGroup, PeerMisbehaved,
    crypto::{
        ActiveKeyExchange, CryptoProvider, GetRandomFailed, SecureRandom, SharedSecret, SupportedKxGroup,
        ring,
    },
};
use std::{sync::Arc, time::SystemTime};
use x25519_dalek::{PublicKey, StaticSecret};

/// The provider of production with its randomness and its key exchange replaced: ring's own cannot be seeded.
///
/// The provider wants statics, so each call leaks two small values; it is called once for each start of an endpoint.
pub(super) fn provider(source: &Source) -> CryptoProvider {
    let randomness: &'static Randomness = Box::leak(Box::new(Randomness(source.child("tls"))));
    let group: &'static X25519 = Box::leak(Box::new(X25519(source.child("key exchange"))));
    CryptoProvider { secure_random: randomness, kx_groups: vec![group], ..ring::default_provider() }
}

#[derive(Debug)]
struct Randomness(Source);

impl SecureRandom for Randomness {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        self.0.fill(bytes).map_err(|_| GetRandomFailed)
    }
}

/// X25519 (RFC 7748) over keys from a seed.
#[derive(Debug)]
struct X25519(Source);

impl SupportedKxGroup for X25519 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let secret = StaticSecret::from(self.0.draw().map_err(|_| Error::FailedToGetRandomBytes)?);
        let public = PublicKey::from(&secret);
        Ok(Box::new(Exchange { secret, public }))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

struct Exchange {
    secret: StaticSecret,
    public: PublicKey,
}

impl ActiveKeyExchange for Exchange {
    fn complete(self: Box<Self>, theirs: &[u8]) -> Result<SharedSecret, Error> {
        let bad = || Error::from(PeerMisbehaved::InvalidKeyShare);
        let theirs = <[u8; 32]>::try_from(theirs).map_err(|_| bad())?;
        let shared = self.secret.diffie_hellman(&PublicKey::from(theirs));
        if shared.was_contributory() { Ok(SharedSecret::from(&shared.as_bytes()[..])) } else { Err(bad()) }
    }

    fn pub_key(&self) -> &[u8] {
        self.public.as_bytes()
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

/// Lets QUIC stamp its tokens with an injected clock.
pub(super) struct Tokens(pub(super) Arc<dyn TokenTime>);

impl TimeSource for Tokens {
    fn now(&self) -> SystemTime {
        self.0.now()
    }
}
