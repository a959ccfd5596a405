//! An embedder's code that panics wherever it is called, and whose values panic when they are dropped, even while a panic
//! is under way: it costs a session or a job, and never the process.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "panicking is what this embedder does, and a test fails by it"
)]

mod common;
use common::*;
use std::{
    mem::ManuallyDrop,
    panic::panic_any,
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use zakura_transport::{
    Capabilities, CloseReason, Direction, Exit, Fence, Frame, Mode, Opener, PeerId, PeerInfo, Registry, Role,
    Service, Session, Spawner, StreamSpec, Violation,
    routine::{
        Command, Demand, Ends, Job, JobCx, JobFault, Lease, Machine, Message, Overflow, RangeQueue, TaskEnd,
        WorkEvent, WorkPolicy, WorkPool, contain, drive, events, inlet, publish, supervise,
    },
    wire::Malformed,
};

/// Panics when it is dropped.
#[derive(Clone, Debug)]
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a bomb");
    }
}

impl Command for Bomb {
    fn overflow(&self) -> Overflow {
        Overflow::Park
    }
}

/// A panic's payload which panics with another of its kind when it is dropped, for ever.
struct Endless;

impl Drop for Endless {
    fn drop(&mut self) {
        panic_any(Self);
    }
}

struct Word;

impl Message for Word {
    fn decode(_frame: Frame) -> Result<Self, Malformed> {
        Ok(Self)
    }

    fn encode(self) -> Frame {
        Frame::new(1, Default::default())
    }
}

/// Takes a lease, and panics at the first word with everything it holds.
struct Doomed {
    lease: Option<Lease<Bomb>>,
    said: bool,
    _bomb: Bomb,
}

impl Machine for Doomed {
    type Message = Word;
    type State = Arc<Bomb>;
    type Input = Bomb;
    type Event = Bomb;
    type Work = Bomb;

    fn handle_message(&mut self, _now: Instant, _word: Word) -> Result<(), Violation> {
        panic!("doomed");
    }

    fn handle_state(&mut self, _now: Instant, _state: &Arc<Bomb>) {}

    fn handle_input(&mut self, _now: Instant, input: Bomb) {
        let _unharmed = ManuallyDrop::new(input);
    }

    fn handle_timeout(&mut self, _now: Instant) {}

    fn handle_work(&mut self, _now: Instant, lease: Lease<Bomb>) {
        self.lease = Some(lease);
    }

    fn poll_transmit(&mut self, _now: Instant) -> Option<Word> {
        None
    }

    fn poll_event(&mut self) -> Option<Bomb> {
        let first = !std::mem::replace(&mut self.said, true);
        first.then(|| Bomb)
    }

    fn poll_demand(&mut self, _now: Instant) -> Option<Demand> {
        let (owner, max_cost) = (Fence::mint(), u64::MAX);
        let demand = Demand { owner, servable: 0..=9, max_count: 3, max_cost, hedge: false };
        self.lease.is_none().then_some(demand)
    }

    fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        None
    }

    fn poll_exit(&mut self) -> Option<Exit> {
        None
    }
}

fn peer(id: u8) -> PeerInfo {
    PeerInfo {
        id: PeerId::new([id; 32]),
        addr: ([127, 0, 0, 1], 1).into(),
        direction: Direction::Outbound,
        role: Role::Outbound,
        connection: Fence::mint(),
        capabilities: Capabilities::NONE,
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_and_all_that_is_its_may_panic_while_it_panics() {
    let queue = RangeQueue::new(0);
    queue.push((1..=5).map(|key| (key, 1, Bomb)));
    let (left, mut right) = Session::pair(peer(1), peer(2), 4);
    let ((publisher, state), (mailbox, inlet)) = (publish(Arc::new(Bomb)), inlet(4));
    let (sender, heard) = events(4);
    let ends = Ends { state, inlet, events: sender, work: Some(queue.clone()) };
    let routine = drive(Doomed { lease: None, said: false, _bomb: Bomb }, left, ends);
    let mut routine = tokio_test::task::spawn(supervise(routine));
    tokio_test::assert_pending!(routine.poll());
    assert_eq!(queue.counts().leased, 3, "the machine holds a lease");
    // The word comes before these are read, so they are dropped with the inlet.
    drop(publisher);
    right.frames_out.send(Word.encode()).await.unwrap();
    assert_eq!(routine.await, Exit::Panicked("doomed".into()));
    assert_eq!((queue.counts().leased, queue.counts().pending), (0, 5), "the lease is back");
    assert!(queue.check_invariants().is_ok());
    // A lease whose every item is the last of its kind, and instructions nobody read.
    assert!(mailbox.is_closed());
    let demand = Demand { owner: Fence::mint(), servable: 0..=9, max_count: 9, max_cost: 9, hedge: false };
    let mut lease = queue.take(&demand).unwrap();
    queue.reset_above(2);
    assert!(lease.finish(1) && !lease.finish(3));
    drop(lease);
    drop(heard);
    drop(queue);
}

#[tokio::test(start_paused = true)]
async fn instructions_nobody_read_may_panic_while_the_routine_does() {
    let (left, mut right) = Session::pair(peer(1), peer(2), 4);
    let ((_publisher, state), (mailbox, inlet)) = (publish(()), inlet::<Bomb>(4));
    let (sender, mut heard) = events::<Bomb>(4);
    assert!(mailbox.send(Bomb) && mailbox.send(Bomb));
    let _unused = (state, &mut heard);
    right.frames_out.send(Word.encode()).await.unwrap();
    let routine = async move {
        let _held = (left, inlet, sender);
        tokio::task::yield_now().await;
        panic!("by hand")
    };
    assert_eq!(supervise(routine).await, Exit::Panicked("by hand".into()));
    let (sender, heard) = events::<Bomb>(4);
    assert!(sender.send(Bomb).await.is_ok() && sender.send(Bomb).await.is_ok());
    let reactor = async move {
        let _held = heard;
        panic!("a reactor")
    };
    assert_eq!(contain::<()>(reactor).await, TaskEnd::Panicked("a reactor".into()));
}

#[tokio::test(start_paused = true)]
async fn a_panics_own_value_may_panic_when_it_is_dropped() {
    let nameless = "a panic without words".to_owned();
    assert_eq!(contain::<()>(async { panic_any(Bomb) }).await, TaskEnd::Panicked(nameless.clone()));
    assert_eq!(contain::<()>(async { panic_any(Endless) }).await, TaskEnd::Panicked(nameless));
    let held = Bomb;
    let result = contain(async move {
        let _held = held;
        tokio::task::yield_now().await;
        7
    });
    assert_eq!(result.await, TaskEnd::Panicked("a bomb".into()));
}

/// A job that waits for a gate if it has one, and panics when it is dropped unless it has run.
struct Fused(Option<Arc<Barrier>>, Arc<AtomicUsize>);

impl Drop for Fused {
    fn drop(&mut self) {
        self.1.fetch_add(1, Ordering::SeqCst);
        panic!("a job");
    }
}

impl Job for Fused {
    type Out = Bomb;

    fn run(self, _cx: &JobCx) -> Result<Bomb, JobFault> {
        if let Some(gate) = &self.0 {
            gate.wait();
            gate.wait();
        }
        let _unharmed = ManuallyDrop::new(self);
        Ok(Bomb)
    }
}

#[tokio::test]
async fn jobs_and_their_results_may_panic_when_they_are_dropped() {
    let spawner = Spawner::new();
    let pool = WorkPool::new(&spawner, 1, 2).unwrap();
    let (gate, dropped) = (Arc::new(Barrier::new(2)), Arc::new(AtomicUsize::new(0)));
    let (out, mut heard) = events::<WorkEvent<Bomb>>(2);
    let jobs = (0..4).map(|n| Fused((n == 0).then(|| Arc::clone(&gate)), Arc::clone(&dropped)));
    let session = pool.open(jobs.collect(), WorkPolicy::default(), out).unwrap();
    gate.wait();
    session.cancel();
    gate.wait();
    let Some(WorkEvent::Item { result: Ok(bomb), .. }) = heard.recv().await else { panic!("no result") };
    let _unharmed = ManuallyDrop::new(bomb);
    let Some(WorkEvent::Closed { report, .. }) = heard.recv().await else { panic!("no end") };
    assert_eq!((report.succeeded, report.skipped_cancelled), (1, 3));
    assert_eq!(dropped.load(Ordering::SeqCst), 3);
    // A session nobody listens to, and one that waits while the pool closes.
    let (out, heard) = events::<WorkEvent<Bomb>>(2);
    let jobs = (0..4).map(|n| Fused((n == 0).then(|| Arc::clone(&gate)), Arc::clone(&dropped)));
    let _session = pool.open(jobs.collect(), WorkPolicy::default(), out).unwrap();
    gate.wait();
    drop(heard);
    assert!(!pool.close(Duration::ZERO).await.stragglers.is_empty());
    gate.wait();
    assert_eq!(pool.close(PATIENCE).await.stragglers, [""; 0]);
    assert_eq!(dropped.load(Ordering::SeqCst), 6);
    assert_eq!(pool.taken(), 0);
    assert_eq!(spawner.stop(PATIENCE).await.stragglers, [""; 0]);
}

/// A service that panics with a bomb in a session, and when it is dropped.
struct Mined(Vec<StreamSpec>, Bomb);

impl Service for Mined {
    fn streams(&self) -> Vec<StreamSpec> {
        self.0.clone()
    }

    async fn run(&self, _session: Session) -> Exit {
        panic_any(Bomb)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_may_panic_with_anything_and_costs_its_connections() {
    let stream = || vec![spec("mined", CHAT, Mode::Ordered, Opener::Initiator)];
    let mut a = start(1, Mined(stream(), Bomb)).await;
    let mut b = start(2, Echo(stream())).await;
    for _ in 0..3 {
        a.dial(&b).await;
        a.connected().await;
        let reason = a.disconnected().await.1;
        assert!(matches!(reason, CloseReason::Panicked { stream: "mined", .. }), "{reason}");
        let seen = b.disconnected().await.1;
        assert!(matches!(seen, CloseReason::Remote { code: 0, .. } | CloseReason::Reset), "{seen}");
        a.handle.remove_peer(b.id()).await.unwrap();
    }
    let mut failed = tokio_test::task::spawn(a.spawner.failed());
    tokio_test::assert_pending!(failed.poll());
    a.stop().await;
    tokio_test::assert_pending!(failed.poll());
    b.stop().await;
    let mut registry = Registry::new();
    assert!(registry.register(Mined(stream(), Bomb)).is_ok());
    drop(registry);
}
