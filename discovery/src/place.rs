//! The reservation.

use zakura_transport::{
    Capabilities, Exit, Mode, Opener, PayloadCap, Service, Session, StreamKind, StreamSpec,
};

/// Message bytes at most on the discovery stream (wire 5.1).
const MESSAGE_BYTES: u32 = 16_384;

/// Frame bytes at most, header included (wire 4.1).
const FRAME_BYTES: u32 = 1_048_576;

const _: () = assert!(MESSAGE_BYTES + 8 <= FRAME_BYTES);

/// Reserves discovery's kind, name and capability bit in a registry, so that no other service can take them.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiscoveryPlace;

impl Service for DiscoveryPlace {
    fn streams(&self) -> Vec<StreamSpec> {
        vec![StreamSpec {
            name: "discovery",
            kind: StreamKind::DISCOVERY,
            version: 1,
            capability: Capabilities::DISCOVERY,
            mode: Mode::Ordered,
            max_frame: FRAME_BYTES,
            payload_caps: &[PayloadCap { message_type: 1, bytes: MESSAGE_BYTES }],
            opener: Opener::Initiator,
            frames_per_second: 2048,
        }]
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
    use zakura_transport::{Registry, RegistryError};

    #[test]
    fn the_place_is_taken_but_not_offered() {
        let mut registry = Registry::new();
        registry.register(DiscoveryPlace).unwrap();
        assert_eq!(registry.offer(), Capabilities::NONE);
        assert_eq!(registry.register(DiscoveryPlace), Err(RegistryError::DuplicateName("discovery")));
    }
}
