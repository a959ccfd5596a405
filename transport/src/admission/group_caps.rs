//! What one neighbourhood gets.

use std::time::Duration;

/// What one [`Netgroup`](crate::Netgroup) gets. Named peers are never counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupCaps {
    /// Inbound handshakes under way at once, at most. Stops one operator from taking every place before anybody has said
    /// who he is (threats T02).
    pub pending: usize,
    /// Inbound connections registered at once, at most. Stops one operator from taking every place of
    /// [`max_inbound`](crate::TransportConfig::max_inbound) with a key for each (threats T03).
    pub inbound: usize,
    /// For how long nobody new of a neighbourhood is met after one of it delivered provably wrong content; zero turns it
    /// off, and with it all that holds a neighbourhood to account: how often handshakes begin and peers come back, and who is
    /// let in after many panics. Stops the next key of the same operator from doing it again at once (threats 4.1).
    /// Connections that stand are left alone.
    pub cooldown: Duration,
}

impl GroupCaps {
    /// For the open network.
    pub const OPEN: Self = Self { pending: 4, inbound: 4, cooldown: Duration::from_secs(60) };

    /// For networks of which every node has the same address, where a neighbourhood says nothing about its operator.
    pub const ONE_HOST: Self = Self { pending: usize::MAX, inbound: usize::MAX, cooldown: Duration::ZERO };

    /// Whether a neighbourhood answers for what one of it does: while it has a cooldown.
    pub(crate) const fn tell_operators_apart(self) -> bool {
        !self.cooldown.is_zero()
    }
}
