//! The record of one connection, for everybody to read. Its lock covers moving a value in or copying values out.

use super::{
    Flight, FlightEvent, Phase, StreamEnd,
    flight::{Log, Stream},
};
use crate::{CloseReason, PeerId, PeerInfo, StreamKind};
use parking_lot::Mutex;
use std::{collections::BTreeMap, time::Instant};

/// Records what happens on one connection. Only rare events: nothing is recorded for a frame that is in order.
#[derive(Debug)]
pub(crate) struct Recorder {
    peer: PeerInfo,
    begun: Instant,
    log: Mutex<Log>,
}

impl Recorder {
    pub(crate) fn new(peer: PeerInfo, now: Instant) -> Self {
        let mut log = Log::new();
        log.note(now, FlightEvent::Connected);
        log.note(now, FlightEvent::Agreed(peer.capabilities));
        Self { peer, begun: now, log: Mutex::new(log) }
    }

    pub(crate) const fn peer(&self) -> PeerId {
        self.peer.id
    }

    /// When the connection was made.
    pub(crate) const fn begun(&self) -> Instant {
        self.begun
    }

    pub(crate) fn note(&self, now: Instant, event: FlightEvent) {
        self.log.lock().note(now, event);
    }

    /// Notes what the streams have come to.
    pub(crate) fn streams(
        &self,
        now: Instant,
        phases: impl Iterator<Item = (StreamKind, &'static str, Phase)>,
    ) {
        let mut log = self.log.lock();
        for (kind, name, phase) in phases {
            log.stream(now, kind, name, phase);
        }
    }

    pub(crate) fn session_over(&self, kind: StreamKind, end: StreamEnd) {
        self.log.lock().session_over(kind, end);
    }

    pub(crate) fn over(&self, now: Instant, reason: &CloseReason) {
        self.log.lock().over(now, reason);
    }

    pub(super) fn stream_states(&self) -> BTreeMap<StreamKind, Stream> {
        self.log.lock().streams.clone()
    }

    pub(crate) fn flight(&self) -> Flight {
        self.log.lock().flight(self.peer.clone(), self.begun)
    }
}
