//! Header sync as a service of the transport.

use crate::{
    chain::BlockRef,
    config::HeaderSyncConfig,
    handle::{HeaderSyncHandle, HeaderSyncStatus},
    machine::{Event, Input, PeerMachine, Report, Rules, Segment, Settings},
    ports::HeaderChain,
    reactor::{Actor, Desk, EVENT_DEPTH, Outlets, our_status},
    wire::{MAX_MESSAGE_BYTES, PAYLOAD_CAPS, Status, headers_per_message},
};
use std::{sync::Arc, time::Duration};
use zakura_transport::{
    Capabilities, Exit, Fence, Mode, Opener, PeerId, Service, Session, Spawner, StreamKind, StreamSpec,
    lifecycle::Reactor,
    routine::{
        Ends, EventReceiver, EventSender, Inlet, Published, RangeQueue, WorkPool, drive, events, inlet,
        publish,
    },
    wire::FRAME_HEADER_BYTES,
};

/// Instructions that wait for one routine. At most one order, one served page, one verdict and a rest are under way.
pub(crate) const INLET_DEPTH: usize = 8;

/// The name of the stream and of the reactor.
const NAME: &str = "header_sync";

/// Frames a second accepted from a peer (wire 4.6).
const FRAMES_PER_SECOND: u32 = 2_048;

/// Header sync, stream kind 5 version 8, both roles.
#[derive(Debug)]
pub struct HeaderSync {
    rules: Rules,
    settings: Settings,
    pub(crate) queue: RangeQueue<Segment>,
    pub(crate) events: EventSender<Report>,
    ours: Published<Status>,
}

impl HeaderSync {
    /// Starts the reactor over an embedder's chain. The service is to be registered with the transport; the handle shows
    /// what it does. The reactor ends once the service and its sessions are gone.
    ///
    /// The pool should have room for 64 sessions: 16 targets are weighed or checked, 8 queries served and one batch stored
    /// at once; with less, work waits or is tried again.
    ///
    /// Settings out of range are brought into it: at least one header a page and no more than a message holds, at least
    /// one target and one segment, at least a second for a page.
    #[must_use]
    pub fn new(
        chain: Arc<dyn HeaderChain>,
        config: HeaderSyncConfig,
        pool: WorkPool,
        spawner: &Spawner,
    ) -> (Self, HeaderSyncHandle) {
        let (service, handle, reactor) = Self::prepare(chain, config, pool);
        reactor.spawn(spawner);
        (service, handle)
    }

    /// What [`new`](Self::new) makes, with the reactor as a value, for a node that starts and stops it in its own order.
    #[must_use]
    pub fn prepare(
        chain: Arc<dyn HeaderChain>,
        config: HeaderSyncConfig,
        pool: WorkPool,
    ) -> (Self, HeaderSyncHandle, Reactor) {
        let Parts { service, desk, handle, events, floor } = parts(chain, &config);
        (service, handle, Reactor::new(NAME, Actor { desk, pool, events, floor }.run()))
    }

    /// A machine for a session, and what joins it to the reactor; its mailbox goes to the reactor first.
    pub(crate) fn routine(
        &self,
        (from, peer): (Fence, PeerId),
        inlet: Inlet<Input>,
    ) -> (PeerMachine, Ends<PeerMachine>) {
        let machine = PeerMachine::new(peer, from, self.rules.clone(), self.settings);
        let (state, events) = (self.ours.clone(), self.events.clone());
        (machine, Ends { state, inlet, events, work: Some(self.queue.clone()) })
    }
}

/// Header sync before anything runs.
pub(crate) struct Parts {
    pub(crate) service: HeaderSync,
    pub(crate) desk: Desk,
    pub(crate) handle: HeaderSyncHandle,
    pub(crate) events: EventReceiver<Report>,
    pub(crate) floor: Published<Option<BlockRef>>,
}

/// Puts the parts together.
pub(crate) fn parts(chain: Arc<dyn HeaderChain>, config: &HeaderSyncConfig) -> Parts {
    let view = chain.view();
    let fit = u32::try_from(headers_per_message(chain.header_bytes())).unwrap_or(u32::MAX);
    let page_headers = config.page_headers.clamp(1, fit);
    let settings = Settings {
        page_headers,
        page_timeout: config.page_timeout.max(Duration::from_secs(1)),
        segment_timeout: config.segment_timeout.max(Duration::from_secs(1)),
    };
    let (rules, queue) = (Rules::of(&chain), RangeQueue::new(0));
    let (ours_out, ours) = publish(our_status(&view, page_headers));
    let (views_out, views) = publish(view);
    let (status_out, status) = publish(Arc::new(HeaderSyncStatus::default()));
    let (to_floor, floor) = publish(None);
    let (sender, events) = events(EVENT_DEPTH);
    let outlets = Outlets { ours: ours_out, views: views_out, status: status_out };
    let desk = Desk::new(chain, config, page_headers, queue.clone(), outlets);
    let handle = HeaderSyncHandle {
        #[cfg(feature = "simulation")]
        queue: queue.clone(),
        views,
        status,
        floor: Arc::new(to_floor),
    };
    let service = HeaderSync { rules, settings, queue, events: sender, ours };
    Parts { service, desk, handle, events, floor }
}

/// Stream kind 5 version 8 (wire 4.1, 5.2).
pub(crate) fn stream() -> StreamSpec {
    StreamSpec {
        name: NAME,
        kind: StreamKind::HEADER_SYNC,
        version: 8,
        capability: Capabilities::HEADER_SYNC,
        mode: Mode::Ordered,
        max_frame: u32::try_from(MAX_MESSAGE_BYTES.saturating_add(FRAME_HEADER_BYTES)).unwrap_or(u32::MAX),
        payload_caps: PAYLOAD_CAPS,
        opener: Opener::Initiator,
        frames_per_second: FRAMES_PER_SECOND,
    }
}

const REACTOR_GONE: Exit = Exit::Local("header sync has ended");

impl Service for HeaderSync {
    fn streams(&self) -> Vec<StreamSpec> {
        vec![stream()]
    }

    async fn run(&self, session: Session) -> Exit {
        let (from, peer) = (session.generation, session.peer.id);
        // Kept to the end: the reactor hears that the session is gone whatever happens to this task.
        let Some(mut farewell) = self.events.farewell(Report { from, event: Event::Left(None) }).await else {
            return REACTOR_GONE;
        };
        let (mailbox, inlet) = inlet(INLET_DEPTH);
        if self.events.send(Report { from, event: Event::Joined { peer, mailbox } }).await.is_err() {
            return REACTOR_GONE;
        }
        let (machine, ends) = self.routine((from, peer), inlet);
        let exit = drive(machine, session, ends).await;
        if let Some(report) = farewell.event_mut() {
            report.event = Event::Left(Some(exit.clone()));
        }
        exit
    }
}
