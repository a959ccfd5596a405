//! Peer discovery.
