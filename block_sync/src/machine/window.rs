//! How many bytes may be asked of one peer at a time: its measured rate times its round trip, with room to grow.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::time::{Duration, Instant};

/// The window before anything is measured, and the largest floor under it later (wire 7.2).
const FIRST_WINDOW: u64 = 2_524_288;

/// The least window: a request of some small bodies.
const LEAST_WINDOW: u64 = 256 * 1024;

/// The largest window. Bounds what one fast peer can make us expect.
const LARGEST_WINDOW: u64 = 64 * 1024 * 1024;

/// Windows per bandwidth-delay product (wire 7.2): room for the rate to be measured higher.
const GAIN: u64 = 3;

/// The window is at least what the peer delivers in so many seconds, up to [`FIRST_WINDOW`]: a slow peer is given no
/// more low heights than it can bring before others wait for them.
const FLOOR_SECONDS: u64 = 4;

/// Rate and round trip are those of the last one to two of these (wire 7.2 has 10 s filters).
const FILTER: Duration = Duration::from_secs(5);

/// The shortest interval a rate is reckoned over: bodies read in one go would measure our memory.
const LEAST_INTERVAL: Duration = Duration::from_millis(2);

/// Reliability of a peer that never failed.
pub(crate) const FULLY_RELIABLE: u32 = 1_000;

/// The best of the newest values, in constant space.
#[derive(Debug, Default)]
struct Recent {
    since: Option<Instant>,
    current: Option<u64>,
    previous: Option<u64>,
}

impl Recent {
    fn record(&mut self, now: Instant, value: u64, best: fn(u64, u64) -> u64) {
        let age = self.since.map_or(Duration::MAX, |since| now.saturating_duration_since(since));
        if age >= FILTER {
            let is_stale = age >= FILTER.saturating_mul(2);
            self.previous = self.current.take().filter(|_| !is_stale);
            self.since = Some(now);
        }
        self.current = Some(self.current.map_or(value, |current| best(current, value)));
    }

    fn best(&self, best: fn(u64, u64) -> u64) -> Option<u64> {
        match (self.current, self.previous) {
            (Some(current), Some(previous)) => Some(best(current, previous)),
            (one, other) => one.or(other),
        }
    }
}

/// What was known when a request was sent, to be compared with its answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    at: Instant,
    delivered: u64,
    delivered_at: Instant,
    /// Whether the round trip was taken from it already.
    is_timed: bool,
}

/// One peer's delivery, measured.
#[derive(Debug)]
pub(super) struct Window {
    rate: Recent,
    round_trip: Recent,
    reliability: u32,
    delivered: u64,
    delivered_at: Option<Instant>,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            rate: Recent::default(),
            round_trip: Recent::default(),
            reliability: FULLY_RELIABLE,
            delivered: 0,
            delivered_at: None,
        }
    }
}

impl Window {
    /// A request goes out; `is_idle` if nothing else is in flight, so that idle time is not taken for slowness.
    pub(super) fn sent(&mut self, now: Instant, is_idle: bool) -> Sent {
        let delivered_at = if is_idle { now } else { self.delivered_at.unwrap_or(now) };
        self.delivered_at = Some(delivered_at);
        Sent { at: now, delivered: self.delivered, delivered_at, is_timed: false }
    }

    /// A body arrived that this request asked for.
    pub(super) fn delivered(&mut self, now: Instant, bytes: u64, sent: &mut Sent) {
        self.delivered = self.delivered.saturating_add(bytes);
        self.delivered_at = Some(now);
        let interval = now.saturating_duration_since(sent.delivered_at).max(LEAST_INTERVAL);
        let amount = self.delivered.saturating_sub(sent.delivered);
        self.rate.record(now, per_second(amount, interval), u64::max);
        if !sent.is_timed {
            sent.is_timed = true;
            let trip = now.saturating_duration_since(sent.at).as_micros();
            self.round_trip.record(now, u64::try_from(trip).unwrap_or(u64::MAX), u64::min);
        }
        self.reliability = self.reliability.saturating_mul(9).saturating_add(FULLY_RELIABLE) / 10;
    }

    /// A request ran out of time, or was refused (wire 7.2: times 0.85).
    pub(super) const fn failed(&mut self) {
        self.reliability = self.reliability.saturating_mul(85) / 100;
    }

    /// Bytes that may be in flight.
    pub(super) fn bytes(&self) -> u64 {
        let (Some(rate), Some(trip)) = (self.rate(), self.round_trip.best(u64::min)) else {
            return FIRST_WINDOW;
        };
        let product = rate.saturating_mul(trip) / 1_000_000;
        let full = product.saturating_mul(GAIN).saturating_mul(u64::from(self.reliability));
        let window = full.checked_div(u64::from(FULLY_RELIABLE)).unwrap_or(0);
        let least = rate.saturating_mul(FLOOR_SECONDS).clamp(LEAST_WINDOW, FIRST_WINDOW);
        window.clamp(least, LARGEST_WINDOW)
    }

    /// Bytes a second, once measured.
    pub(super) fn rate(&self) -> Option<u64> {
        self.rate.best(u64::max)
    }

    /// From a request to its first body, once measured.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip.best(u64::min).map(Duration::from_micros)
    }

    /// How often it kept its word lately, of [`FULLY_RELIABLE`].
    pub(super) const fn reliability(&self) -> u32 {
        self.reliability
    }
}

fn per_second(bytes: u64, interval: Duration) -> u64 {
    let micros = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX);
    bytes.saturating_mul(1_000_000).checked_div(micros).unwrap_or(0)
}

const _: () = assert!(LEAST_WINDOW <= FIRST_WINDOW && FIRST_WINDOW <= LARGEST_WINDOW);

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "an overflow in a test fails the test")]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    /// A peer of this rate and round trip that is kept busy for a while.
    fn steady(rate: u64, trip: Duration, seconds: u32) -> Window {
        let start = tokio::time::Instant::now().into_std();
        let (mut window, mut inflight) = (Window::default(), std::collections::VecDeque::new());
        for step in 0..seconds * 1000 {
            let now = start + MILLI * step;
            let is_idle = inflight.is_empty();
            inflight.push_back((now + trip, window.sent(now, is_idle)));
            while inflight.front().is_some_and(|(due, _)| *due <= now) {
                let (_, mut sent) = inflight.pop_front().unwrap();
                window.delivered(now, rate / 1000, &mut sent);
            }
        }
        window
    }

    #[test]
    fn the_window_is_three_bandwidth_delay_products() {
        let window = steady(100_000_000, MILLI * 50, 3);
        let rate = window.rate().unwrap();
        assert!((95_000_000..115_000_000).contains(&rate), "{rate}");
        assert_eq!(window.round_trip(), Some(MILLI * 50));
        assert!((14_000_000..17_000_000).contains(&window.bytes()), "{}", window.bytes());
    }

    #[test]
    fn a_slow_peer_holds_little_and_a_new_one_the_first_window() {
        assert_eq!(Window::default().bytes(), FIRST_WINDOW);
        assert_eq!(steady(20_000, MILLI * 500, 5).bytes(), LEAST_WINDOW);
    }

    #[test]
    fn failures_shrink_and_deliveries_heal() {
        let mut window = steady(100_000_000, MILLI * 50, 1);
        let before = window.bytes();
        (0..4).for_each(|_| window.failed());
        assert!(window.bytes() < before * 6 / 10);
        let now = tokio::time::Instant::now().into_std();
        for _ in 0..60 {
            let mut sent = window.sent(now, true);
            window.delivered(now + MILLI * 50, 1_000, &mut sent);
        }
        assert!(window.reliability() > 980);
    }
}
