//! Which streams there are.

/// Kind and version of header sync (wire 4.1).
pub const HEADER_SYNC: (u16, u16) = (5, 8);

/// Kind and version of block sync (wire 4.1).
pub const BLOCK_SYNC: (u16, u16) = (6, 2);

/// A block hash in internal byte order.
pub type Hash = [u8; 32];
