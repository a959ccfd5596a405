//! What the reactor decides: events in, tasks and instructions out.

#[cfg(feature = "simulation")]
mod probe;

use super::{
    jobs::{Checked, Done, Task},
    ledger::Ledger,
    peers::Peers,
    segments::Segments,
    staging::Deliverer,
    targets::{Job, Need, Path, Targets},
};
use crate::{
    chain::{BlockHash, BlockRef, Work},
    config::HeaderSyncConfig,
    handle::HeaderSyncStatus,
    machine::{Failure, Input, OUT_OF_PATIENCE, Received, Segment, rest_after},
    ports::{Accept, Found, HeaderBatch, HeaderChain, HeaderQuery, HeaderView, Proof},
};
use std::{
    collections::{BTreeSet, VecDeque},
    time::{Duration, Instant},
};
#[cfg(feature = "simulation")]
use zakura_transport::routine::Fill;
use zakura_transport::{
    Exit, Fence, PeerId, Violation,
    routine::{Lease, RangeQueue, Skipped},
};

/// How long a tip that leads nowhere now is ignored.
const SHORT_REFUSAL: Duration = Duration::from_secs(60);

/// How long a tip that can never be ours is ignored.
const LONG_REFUSAL: Duration = Duration::from_secs(3_600);

/// Queries with the store at once: peers that ask must not crowd out our own checks and batches from the work pool.
const MAX_SERVING: usize = 8;

/// A holder of a tip that has not answered in this part of a page's time is waited for no longer: another is asked beside it
/// (5 s of wire 7.2's 30). Stops silent peers from delaying the tip by a page's time each.
const HEDGE_SHARE: u32 = 6;

/// What the shell has to do.
#[derive(Debug)]
pub(super) enum Effect {
    /// Instruct a peer's routine.
    Tell(Fence, Input),
    /// Run this on the pool and bring back its end.
    Run(Task),
}

/// Whose batch the store works on.
#[derive(Debug, Clone, Copy)]
enum Owner {
    Segments(usize),
    Target,
}

/// The shared state of header sync.
#[derive(Debug)]
pub(crate) struct State {
    view: HeaderView,
    peers: Peers,
    segments: Segments,
    targets: Targets,
    ledger: Ledger,
    /// The one batch that is with the store.
    storing: Option<(Fence, Owner)>,
    store_failures: u32,
    store_rest: Option<Instant>,
    local_fault: Option<String>,
    /// What the work pool did not do.
    pub(super) skipped: Skipped,
    /// Peers' queries in turn: at most one a session.
    queries: VecDeque<(Fence, HeaderQuery)>,
    serving: usize,
    effects: VecDeque<Effect>,
}

impl State {
    pub(super) fn new(
        config: &HeaderSyncConfig,
        page_headers: u32,
        header_bytes: usize,
        view: HeaderView,
        queue: RangeQueue<Segment>,
    ) -> Self {
        let page = usize::try_from(page_headers).unwrap_or(usize::MAX);
        Self {
            view,
            peers: Peers::default(),
            segments: Segments::new(queue, view.finalized, header_bytes, config),
            targets: Targets::new(
                config.max_targets.max(1),
                config.staged_headers.max(1),
                page,
                config.page_timeout / HEDGE_SHARE,
            ),
            ledger: Ledger::default(),
            storing: None,
            store_failures: 0,
            store_rest: None,
            local_fault: None,
            skipped: Skipped::default(),
            queries: VecDeque::new(),
            serving: 0,
            effects: VecDeque::new(),
        }
    }

    pub(super) const fn view(&self) -> HeaderView {
        self.view
    }

    pub(super) fn joined(&mut self, now: Instant, session: Fence, peer: PeerId) {
        self.peers.join(session, peer);
        if let (Some(until), Some(joined)) =
            (self.ledger.join(peer, session, now), self.peers.get_mut(session))
        {
            joined.rest(until);
            self.tell(session, Input::Rest(until));
        }
    }

    pub(super) fn left(&mut self, now: Instant, session: Fence, exit: Option<&Exit>) {
        self.targets.leave(session);
        self.queries.retain(|(asker, _)| *asker != session);
        let Some(peer) = self.peers.leave(session) else { return };
        self.ledger.leave(peer.id, session);
        match exit {
            Some(Exit::Violation(violation)) => self.ledger.convict(peer.id, violation),
            Some(Exit::Local(OUT_OF_PATIENCE)) => self.ledger.cool(peer.id, now),
            Some(Exit::Local(_) | Exit::Closed { .. } | Exit::Panicked(_)) | None => {}
        }
    }

    pub(super) fn tip(&mut self, session: Fence, tip: Option<BlockRef>) {
        if let Some(peer) = self.peers.get(session) {
            self.ledger.set_tip(peer.id, tip);
            self.peers.advertise(session, tip);
        }
    }

    pub(super) fn segment(&mut self, session: Fence, lease: Lease<Segment>, headers: Vec<Received>) {
        // The lease of a session that left is dropped here, and so returned.
        if let Some(from) = self.deliverer(session) {
            self.segments.stage(from, lease, headers);
        }
    }

    pub(super) fn page(
        &mut self,
        now: Instant,
        session: Fence,
        fence: Fence,
        page: (BlockRef, Vec<Received>, bool),
    ) {
        let Some(from) = self.deliverer(session) else { return };
        if let Some(peer) = self.peers.get_mut(session) {
            peer.delivered(now);
        }
        self.targets.page(fence, from, page);
    }

    pub(super) fn failed(&mut self, now: Instant, session: Fence, fence: Fence, why: Failure) {
        if let Some(peer) = self.peers.get_mut(session) {
            peer.failed(now);
        }
        if let Some(tip) = self.targets.failed(fence, why) {
            self.peers.disown(session, tip);
        }
    }

    pub(super) fn serve(&mut self, session: Fence, query: HeaderQuery) {
        self.queries.push_back((session, query));
        self.serve_next();
    }

    fn serve_next(&mut self) {
        while self.serving < MAX_SERVING
            && let Some((session, query)) = self.queries.pop_front()
        {
            self.serving = self.serving.saturating_add(1);
            self.effects.push_back(Effect::Run(Task::Serve(session, query)));
        }
    }

    pub(super) fn finalize(&mut self, floor: BlockRef) {
        self.effects.push_back(Effect::Run(Task::Finalize(floor)));
    }

    pub(super) fn done(&mut self, now: Instant, done: Done, chain: &dyn HeaderChain) {
        // Not the view of a batch whose end is still on its way: whoever sees the headers sees who delivered them.
        if self.storing.is_none() || matches!(done, Done::Stored(..)) {
            self.view = chain.view();
        }
        match done {
            Done::Served(session, found) => self.served(session, found),
            Done::Checked(ticket, checked) => self.checked(now, ticket, checked),
            Done::Weighed(ticket, rival) => self.weighed(now, ticket, rival, chain),
            Done::Stored(ticket, accept) => self.stored(now, ticket, accept),
            Done::Finalized => {}
        }
    }

    fn served(&mut self, session: Fence, found: Found) {
        if let (Some(peer), Found::Headers { headers, .. }) = (self.peers.get(session), &found) {
            self.ledger.served(peer.id, headers.len());
        }
        self.tell(session, Input::Served(found));
        self.serving = self.serving.saturating_sub(1);
        self.serve_next();
    }

    fn weighed(&mut self, now: Instant, ticket: Fence, rival: Option<Work>, chain: &dyn HeaderChain) {
        let Some((tip, Job::Weigh(as_of), path)) = self.targets.finished(ticket) else { return };
        match rival {
            Some(rival) => path.weighed(as_of, rival),
            // A busy pool or store: asked again before long.
            None if chain.find(&path.staged.parent().hash).is_some() => path.put_off(now),
            // The fork point left our chain while its branch was fetched.
            None => self.targets.restart(&tip),
        }
    }

    fn checked(&mut self, now: Instant, ticket: Fence, checked: Checked) {
        if self.segments.checked(ticket, checked == Checked::Passed) {
            match checked {
                Checked::Passed => {}
                // The checkpoint proves the header: it is our rules or our checkpoint that is wrong.
                Checked::Bad(_, reason) | Checked::Unable(reason) => self.store_failed(now, reason),
            }
            return;
        }
        let Some((tip, job, path)) = self.targets.finished(ticket) else { return };
        match (checked, job) {
            (Checked::Passed, Job::Check(count)) => path.staged.pass(count),
            (Checked::Bad(index, reason), _) => {
                let index = path.staged.checked().saturating_add(index);
                self.convict(now, tip, index, &reason);
            }
            (Checked::Unable(reason), _) => self.store_failed(now, reason),
            (Checked::Passed, Job::Weigh(_) | Job::Store(_)) => {}
        }
    }

    fn stored(&mut self, now: Instant, ticket: Fence, accept: Accept) {
        let Some((_, owner)) = self.storing.take_if(|(current, _)| *current == ticket) else { return };
        match owner {
            Owner::Segments(count) => self.segments_stored(now, count, accept),
            Owner::Target => self.path_stored(now, ticket, accept),
        }
    }

    fn segments_stored(&mut self, now: Instant, count: usize, accept: Accept) {
        let taken = if matches!(accept, Accept::Extended(_) | Accept::Known) { count } else { 0 };
        let shares = self.segments.stored(taken);
        match accept {
            Accept::Extended(_) => self.credit(shares),
            Accept::Known => self.store_worked(),
            Accept::Orphan | Accept::BelowFloor => self.segments.restart(&self.view),
            // Their hashes lead to a checkpoint: whoever delivered them, they are the right headers.
            Accept::NotBetter => {
                self.store_failed(now, "a checkpoint's chain has less work than ours".into())
            }
            Accept::Invalid { reason, .. } | Accept::Unavailable { reason } => self.store_failed(now, reason),
        }
    }

    fn path_stored(&mut self, now: Instant, ticket: Fence, accept: Accept) {
        let Some((tip, Job::Store(count), path)) = self.targets.finished(ticket) else { return };
        match accept {
            Accept::Extended(_) => {
                let shares = path.taken(count);
                self.credit(shares);
            }
            Accept::Known => {
                path.taken(count);
                self.store_worked();
            }
            Accept::Orphan => self.targets.restart(&tip),
            // Our chain grew meanwhile: the branch is weighed again.
            Accept::NotBetter if !path.complete && path.is_outweighed(self.view.tip) => {}
            Accept::NotBetter | Accept::BelowFloor => self.targets.refuse(tip, now + LONG_REFUSAL),
            Accept::Invalid { index, reason } => self.convict(now, tip, index, &reason),
            Accept::Unavailable { reason } => {
                path.put_off(now);
                self.held_up(reason);
            }
        }
    }

    fn credit(&mut self, shares: Vec<(Deliverer, usize)>) {
        self.store_worked();
        for (deliverer, headers) in shares {
            self.ledger.credit(deliverer.peer, headers);
            if let Some(peer) = self.peers.get_mut(deliverer.session) {
                peer.useful();
            }
        }
    }

    fn store_worked(&mut self) {
        self.store_failures = 0;
        self.local_fault = None;
    }

    /// Our own store, pool or rules stand in the way: never a peer's fault, and tried again.
    fn store_failed(&mut self, now: Instant, reason: String) {
        self.store_failures = self.store_failures.saturating_add(1);
        self.store_rest = Some(now + rest_after(self.store_failures));
        self.held_up(reason);
    }

    fn held_up(&mut self, reason: String) {
        tracing::warn!(reason, "header sync waits for its own store");
        self.local_fault = Some(reason);
    }

    /// The header at `index` of a path is proven invalid: its deliverer answers for it.
    fn convict(&mut self, now: Instant, target: BlockRef, index: usize, reason: &str) {
        let path = |path: &Path| {
            let (culprit, header) = path.staged.culprit(index)?;
            Some((culprit, format!("header {} towards {target}: {reason}", header.hash), path.complete))
        };
        let Some((culprit, evidence, complete)) = self.targets.path(&target).and_then(path) else { return };
        let violation = Violation::proven_invalid("header.rules", evidence);
        if self.peers.get(culprit.session).is_some() {
            self.tell(culprit.session, Input::Convict(violation));
        } else {
            self.ledger.convict(culprit.peer, &violation);
        }
        if complete {
            self.targets.refuse(target, now + LONG_REFUSAL);
        } else {
            // Nothing proves that the header leads to this tip: others may lead there rightly.
            self.targets.disown(&target, culprit.session);
            self.targets.restart(&target);
        }
        self.peers.advertise(culprit.session, None);
    }

    /// Decides everything that can be decided now. Call it after anything happened.
    pub(super) fn advance(&mut self, now: Instant, chain: &dyn HeaderChain) {
        // While a batch is with the store the view waits for its end: whoever sees the headers sees who delivered them.
        if self.storing.is_none() {
            self.view = chain.view();
        }
        self.store_rest = self.store_rest.filter(|until| now < *until);
        self.segments.plan(&self.view, chain, self.peers.highest().map(|tip| tip.height));
        let has = |hash: &BlockHash| chain.find(hash).is_some();
        self.targets.refresh(now, has, self.peers.advertised(), self.segments.next_end());
        if self.store_rest.is_none() {
            self.prove(now, chain);
        }
        self.assign(now, chain);
    }

    fn prove(&mut self, now: Instant, chain: &dyn HeaderChain) {
        while let Some((ticket, headers)) = self.segments.poll_check() {
            self.effects.push_back(Effect::Run(Task::Check(ticket, headers)));
        }
        if self.storing.is_none()
            && let Some(batch) = self.segments.batch(chain)
        {
            let owner = Owner::Segments(batch.headers.len());
            self.store(Fence::mint(), owner, batch);
        }
        while let Some((tip, need, path)) =
            self.targets.poll_need(now, self.view.tip, chain, self.storing.is_none())
        {
            match need {
                Need::Nothing => break,
                Need::Weighing => {
                    let ticket = path.start(Job::Weigh(self.view.tip));
                    self.effects.push_back(Effect::Run(Task::Weigh(ticket, path.staged.parent())));
                }
                Need::Checking => {
                    let headers = path.staged.unchecked();
                    let ticket = path.start(Job::Check(headers.len()));
                    self.effects.push_back(Effect::Run(Task::Check(ticket, headers)));
                }
                Need::Storing(count) => {
                    let batch = path.staged.batch(count, Proof::Verified);
                    let ticket = path.start(Job::Store(count));
                    self.store(ticket, Owner::Target, batch);
                }
                Need::Giving => {
                    let deliverers = path.staged.deliverers();
                    self.targets.refuse(tip, now + LONG_REFUSAL);
                    self.fruitless(now, deliverers);
                }
            }
        }
        if self.storing.is_none()
            && let Some((tip, deliverers)) = self.targets.evict(now, SHORT_REFUSAL)
        {
            // If nobody else leads there, they may try again after the refusal.
            if self.targets.is_open(&tip) {
                deliverers.iter().for_each(|session| self.peers.disown(*session, tip));
            }
            self.fruitless(now, deliverers);
        }
    }

    fn store(&mut self, ticket: Fence, owner: Owner, batch: HeaderBatch) {
        self.storing = Some((ticket, owner));
        self.effects.push_back(Effect::Run(Task::Store(ticket, batch)));
    }

    /// Headers that led nowhere: allowed, but their deliverers go to the end of the line for a while.
    fn fruitless(&mut self, now: Instant, deliverers: BTreeSet<Fence>) {
        for session in deliverers {
            if let Some(peer) = self.peers.get_mut(session) {
                peer.disappointed(now);
            }
        }
    }

    fn assign(&mut self, now: Instant, chain: &dyn HeaderChain) {
        loop {
            let peers = &self.peers;
            let best = |holders: &BTreeSet<Fence>| {
                let free = holders.iter().filter_map(|session| Some((*session, peers.get(*session)?)));
                free.filter(|(_, peer)| peer.is_free(now))
                    .min_by_key(|(_, peer)| peer.rank())
                    .map(|(it, _)| it)
            };
            let Some((session, order)) = self.targets.poll_order(now, &self.view, chain, best) else { break };
            if let Some(peer) = self.peers.get_mut(session) {
                peer.ordered(now);
            }
            self.tell(session, Input::Ask(order));
        }
    }

    fn tell(&mut self, session: Fence, input: Input) {
        self.effects.push_back(Effect::Tell(session, input));
    }

    fn deliverer(&self, session: Fence) -> Option<Deliverer> {
        self.peers.get(session).map(|peer| Deliverer { session, peer: peer.id })
    }

    pub(super) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to advance although nothing happens.
    pub(super) fn wake(&self, now: Instant) -> Option<Instant> {
        [self.store_rest, self.peers.next_free(now), self.targets.next_retry(now)].into_iter().flatten().min()
    }

    /// How full everything is that has a cap.
    #[cfg(feature = "simulation")]
    pub(super) fn fills(&self) -> Vec<Fill> {
        let waiting = [
            Fill::new("header_sync.queries", self.queries.len(), self.peers.len()),
            Fill::new("header_sync.serving", self.serving, MAX_SERVING),
        ];
        let parts = self.targets.fills().into_iter().chain(self.ledger.fills()).chain(self.segments.fills());
        parts.chain(waiting).collect()
    }

    pub(super) fn status(&self) -> HeaderSyncStatus {
        let (segments_open, segments_staged) = self.segments.counts();
        HeaderSyncStatus {
            targets: self.targets.tips(),
            segments_open,
            segments_staged,
            headers_staged: self.targets.staged(),
            peers: self.ledger.progress(),
            convictions: self.ledger.convictions(),
            local_fault: self.local_fault.clone(),
            skipped: self.skipped,
        }
    }
}
