//! What peers and strangers can make a transport keep: the bounds of its parts, added up.

use crate::{
    TransportConfig,
    quic::{AT_THE_DOOR, INBOUND, OUTBOUND, STRANGER},
    session::OUTBOX_BYTES,
};

/// Beside its windows, a connection: QUIC and TLS, places for 128 streams, the flight record (20 KiB) and tasks. A silent peer
/// was measured at 59 KiB (`cargo bench -p zakura-transport --bench raw_quinn -- idle`); the rest is for the pieces in which
/// what it sends is kept.
const CONNECTION_STATE: u64 = 256 << 10;

/// A connection whose handshake is not done: its small window, the 16 KiB of TLS that QUIC keeps out of order at each of
/// three levels, and one stream's 32 KiB of torn datagrams, beside QUIC and TLS themselves.
const PENDING_STATE: u64 = STRANGER as u64 + (3 * 16 + 32 + 64) * 1024;

/// What is kept of those who are not connected, full: 64 past connections (20 KiB each), 1,024 bans (1 KiB), the records of
/// 4,096 neighbourhoods and disco's five tables of 1,024 (100 bytes an entry).
const TABLES: u64 = 4 << 20;

impl TransportConfig {
    /// Bytes that peers and strangers make a transport keep at most, all at once, if its services have ordered streams whose
    /// largest messages have so many payload bytes: for each connection its QUIC windows, and on each stream a message that
    /// is being put together and an outbox with a message beyond its bound; handshakes under way; what waits at the door;
    /// tables. What services keep of what they have received is theirs to add, and so are request streams.
    ///
    /// QUIC bounds pieces and not the memory behind them: a peer that tears its bytes into the smallest pieces, and sends
    /// them with gaps, can cost more than its windows. That is not in here.
    #[must_use]
    pub fn memory_envelope(&self, messages: &[usize]) -> u64 {
        let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let stream = |bytes: &usize| wide(*bytes).saturating_mul(2).saturating_add(wide(OUTBOX_BYTES));
        let streams = messages.iter().map(stream).fold(CONNECTION_STATE, u64::saturating_add);
        let all = |count: usize, each: u64| wide(count).saturating_mul(each);
        let parts = [
            all(self.max_inbound, INBOUND.bytes().saturating_add(streams)),
            all(self.max_outbound, OUTBOUND.bytes().saturating_add(streams)),
            // As many dials may be under way as there are places for their connections.
            all(self.pending_handshakes.saturating_add(self.max_outbound), PENDING_STATE),
            AT_THE_DOOR,
            TABLES,
        ];
        parts.into_iter().fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(max_inbound: usize, max_outbound: usize, pending_handshakes: usize) -> TransportConfig {
        let listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let open = TransportConfig::new(listen, 3, [0; 32], 0);
        TransportConfig { max_inbound, max_outbound, pending_handshakes, ..open }
    }

    #[test]
    fn every_place_and_every_message_counts() {
        let (mib, nobody) = (1 << 20, config(0, 0, 0).memory_envelope(&[]));
        assert!((4 * mib..16 * mib).contains(&nobody), "{nobody}");
        let inbound = config(10, 0, 0).memory_envelope(&[]) - nobody;
        assert_eq!(inbound, 10 * (6 * mib + mib / 4), "2 MiB in, 4 MiB out, and its state");
        let talks = config(10, 0, 0).memory_envelope(&[1_000_000, 500]) - nobody - inbound;
        assert_eq!(talks, 10 * (2 * 1_000_500 + mib / 2));
        assert!(config(0, 1, 0).memory_envelope(&[]) - nobody > 8_000_000);
        assert!(config(0, 0, 1).memory_envelope(&[]) - nobody < mib / 4, "a stranger has little");
        assert_eq!(config(usize::MAX, 1, 1).memory_envelope(&[usize::MAX]), u64::MAX);
    }
}
