//! Peers proven guilty, as a service's status shows them.

use crate::{PeerId, Violation};
use std::collections::VecDeque;

/// Convictions remembered. Identities cost an attacker nothing, so without a bound they would fill our memory.
const MOST: usize = 64;

/// A peer's proven fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conviction {
    /// Who.
    pub peer: PeerId,
    /// The rule's name, from the code and never from the peer.
    pub rule: &'static str,
    /// What was seen.
    pub evidence: String,
}

/// The latest 64 convictions, oldest first.
#[derive(Debug, Default)]
pub struct Convictions(VecDeque<Conviction>);

impl Convictions {
    /// Remembers one, and forgets the oldest if there are too many.
    pub fn add(&mut self, peer: PeerId, violation: &Violation) {
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        let (rule, evidence) = (violation.rule(), violation.evidence().to_owned());
        self.0.push_back(Conviction { peer, rule, evidence });
    }

    /// How full it is.
    #[cfg(feature = "simulation")]
    #[must_use]
    pub fn fill(&self, name: &'static str) -> crate::routine::Fill {
        crate::routine::Fill::new(name, self.0.len(), MOST)
    }

    /// All of them, for a status.
    #[must_use]
    pub fn to_vec(&self) -> Vec<Conviction> {
        self.0.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_kept() {
        let mut convictions = Convictions::default();
        for n in 0..70 {
            convictions.add(PeerId::new([n; 32]), &Violation::protocol("rule", format!("{n}")));
        }
        let kept = convictions.to_vec();
        assert_eq!(
            (kept.len(), kept[0].evidence.as_str(), kept[63].peer),
            (MOST, "6", PeerId::new([69; 32]))
        );
    }
}
