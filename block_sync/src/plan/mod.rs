//! Who should be asked for how much, and how long to wait: pure arithmetic.
//!
//! * [`budget`]: which heights may be asked for now, against what is in flight and what is retained.
//! * [`sizing`]: how many bodies and bytes one request names, so that no peer runs away with a short chain.
//! * [`patience`]: deadlines, the floor's short leash, and how long a refusal keeps a peer away.

pub(crate) mod budget;
pub(crate) mod patience;
pub(crate) mod sizing;
