//! The one task that owns a connection.

use super::{
    arrival::receive,
    ask::Requester,
    pace::Pace,
    shared::{Arrived, Report, Shared},
    slots::{Arrival, Slots},
    terms,
    throttle::Meters,
};
use crate::{
    Action, Cancel, CloseReason, Exit, Fence, FrameReceiver, FrameSender, Mode, PeerId, PeerInfo, Registry,
    Session, Spawner, StreamKind,
    exit::cut,
    handshake::{Negotiated, Shortage},
    observe::{FlightEvent, StreamEnd, Text, metrics, rationed, target},
    plant::planted,
    quic::{Farewell, Link, LinkEnd, RecvHalf, ResetCode, SendHalf},
    routine::{TaskEnd, contain, supervise},
    tongue::Voice,
    wire::Prelude,
};
use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::{Instant, sleep_until, timeout, timeout_at},
};
use tracing::Instrument;

/// Streams a peer may open a second, and at once (wire 4.4): every one costs us a task, even a bad one.
const OPENS_PER_S: u32 = 32;
/// Requests of one peer that are answered at once; more are reset with code 1. Stops a peer from occupying a service.
const ANSWERS: usize = 64;
/// What opening a stream may take (wire 7.2).
const OPEN_DEADLINE: Duration = Duration::from_secs(10);
/// How often a service without demand is asked again whether it wants the peer.
const DEMAND_RECHECK: Duration = Duration::from_secs(1);
/// How long sessions get to end after their connection. One that ignores its cancel is then dropped where it waits: a peer that
/// comes and goes must not leave a task and its leases behind each time.
const SESSIONS_END: Duration = Duration::from_secs(5);
/// How long the streams of a link that is gone may take to say what its peer did before: longer than a task waits for its
/// turn, shorter than anybody notices.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// Reports in flight from a connection's streams.
const REPORTS: usize = 32;

/// Ends a connection from outside: the reason for the record, and what the peer hears.
#[derive(Debug)]
pub(crate) struct Stop {
    pub(crate) reason: CloseReason,
    pub(crate) farewell: Farewell,
}

/// A connection whose handshake is done.
pub(crate) struct Connection {
    shared: Arc<Shared>,
    slots: Slots,
    held: BTreeMap<StreamKind, Arrived>,
    opens: Pace,
    streams: Arc<Semaphore>,
    answers: Arc<Semaphore>,
    spawner: Spawner,
    /// Sessions get no more time.
    given_up: Cancel,
    reports: mpsc::Sender<Report>,
    inbox: mpsc::Receiver<Report>,
    idle: Option<Duration>,
}

impl Connection {
    pub(crate) fn new(
        us: PeerId,
        info: PeerInfo,
        link: Link,
        agreed: Negotiated,
        services: (&Registry, Voice, &Meters),
        (spawner, given_up): (Spawner, Cancel),
    ) -> Self {
        let now = Instant::now().into_std();
        let shared = Shared::new(link, info, agreed, services, now);
        let info = &shared.info;
        let slots = Slots::new(us, info.id, info.direction, shared.specs(Mode::Ordered), now);
        let (reports, inbox) = mpsc::channel(REPORTS);
        // Wire 4.7: the timer runs if an ordered kind was negotiated, or no request kind was.
        let timed =
            shared.specs(Mode::Ordered).next().is_some() || shared.specs(Mode::Request).next().is_none();
        Self {
            slots,
            held: BTreeMap::new(),
            opens: Pace::new(now, OPENS_PER_S, OPENS_PER_S),
            streams: Arc::new(Semaphore::new(usize::from(agreed.limits.max_open_streams))),
            answers: Arc::new(Semaphore::new(ANSWERS)),
            spawner,
            given_up,
            reports,
            inbox,
            idle: timed.then(|| terms::idle_limit(&agreed)),
            shared: Arc::new(shared),
        }
    }

    /// A way to ask this peer, while the connection lives.
    pub(crate) fn requester(&self) -> Requester {
        Requester {
            shared: Arc::clone(&self.shared),
            reports: self.reports.downgrade(),
            ids: Arc::new(AtomicU64::new(1)),
        }
    }

    /// Lives the connection to its end, closes it, and says the first cause.
    pub(crate) async fn live(&mut self, stop: oneshot::Receiver<Stop>) -> CloseReason {
        // Services are asked here what they want, and a service may panic.
        let Stop { reason, farewell } = match contain(self.until_stopped(stop)).await {
            TaskEnd::Finished(stop) => stop,
            TaskEnd::Panicked(message) => Stop {
                reason: CloseReason::Panicked { stream: "connection", message },
                farewell: Farewell::NEUTRAL,
            },
        };
        let words = Text::of(&reason.to_string());
        match &reason {
            CloseReason::Panicked { .. } => {
                rationed!(error, target::PEER, reason = %words, "connection over")
            }
            _ => tracing::debug!(target: target::PEER, reason = %words, "connection over"),
        }
        self.shared.over(Instant::now().into_std(), &reason, farewell);
        self.shared.link.close(farewell);
        self.shared.cancel.cancel();
        reason
    }

    fn too_small(&self) -> Option<Stop> {
        let farewell = match self.shared.agreed.carries(self.shared.specs(Mode::Ordered).count()) {
            Ok(()) => return None,
            Err(Shortage::OrderedStreams) => Farewell::ORDERED_STREAMS,
            Err(Shortage::QueueSplit) => Farewell::QUEUE_SPLIT,
        };
        Some(Stop { reason: CloseReason::LimitsTooSmall, farewell })
    }

    async fn until_stopped(&mut self, stop: oneshot::Receiver<Stop>) -> Stop {
        if let Some(stop) = self.too_small() {
            return stop;
        }
        let shared = Arc::clone(&self.shared);
        let (mut stop, mut ended) = (pin!(stop), pin!(shared.link.ended()));
        loop {
            self.open_due();
            self.shared.recorder.streams(Instant::now().into_std(), self.slots.phases());
            let wake = self.next_wake();
            let over = tokio::select! {
                biased;
                stop = &mut stop => Some(stop.unwrap_or(Stop {
                    reason: CloseReason::Local,
                    farewell: Farewell::NEUTRAL,
                })),
                end = &mut ended => Some(self.last_words(end).await),
                () = sleep_until(wake) => self.on_time(),
                Some(report) = self.inbox.recv() => self.on_report(report),
                Ok(halves) = shared.link.accept() => {
                    self.on_stream(halves);
                    None
                }
            };
            if let Some(over) = over {
                return over;
            }
        }
    }

    /// The link is gone. What the peer did before may still be on its way from a stream's task, and is then the first cause:
    /// a peer that breaks a rule and hangs up at once has broken the rule.
    async fn last_words(&mut self, end: LinkEnd) -> Stop {
        if let LinkEnd::Remote { code, reason } = &end {
            let received = FlightEvent::CloseReceived { code: *code, reason: Text::of(reason) };
            self.shared.recorder.note(Instant::now().into_std(), received);
        }
        // Only streams that run already have something to say: when the last has said it, the wait is over.
        let (nobody, _) = mpsc::channel(1);
        drop(std::mem::replace(&mut self.reports, nobody));
        let deadline = Instant::now() + LAST_WORDS;
        while let Ok(Some(report)) = timeout_at(deadline, self.inbox.recv()).await {
            if let Some(stop) = self.fault_of(report) {
                return stop;
            }
        }
        Stop { reason: end.into(), farewell: Farewell::NEUTRAL }
    }

    /// The end of the connection for which this report is the cause, if it is one. Nothing is begun any more.
    fn fault_of(&mut self, report: Report) -> Option<Stop> {
        match report {
            Report::Ended { kind, exit, .. } => at_fault(self.name(kind), exit, Farewell::NEUTRAL),
            Report::Fatal { stream, exit, farewell } => at_fault(stream, exit, farewell),
            Report::Arrived(Arrived { kind, .. }) => {
                match self.slots.arrived(kind, false, Instant::now().into_std()) {
                    Arrival::Fault(violation) => {
                        at_fault(self.name(kind), Exit::Violation(violation), Farewell::NEUTRAL)
                    }
                    Arrival::Start(_) | Arrival::Hold | Arrival::Park => None,
                }
            }
            Report::Opened { .. } => None,
        }
    }

    fn next_wake(&self) -> Instant {
        let idle = self.idle.map(|limit| Instant::from_std(self.shared.heard.last()) + limit);
        let slot = self.slots.next().map(Instant::from_std);
        let far = Instant::now() + Duration::from_secs(3600);
        idle.into_iter().chain(slot).fold(far, Instant::min)
    }

    fn on_time(&mut self) -> Option<Stop> {
        let now = Instant::now();
        if let Some((kind, violation)) = self.slots.overdue(now.into_std()) {
            return at_fault(self.name(kind), Exit::Violation(violation), Farewell::NEUTRAL);
        }
        let limit = self.idle?;
        let silent = now.saturating_duration_since(Instant::from_std(self.shared.heard.last()));
        (silent >= limit).then_some(Stop { reason: CloseReason::Idle, farewell: Farewell::IDLE })
    }

    fn on_report(&mut self, report: Report) -> Option<Stop> {
        match report {
            Report::Opened { kind, fence, halves: Some(halves) } => {
                if self.slots.opened(kind, fence) {
                    self.start(kind, fence, halves, None, None);
                }
                None
            }
            Report::Opened { kind, fence, halves: None } => {
                self.slots.ended(kind, fence, true, Instant::now().into_std());
                None
            }
            Report::Arrived(arrived) => self.on_arrived(arrived),
            Report::Ended { kind, fence, exit, refused } => self.on_ended(kind, fence, exit, refused),
            Report::Fatal { stream, exit, farewell } => at_fault(stream, exit, farewell),
        }
    }

    /// The peer opened a stream; what it is shows when its prelude has been read.
    fn on_stream(&mut self, (send, recv): (SendHalf, RecvHalf)) {
        if self.opens.take(Instant::now().into_std()).is_err() {
            return self.shared.refuse(send, recv, ResetCode::RateLimit);
        }
        let Ok(permit) = Arc::clone(&self.streams).try_acquire_owned() else {
            return self.shared.refuse(send, recv, ResetCode::Resource);
        };
        let (shared, answers) = (Arc::clone(&self.shared), Arc::clone(&self.answers));
        let arrival = receive(shared, (send, recv), permit, answers, self.reports.clone());
        let arrival = unless(self.given_up.clone(), arrival);
        self.spawner.spawn("arrival", async move { arrival.await.unwrap_or_default() });
    }

    fn on_arrived(&mut self, arrived: Arrived) -> Option<Stop> {
        let kind = arrived.kind;
        let entry = self.shared.kinds.get(&kind).map(|kind| &kind.entry)?;
        let wanted = entry.service.wants(&self.shared.info, &entry.spec);
        match self.slots.arrived(kind, wanted, Instant::now().into_std()) {
            Arrival::Start(fence) => {
                self.start(kind, fence, arrived.halves, Some(arrived.max_frame), Some(arrived.permit));
            }
            Arrival::Hold => {
                self.held.insert(kind, arrived);
            }
            // Dropping the halves is FIN and STOP_SENDING 0.
            Arrival::Park => {}
            Arrival::Fault(violation) => {
                return at_fault(self.name(kind), Exit::Violation(violation), Farewell::NEUTRAL);
            }
        }
        None
    }

    fn on_ended(&mut self, kind: StreamKind, fence: Fence, exit: Exit, refused: bool) -> Option<Stop> {
        let name = self.name(kind);
        let end = StreamEnd::of(&exit);
        tracing::debug!(target: target::STREAM, stream = name, ?end, "session over");
        self.shared.recorder.session_over(kind, end);
        let reopen = match exit.action() {
            Action::CloseConnection => return at_fault(name, exit, Farewell::NEUTRAL),
            Action::Park { reopen } => reopen && !refused,
        };
        self.slots.ended(kind, fence, reopen, Instant::now().into_std());
        let successor = self.held.remove(&kind)?;
        self.on_arrived(successor)
    }

    fn open_due(&mut self) {
        let now = Instant::now().into_std();
        for kind in self.slots.due(now) {
            let Some(negotiated) = self.shared.kinds.get(&kind) else { continue };
            let spec = &negotiated.entry.spec;
            if !negotiated.entry.service.wants(&self.shared.info, spec) {
                self.slots.postpone(kind, now + DEMAND_RECHECK);
                continue;
            }
            let max_frame = terms::inbound_cap(&self.shared.agreed, spec);
            let prelude = Prelude { kind, version: spec.version, request_id: None, max_frame };
            let (fence, link) = (self.slots.opening(kind), self.shared.link.clone());
            let reports = self.reports.clone();
            self.spawner.spawn("open", async move {
                let opening = contain(timeout(OPEN_DEADLINE, open(&link, prelude)));
                let halves = match opening.await {
                    TaskEnd::Finished(halves) => halves.ok().flatten(),
                    TaskEnd::Panicked(_) => None,
                };
                // A connection that no longer listens is ending, and its streams with it.
                drop(reports.send(Report::Opened { kind, fence, halves }).await);
            });
        }
    }

    /// Runs the service's session on a stream, supervised, in a task of its own.
    fn start(
        &self,
        kind: StreamKind,
        fence: Fence,
        (send, recv): (SendHalf, RecvHalf),
        opener: Option<u32>,
        permit: Option<OwnedSemaphorePermit>,
    ) {
        let Some(negotiated) = self.shared.kinds.get(&kind) else { return };
        let refused = Arc::new(AtomicBool::new(false));
        let session = Session {
            peer: self.shared.info.clone(),
            generation: fence,
            frames_in: FrameReceiver::quic(self.shared.frames_in(negotiated, recv, &refused)),
            frames_out: FrameSender::quic(self.shared.frames_out(negotiated, send, opener, &refused)),
            cancel: self.shared.cancel.child(),
            merit: self.shared.merit.clone(),
        };
        let routine = unless(self.given_up.clone(), Arc::clone(&negotiated.entry.service).run(session));
        let routine = async move { routine.await.unwrap_or(Exit::Local("the routine ignored its cancel")) };
        let (reports, name) = (self.reports.clone(), negotiated.entry.spec.name);
        let span = tracing::debug_span!(target: target::STREAM, "stream", stream = name, generation = ?fence);
        metrics::session_begun(name, permit.is_none());
        let task = async move {
            let exit = supervise(routine).await;
            metrics::session_over(name, &exit);
            drop(permit);
            let refused = refused.load(Ordering::Relaxed);
            drop(reports.send(Report::Ended { kind, fence, exit, refused }).await);
        };
        self.spawner.spawn(name, task.instrument(span));
    }

    fn name(&self, kind: StreamKind) -> &'static str {
        self.shared.kinds.get(&kind).map_or("stream", |kind| kind.entry.spec.name)
    }

    /// Waits until every session has ended: each holds a sender of reports. Those that do not end are given up.
    pub(crate) async fn wait_for_sessions(self) {
        let Self { shared, given_up, mut inbox, reports, held, .. } = self;
        drop((reports, held));
        let mut all = pin!(async { while inbox.recv().await.is_some() {} });
        if timeout(SESSIONS_END, &mut all).await.is_err() {
            rationed!(
                warn,
                target::STREAM,
                peer = %shared.info.id.short(),
                "a session ignores its cancel: it is dropped"
            );
            given_up.cancel();
            all.await;
        }
    }
}

/// Runs a task to its end, or drops it where it waits when its time is over.
async fn unless<T>(over: Cancel, task: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = over.cancelled() => None,
        result = task => Some(result),
    }
}

async fn open(link: &Link, prelude: Prelude) -> Option<(SendHalf, RecvHalf)> {
    planted("open");
    let (mut send, recv) = link.open().await.ok()?;
    send.write_all(prelude.encode()).await.ok()?;
    Some((send, recv))
}

/// The end of a connection for which a stream is the cause, if its exit closes connections.
fn at_fault(stream: &'static str, exit: Exit, farewell: Farewell) -> Option<Stop> {
    let reason = match exit {
        Exit::Violation(violation) => CloseReason::Violation { stream, violation },
        // A service may have returned it itself.
        Exit::Panicked(message) => CloseReason::Panicked { stream, message: cut(message) },
        Exit::Closed { .. } | Exit::Local(_) => return None,
    };
    Some(Stop { reason, farewell })
}

impl From<LinkEnd> for CloseReason {
    fn from(end: LinkEnd) -> Self {
        match end {
            LinkEnd::Remote { code, reason } => Self::Remote { code, reason },
            LinkEnd::TimedOut => Self::Timeout,
            LinkEnd::Reset => Self::Reset,
            LinkEnd::Transport(text) => Self::Transport(text),
            // Whoever closes a connection on purpose records the cause first; what is left is QUIC's own end.
            LinkEnd::Local => Self::Transport("the local QUIC endpoint is gone".into()),
        }
    }
}
