//! Block sync as a service of the transport, and the handle to it.

use crate::{
    config::BlockSyncConfig,
    machine::{Event, Guidance, News, PeerMachine, Terms},
    ports::{BlockStore, Wanted},
    reactor::{Actor, Outlets, State},
    status::BlockSyncStatus,
    wire::{Limits, STREAM},
};
use std::sync::Arc;
use zakura_header_sync::{chain::BlockRef, ports::HeaderView};
use zakura_transport::{
    Capabilities, Exit, Service, Session, Spawner, StreamSpec,
    routine::{Ends, EventSender, Published, RangeQueue, WorkPool, drive, events, inlet, publish},
};

/// Events on their way from all sessions to the reactor; one place of each session's is kept for its last.
const EVENTS: usize = 2_048;

/// Instructions on their way to one session: it has one read open at most, is convicted once, and doubted once a check.
const INSTRUCTIONS: usize = 32;

/// Fetches and serves block bodies, one session a peer (stream kind 6).
pub struct BlockSync {
    store: Arc<dyn BlockStore>,
    limits: Limits,
    queue: RangeQueue<Wanted>,
    events: EventSender<Event>,
    guidance: Published<Guidance>,
}

impl std::fmt::Debug for BlockSync {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockSync").field("queue", &self.queue).finish_non_exhaustive()
    }
}

/// What block sync tells the rest of the node. Clones tell the same.
#[derive(Debug, Clone)]
pub struct BlockSyncHandle {
    committed: Published<BlockRef>,
    status: Published<BlockSyncStatus>,
}

impl BlockSyncHandle {
    /// The committed body: changes after each durable commit, once [`status`](Self::status) shows it.
    #[must_use]
    pub fn committed(&self) -> Published<BlockRef> {
        self.committed.clone()
    }

    /// Where block sync stands. Drawn up at each commit, and else a tenth of a second after a change at the latest.
    #[must_use]
    pub fn status(&self) -> BlockSyncStatus {
        self.status.get()
    }
}

impl BlockSync {
    /// Starts the reactor on `spawner` as the critical task `block-sync`; it ends when this service and all its sessions are
    /// gone. Calls of `store` that may take time run on `pool`.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[must_use]
    pub fn new(
        store: Arc<dyn BlockStore>,
        views: Published<HeaderView>,
        config: BlockSyncConfig,
        pool: WorkPool,
        spawner: &Spawner,
    ) -> (Self, BlockSyncHandle) {
        let acknowledged = store.acknowledged();
        let limits = config.limits();
        let start = tokio::time::Instant::now().into_std();
        let mut state = State::new(start, config, views.get(), acknowledged);
        let queue = RangeQueue::new(acknowledged.height.into());
        let (sender, events) = events(EVENTS);
        let (to_machines, guidance) = publish(state.guidance(start));
        let (to_committed, committed) = publish(acknowledged);
        let (to_status, status) = publish(state.status());
        let outlets = Outlets { guidance: to_machines, committed: to_committed, status: to_status };
        let service =
            Self { store: Arc::clone(&store), limits, queue: queue.clone(), events: sender, guidance };
        spawner
            .spawn_critical(STREAM.name, Actor { state, store, pool, queue, events, views, outlets }.run());
        (service, BlockSyncHandle { committed, status })
    }
}

impl Service for BlockSync {
    fn streams(&self) -> Vec<StreamSpec> {
        vec![STREAM]
    }

    async fn run(&self, session: Session) -> Exit {
        const GONE: Exit = Exit::Local("block sync's reactor has ended");
        let (generation, peer) = (session.generation, session.peer.id);
        let (mailbox, inlet) = inlet(INSTRUCTIONS);
        // The last word is kept ready before the first is said, so that a session that was heard of always ends.
        let Some(_farewell) = self.events.farewell(Event { session: generation, news: News::Left }).await
        else {
            return GONE;
        };
        let joined = Event { session: generation, news: News::Joined { peer, mailbox } };
        if self.events.send(joined).await.is_err() {
            return GONE;
        }
        let store = Arc::clone(&self.store);
        let machine = PeerMachine::new(Terms {
            session: generation,
            is_own: session.peer.capabilities.contains(Capabilities::UNPACED),
            limits: self.limits,
            identify: Arc::new(move |raw| store.identify(raw)),
        });
        let (state, events) = (self.guidance.clone(), self.events.clone());
        drive(machine, session, Ends { state, inlet, events, work: Some(self.queue.clone()) }).await
    }
}
