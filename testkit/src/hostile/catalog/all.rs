//! The list.

use super::{blocks, bodies, frames, handshake, headers, pages, silence, streams};
use crate::hostile::Act;

/// Every act, in the order of the house: handshake, streams, frames, headers, bodies, silence.
#[must_use]
pub fn catalog() -> Vec<Act> {
    [
        handshake::acts(),
        streams::acts(),
        frames::acts(),
        headers::acts(),
        pages::acts(),
        blocks::acts(),
        bodies::acts(),
        silence::acts(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_have_their_group_in_front() {
        let acts = catalog();
        let names: BTreeSet<_> = acts.iter().map(|act| act.name).collect();
        assert_eq!(names.len(), acts.len());
        assert!(acts.iter().all(|act| act.name.contains('/') && !act.breaks.is_empty()));
    }
}
