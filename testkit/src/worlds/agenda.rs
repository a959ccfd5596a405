//! What happens next: by time, and among things of one instant by the seed's whim.

use rand_chacha::ChaCha8Rng;
use rand_core::Rng;
use std::collections::BTreeMap;

/// Events to come.
#[derive(Debug)]
pub struct Agenda<E> {
    entries: BTreeMap<(u64, u32, u64), E>,
    whim: ChaCha8Rng,
    entered: u64,
}

impl<E> Agenda<E> {
    /// Nothing yet.
    #[must_use]
    pub const fn new(whim: ChaCha8Rng) -> Self {
        Self { entries: BTreeMap::new(), whim, entered: 0 }
    }

    /// Enters an event. What is entered for one instant happens in an order that only the seed knows.
    pub fn enter(&mut self, at: u64, event: E) {
        self.entered = self.entered.saturating_add(1);
        self.entries.insert((at, self.whim.next_u32(), self.entered), event);
    }

    /// Enters an event that happens after all that was so entered for the same instant.
    pub fn enter_in_order(&mut self, at: u64, event: E) {
        self.entered = self.entered.saturating_add(1);
        self.entries.insert((at, u32::MAX / 2, self.entered), event);
    }

    /// The next event and its time.
    pub fn take_next(&mut self) -> Option<(u64, E)> {
        self.entries.pop_first().map(|((at, ..), event)| (at, event))
    }

    /// When the next event is.
    #[must_use]
    pub fn next_at(&self) -> Option<u64> {
        self.entries.first_key_value().map(|((at, ..), _)| *at)
    }

    /// How many events are entered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing will happen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Seed;

    fn order(seed: u64) -> Vec<u8> {
        let mut agenda = Agenda::new(Seed::root(seed).rng());
        (0..20).for_each(|event| agenda.enter(5, event));
        agenda.enter(4, 100);
        std::iter::from_fn(|| agenda.take_next()).map(|(_, event)| event).collect()
    }

    #[test]
    fn time_comes_first_and_the_seed_decides_the_rest() {
        assert_eq!(order(1).first(), Some(&100));
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
    }

    #[test]
    fn what_is_in_order_stays_in_order() {
        let mut agenda = Agenda::new(Seed::root(1).rng());
        (0..20).for_each(|event| agenda.enter_in_order(5, event));
        let order: Vec<u8> = std::iter::from_fn(|| agenda.take_next()).map(|(_, event)| event).collect();
        assert_eq!(order, (0..20).collect::<Vec<_>>());
    }
}
