//! Named peers that do not answer: redialled every half minute at most, and told of much less often.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use zakura_transport::PeerId;

/// How long the same line about the same peer is not repeated.
const QUIET: Duration = Duration::from_secs(600);

/// What was said last about each peer that cannot be reached. Only named peers are dialled, so they bound it.
#[derive(Debug, Default)]
pub(super) struct Unreachable(BTreeMap<PeerId, (String, Instant)>);

impl Unreachable {
    /// Whether this line about a peer is worth saying: another reason than before, or a reminder. It counts as said.
    pub(super) fn is_news(&mut self, peer: PeerId, line: &str, now: Instant) -> bool {
        let said = self.0.get(&peer);
        let is_known = |(said, at): &(String, Instant)| said == line && now.duration_since(*at) < QUIET;
        if said.is_some_and(is_known) {
            return false;
        }
        self.0.insert(peer, (line.to_owned(), now));
        true
    }

    /// The peer is connected: the next failure is news.
    pub(super) fn met(&mut self, peer: PeerId) {
        self.0.remove(&peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_said_once_and_then_every_ten_minutes() {
        let (mut unreachable, peer) = (Unreachable::default(), PeerId::new([1; 32]));
        let start = tokio::time::Instant::now().into_std();
        let mut said = |line, seconds| unreachable.is_news(peer, line, start + Duration::from_secs(seconds));
        assert!(said("timed out", 0));
        assert!(!said("timed out", 30));
        assert!(said("refused", 60), "another reason");
        assert!(!said("refused", 659));
        assert!(said("refused", 660), "a reminder");
        assert!(!said("refused", 690));
        unreachable.met(peer);
        assert!(
            unreachable.is_news(peer, "refused", start + Duration::from_secs(700)),
            "it was here meanwhile"
        );
        assert!(unreachable.is_news(PeerId::new([2; 32]), "refused", start), "another peer");
    }
}
