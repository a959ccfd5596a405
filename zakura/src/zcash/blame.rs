//! Whose fault a refusal is.

/// What a refused header or body says about the peer that sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// Proven invalid from the bytes alone: the connection is closed with the bytes as evidence.
    Proven,
    /// Not what we follow now, though an honest peer with another clock could send it.
    Undesired,
    /// Our own limit (an unknown format, missing ancestors): never counts against a peer.
    Local,
}
