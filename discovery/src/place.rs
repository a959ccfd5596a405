//! The reservation.

use crate::wire::STREAM;
use zakura_transport::{Exit, Service, Session, StreamSpec};

/// Reserves discovery's kind, name and capability bit in a registry, so that no other service can take them.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiscoveryPlace;

impl Service for DiscoveryPlace {
    fn streams(&self) -> Vec<StreamSpec> {
        vec![STREAM]
    }

    fn is_offered(&self) -> bool {
        false
    }

    fn wants(&self, _peer: &zakura_transport::PeerInfo, _stream: &StreamSpec) -> bool {
        false
    }

    /// Never reached while the capability is not offered: the stream is not negotiated with anyone.
    async fn run(&self, _session: Session) -> Exit {
        Exit::Closed { reopen: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zakura_transport::{Capabilities, Registry, RegistryError};

    #[test]
    fn the_place_is_taken_but_not_offered() {
        let mut registry = Registry::new();
        registry.register(DiscoveryPlace).unwrap();
        assert_eq!(registry.offer(), Capabilities::NONE);
        assert_eq!(registry.register(DiscoveryPlace), Err(RegistryError::DuplicateName("discovery")));
    }
}
