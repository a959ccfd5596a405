//! Block sync as a service of the transport, and the handle to it.

use crate::{
    config::BlockSyncConfig,
    machine::{Event, Guidance, Input, News, PeerMachine, Terms},
    ports::{BlockStore, Wanted},
    reactor::{Actor, Desk, Outlets, State},
    status::BlockSyncStatus,
    wire::{Limits, STREAM},
};
use std::{fmt, sync::Arc, time::Instant};
use tokio::sync::broadcast::{self, error::RecvError};
use zakura_header_sync::{chain::BlockRef, ports::HeaderView};
#[cfg(feature = "simulation")]
use zakura_transport::routine::Counts;
use zakura_transport::{
    Capabilities, Exit, Fence, Service, Session, Spawner, StreamSpec,
    lifecycle::Reactor,
    routine::{
        Ends, EventReceiver, EventSender, Inlet, Published, RangeQueue, WorkPool, drive, events, inlet,
        publish,
    },
};

/// Events on their way from all sessions to the reactor; one place of each session's is kept for its last.
const EVENTS: usize = 2_048;

/// Instructions on their way to one session: it has one read open at most, is convicted once, and doubted once a check.
pub(crate) const INSTRUCTIONS: usize = 32;

/// Fetches and serves block bodies, one session a peer (stream kind 6).
pub struct BlockSync {
    store: Arc<dyn BlockStore>,
    limits: Limits,
    pub(crate) queue: RangeQueue<Wanted>,
    pub(crate) events: EventSender<Event>,
    guidance: Published<Guidance>,
}

impl fmt::Debug for BlockSync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockSync").field("queue", &self.queue).finish_non_exhaustive()
    }
}

/// Commits kept for a slow listener; it is told how many it missed beyond them.
const COMMITS: usize = 1_024;

/// Why there is no next commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommitsError {
    /// The listener was too slow and this many are lost: read [`BlockSyncHandle::committed`].
    #[error("{0} commits were missed")]
    Missed(u64),
    /// Block sync has ended.
    #[error("block sync has ended")]
    Closed,
}

/// Every durable commit from now on, by the highest body it made durable.
#[derive(Debug)]
pub struct Commits(Option<broadcast::Receiver<BlockRef>>);

impl Commits {
    /// Whether every commit so far has been taken. A commit is here before [`BlockSyncHandle::committed`] shows it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(broadcast::Receiver::is_empty)
    }

    /// The next commit. Cancel-safe. After a reorg it may be lower than the one before.
    ///
    /// # Errors
    ///
    /// [`CommitsError`]; after `Missed` the next commit is the oldest one kept.
    pub async fn recv(&mut self) -> Result<BlockRef, CommitsError> {
        let Some(commits) = &mut self.0 else { return Err(CommitsError::Closed) };
        commits.recv().await.map_err(|error| match error {
            RecvError::Lagged(count) => CommitsError::Missed(count),
            RecvError::Closed => CommitsError::Closed,
        })
    }
}

/// What block sync tells the rest of the node. Clones tell the same.
#[derive(Debug, Clone)]
pub struct BlockSyncHandle {
    #[cfg(feature = "simulation")]
    pub(crate) queue: RangeQueue<Wanted>,
    committed: Published<BlockRef>,
    commits: broadcast::WeakSender<BlockRef>,
    status: Published<BlockSyncStatus>,
}

impl BlockSyncHandle {
    /// The work queue's keys, if its invariants hold.
    ///
    /// # Errors
    ///
    /// The rule that does not.
    #[cfg(feature = "simulation")]
    pub fn work(&self) -> Result<Counts, String> {
        self.queue.check_invariants().map(|()| self.queue.counts())
    }

    /// Every durable commit from now on, none left out.
    #[must_use]
    pub fn commits(&self) -> Commits {
        Commits(self.commits.upgrade().map(|commits| commits.subscribe()))
    }

    /// The committed body: changes after each durable commit, once [`status`](Self::status) shows it. Commits that follow
    /// one another quickly may show as one.
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
        let (service, handle, reactor) = Self::prepare(store, views, config, pool);
        reactor.spawn(spawner);
        (service, handle)
    }

    /// What [`new`](Self::new) makes, with the reactor as a value, for a node that starts and stops it in its own order.
    #[must_use]
    pub fn prepare(
        store: Arc<dyn BlockStore>,
        views: Published<HeaderView>,
        config: BlockSyncConfig,
        pool: WorkPool,
    ) -> (Self, BlockSyncHandle, Reactor) {
        let start = tokio::time::Instant::now().into_std();
        let Parts { service, desk, handle, events } = parts(start, store, views.get(), config);
        (service, handle, Reactor::new(STREAM.name, Actor { desk, pool, events, views }.run()))
    }

    /// A machine for a session, and what joins it to the reactor; its mailbox goes to the reactor first.
    pub(crate) fn routine(
        &self,
        session: Fence,
        capabilities: Capabilities,
        inlet: Inlet<Input>,
    ) -> (PeerMachine, Ends<PeerMachine>) {
        let store = Arc::clone(&self.store);
        let machine = PeerMachine::new(Terms {
            session,
            is_own: capabilities.contains(Capabilities::UNPACED),
            limits: self.limits,
            identify: Arc::new(move |raw| store.identify(raw)),
        });
        let (state, events) = (self.guidance.clone(), self.events.clone());
        (machine, Ends { state, inlet, events, work: Some(self.queue.clone()) })
    }
}

/// Block sync before anything runs.
pub(crate) struct Parts {
    pub(crate) service: BlockSync,
    pub(crate) desk: Desk,
    pub(crate) handle: BlockSyncHandle,
    pub(crate) events: EventReceiver<Event>,
}

/// Puts the parts together.
pub(crate) fn parts(
    start: Instant,
    store: Arc<dyn BlockStore>,
    view: HeaderView,
    config: BlockSyncConfig,
) -> Parts {
    let acknowledged = store.acknowledged();
    let limits = config.limits();
    let mut state = State::new(start, config, view, acknowledged);
    let queue = RangeQueue::new(acknowledged.height.into());
    let (sender, events) = events(EVENTS);
    let (to_machines, guidance) = publish(state.guidance(start));
    let (to_committed, committed) = publish(acknowledged);
    let to_commits = broadcast::Sender::new(COMMITS);
    let commits = to_commits.downgrade();
    let (to_status, status) = publish(state.status());
    let outlets =
        Outlets { guidance: to_machines, committed: to_committed, commits: to_commits, status: to_status };
    let desk = Desk::new(start, state, Arc::clone(&store), queue.clone(), outlets);
    let service = BlockSync { store, limits, queue, events: sender, guidance };
    let handle = BlockSyncHandle {
        #[cfg(feature = "simulation")]
        queue: service.queue.clone(),
        committed,
        commits,
        status,
    };
    Parts { service, desk, handle, events }
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
        let (machine, ends) = self.routine(generation, session.peer.capabilities, inlet);
        drive(machine, session, ends).await
    }
}
