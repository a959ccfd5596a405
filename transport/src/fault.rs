//! Who is to blame, and what follows.

/// The eleven runtime classes of a fault. The class is decided where the fault is seen, never later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultClass {
    /// Bytes break the codec.
    Malformed,
    /// Decodable, but breaks an explicit contract of the session.
    Protocol,
    /// Content is provably wrong, and the proof is at hand.
    ProvenInvalid,
    /// Allowed shape, of no use to us now; debits a tolerance budget.
    Undesired,
    /// The peer says no.
    Refusal,
    /// Silence, timeout, nothing useful.
    NoProgress,
    /// From an old generation, ours or theirs.
    Stale,
    /// QUIC, TLS or the network; spoofable.
    Transport,
    /// Our store, queue, clock, configuration or budget.
    Local,
    /// An invariant of ours is broken, or data is corrupt.
    LocalFatal,
    /// A bug.
    Panic,
}

/// The four questions behind the classes: who is to blame, and would every honest node see the same?
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultGroup {
    /// The peer broke the protocol; every honest node would see it.
    Protocol,
    /// The peer was of no use; recorded, never proof.
    Misbehaviour,
    /// Ours or the network's; never a peer's.
    Local,
    /// We are broken.
    Broken,
}

impl FaultClass {
    /// Every class, in declaration order.
    pub const ALL: [Self; 11] = [
        Self::Malformed,
        Self::Protocol,
        Self::ProvenInvalid,
        Self::Undesired,
        Self::Refusal,
        Self::NoProgress,
        Self::Stale,
        Self::Transport,
        Self::Local,
        Self::LocalFatal,
        Self::Panic,
    ];

    /// The group a class belongs to.
    #[must_use]
    pub const fn group(self) -> FaultGroup {
        match self {
            Self::Malformed | Self::Protocol | Self::ProvenInvalid => FaultGroup::Protocol,
            Self::Undesired | Self::Refusal | Self::NoProgress => FaultGroup::Misbehaviour,
            Self::Stale | Self::Transport | Self::Local => FaultGroup::Local,
            Self::LocalFatal | Self::Panic => FaultGroup::Broken,
        }
    }

    /// Whether the peer is kept out for a while after it, and nobody new of its neighbourhood met (threats 4.1): content
    /// that is provably wrong was made with intent, while broken bytes may be an honest node's bug.
    #[must_use]
    pub const fn cools_down(self) -> bool {
        matches!(self, Self::ProvenInvalid)
    }

    /// Whether the fault is a peer's provable one, for which its connection is closed.
    #[must_use]
    pub const fn closes(self) -> bool {
        matches!(self.group(), FaultGroup::Protocol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_provably_wrong_content_has_consequences_beyond_its_connection() {
        let cooling: Vec<_> = FaultClass::ALL.into_iter().filter(|class| class.cools_down()).collect();
        assert_eq!(cooling, [FaultClass::ProvenInvalid]);
    }

    #[test]
    fn only_proven_peer_faults_close() {
        let closing: Vec<_> = FaultClass::ALL.into_iter().filter(|class| class.closes()).collect();
        assert_eq!(closing, [FaultClass::Malformed, FaultClass::Protocol, FaultClass::ProvenInvalid]);
        for class in [FaultClass::Local, FaultClass::Stale, FaultClass::Transport] {
            assert_eq!(class.group(), FaultGroup::Local, "{class:?} must never reach a peer's record");
        }
    }
}
