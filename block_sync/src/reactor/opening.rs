//! The moment before the first body is asked for.
//!
//! Peers connect and headers arrive over some tenths of a second. Who connects first would be asked for most of a short
//! chain before the others are there, so a node that begins waits until the picture stands still. It does so once.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::time::{Duration, Instant};
use zakura_header_sync::chain::Height;

/// How long the picture must stand still: a few round trips on a good link.
const QUIET: Duration = Duration::from_millis(50);

/// How long the wait may last in all: claims of peers hold nothing up for longer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bodies of which the first requests are a small part, so that nothing is gained by waiting.
const MANY: u64 = 4_096;

/// What is known of peers and headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Picture {
    /// Sessions there are.
    pub(super) sessions: usize,
    /// The best header.
    pub(super) tip: Height,
    /// The highest body that a peer claims to have.
    pub(super) claimed: Option<Height>,
    /// Bodies that are missing.
    pub(super) missing: u64,
}

/// Whether bodies may be asked for yet.
#[derive(Debug, Default)]
pub(super) struct Opening {
    is_over: bool,
    /// Since when there is anybody to ask.
    began: Option<Instant>,
    /// The picture, and since when it stands.
    stands: Option<(Picture, Instant)>,
}

impl Opening {
    /// Looks again; true once and for all when bodies may be asked for.
    pub(super) fn look(&mut self, now: Instant, picture: Picture) -> bool {
        if self.is_over {
            return true;
        }
        if picture.sessions == 0 {
            (self.began, self.stands) = (None, None);
            return false;
        }
        let began = *self.began.get_or_insert(now);
        let (_, since) = self.stands.filter(|(seen, _)| *seen == picture).unwrap_or((picture, now));
        self.stands = Some((picture, since));
        let is_whole = picture.claimed.is_some_and(|claimed| claimed <= picture.tip);
        self.is_over = picture.missing > MANY
            || now.saturating_duration_since(began) >= PATIENCE
            || (is_whole && now.saturating_duration_since(since) >= QUIET);
        self.is_over
    }

    /// Whether it is over, as of the last look.
    #[cfg(feature = "simulation")]
    pub(super) const fn is_over(&self) -> bool {
        self.is_over
    }

    /// When to look again though nothing happens.
    pub(super) fn until(&self) -> Option<Instant> {
        let (began, (picture, since)) = self.began.zip(self.stands).filter(|_| !self.is_over)?;
        let is_whole = picture.claimed.is_some_and(|claimed| claimed <= picture.tip);
        let (from, wait) = if is_whole { (since, QUIET) } else { (began, PATIENCE) };
        from.checked_add(wait).min(began.checked_add(PATIENCE))
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "an overflow in a test fails the test")]
mod tests {
    use super::*;

    fn picture(sessions: usize, tip: u32, claimed: u32) -> Picture {
        let height = |number| Height::new(number).unwrap();
        Picture { sessions, tip: height(tip), claimed: Some(height(claimed)), missing: tip.into() }
    }

    fn start() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    #[test]
    fn it_waits_for_the_picture_to_stand_still_once() {
        let (mut opening, start) = (Opening::default(), start());
        assert!(!opening.look(start, picture(0, 0, 0)));
        assert_eq!(opening.until(), None, "there is nobody to wait for");
        assert!(!opening.look(start, picture(1, 100, 100)));
        assert!(!opening.look(start + QUIET / 2, picture(2, 100, 100)), "a second peer came");
        assert_eq!(opening.until(), Some(start + QUIET / 2 + QUIET));
        assert!(!opening.look(start + QUIET, picture(2, 100, 100)));
        assert!(opening.look(start + QUIET / 2 + QUIET, picture(2, 100, 100)));
        assert!(opening.look(start + QUIET * 2, picture(3, 101, 900)), "it is over for good");
        assert_eq!(opening.until(), None);
    }

    #[test]
    fn when_everybody_has_left_there_is_nothing_to_wake_for() {
        let (mut opening, start) = (Opening::default(), start());
        assert!(!opening.look(start, picture(1, 100, 100)));
        assert!(!opening.look(start + QUIET * 2, picture(0, 100, 100)));
        assert_eq!(opening.until(), None);
        assert!(!opening.look(start + QUIET * 9, picture(1, 100, 100)), "it begins anew");
        assert!(opening.look(start + QUIET * 10, picture(1, 100, 100)));
    }

    #[test]
    fn a_claim_holds_nothing_up_for_long() {
        let (mut opening, start) = (Opening::default(), start());
        assert!(!opening.look(start, picture(1, 100, 1_000_000)));
        assert!(!opening.look(start + QUIET * 4, picture(1, 100, 1_000_000)));
        assert_eq!(opening.until(), Some(start + PATIENCE));
        assert!(opening.look(start + PATIENCE, picture(1, 100, 1_000_000)));
    }

    #[test]
    fn a_long_chain_is_begun_at_once() {
        let long = u32::try_from(MANY).unwrap() + 1;
        assert!(Opening::default().look(start(), picture(1, long, long * 2)));
    }
}
