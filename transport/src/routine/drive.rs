//! The only per-peer loop.

use super::{
    machine::{Machine, Message},
    mailbox::{EventSender, Gone, Inlet, Posted, Published, inlet},
    turn::{Word, hear, next_word},
    work::{Demand, Lease, RangeQueue},
};
use crate::{
    Exit, Frame, FrameError, FrameReceiver, FrameSender, Session, plant,
    routine::{bury, panic_message},
};
use futures::FutureExt;
use std::{
    convert::Infallible,
    future::{pending, ready},
    iter,
    panic::AssertUnwindSafe,
    pin::pin,
    time::Instant,
};

/// What joins a routine to its reactor.
#[derive(Debug)]
pub struct Ends<M: Machine> {
    /// State the reactor publishes. Once its publisher is dropped the last state stays.
    pub state: Published<M::State>,
    /// Instructions to this routine.
    pub inlet: Inlet<M::Input>,
    /// Events to the reactor.
    pub events: EventSender<M::Event>,
    /// Where work comes from, for services that have any.
    pub work: Option<RangeQueue<M::Work>>,
}

impl<M: Machine<Input = Infallible>> Ends<M> {
    /// For a machine that hears state, tells events, and takes neither instructions nor work.
    #[must_use]
    pub fn plain(state: Published<M::State>, events: EventSender<M::Event>) -> Self {
        Self { state, inlet: inlet(1).1, events, work: None }
    }
}

/// How often an arm may be taken before those behind it have had their turn.
///
/// The arms are asked in one order, so that the same input gives the same run. An arm that has used up its credit is
/// passed over; when no arm with credit is ready the round is over and all have credit again. So a peer that floods
/// us, or a reactor that does, delays every other arm by one round at most.
#[derive(Clone, Copy)]
struct Credits {
    state: u32,
    inputs: u32,
    timers: u32,
    outgoing: u32,
    work: u32,
    incoming: u32,
}

impl Credits {
    /// One round. Frames in have most, since one round is one yield to the other peers.
    const ROUND: Self = Self { state: 1, inputs: 16, timers: 4, outgoing: 4, work: 4, incoming: 64 };

    fn is_spent(&self) -> bool {
        let left = [self.state, self.inputs, self.timers, self.outgoing, self.work, self.incoming];
        left.contains(&0)
    }
}

/// Frames heard in a row.
const BURST: u32 = 16;

fn spend(credit: &mut u32) {
    *credit = credit.saturating_sub(1);
}

/// Runs one machine on one session to its end.
///
/// Order: cancel, state, inputs, timers, outgoing, work, incoming. While an event waits for the reactor only cancel
/// and outgoing are served: a routine may wait for its reactor. Frames wait for it too, and timeouts come after those
/// frames, for the wait is not the peer's fault.
///
/// However the session ends, a panic apart, the reactor hears every event. The stream and the mailbox are gone by then,
/// so only the reactor is waited for.
///
/// A machine that panics is not asked again, and its panic is an [`Exit::Panicked`] of this call already. Nothing of the
/// service's is dropped while the panic is under way, so that a drop which panics too cannot abort the process.
///
/// Run it under [`supervise`](super::supervise()), as the transport does with every [`Service`](crate::Service).
pub async fn drive<M: Machine>(machine: M, session: Session, ends: Ends<M>) -> Exit {
    let (mut machine, mut ends) = plant::machine(machine, ends);
    let (events, mut waiting) = (ends.events.clone(), None);
    let life = take_turns(&mut machine, session, &mut ends, &mut waiting);
    let lived = AssertUnwindSafe(life).catch_unwind().await.map_err(panic_message);
    bury("ends drop", ends);
    let told = AssertUnwindSafe(tell_rest(&mut machine, &events, waiting, lived.is_ok())).catch_unwind();
    let told = told.await.map_err(panic_message);
    bury("machine drop", machine);
    match (lived, told) {
        (Ok(exit), Ok(())) => exit,
        (Err(message), _) | (_, Err(message)) => Exit::Panicked(message),
    }
}

/// Sends the event that found no room, and those that a machine in order still has.
async fn tell_rest<M: Machine>(
    machine: &mut M,
    events: &EventSender<M::Event>,
    waiting: Option<M::Event>,
    in_order: bool,
) {
    let rest = iter::from_fn(|| if in_order { machine.poll_event() } else { None });
    for event in waiting.into_iter().chain(rest) {
        if events.send(event).await.is_err() {
            break;
        }
    }
}

/// Lives the session. `waiting`: the event that found no room.
async fn take_turns<M: Machine>(
    machine: &mut M,
    session: Session,
    ends: &mut Ends<M>,
    waiting: &mut Option<M::Event>,
) -> Exit {
    let Session { mut frames_in, mut frames_out, cancel, merit, .. } = session;
    let Ends { state, inlet, events, work } = ends;
    let overflowed = inlet.overflowed();
    let mut timer = pin!(tokio::time::sleep_until(tokio::time::Instant::now()));
    let mut state_is_open = true;
    let mut credits = Credits::ROUND;

    machine.handle_state(now(), &state.get());
    loop {
        if let Err(exit) = settle(machine, &mut frames_out, events, waiting) {
            return exit;
        }
        let calm = waiting.is_none();
        let demand = if calm && work.is_some() { machine.poll_demand(now()) } else { None };
        let deadline = machine.poll_timeout().map(|(at, _why)| tokio::time::Instant::from_std(at));
        if let Some(at) = deadline.filter(|at| *at != timer.deadline()) {
            timer.as_mut().reset(at);
        }
        let unsent = !frames_out.is_flushed();
        tokio::select! {
            biased;
            () = cancel.cancelled() => return Exit::Closed { reopen: false },
            () = overflowed.cancelled() => return Exit::Local("the routine fell behind its instructions"),
            room = events.room(), if !calm => {
                match (room, waiting.take()) {
                    (Ok(room), Some(event)) => room.send(event),
                    (Ok(_), None) => {}
                    (Err(Gone), _) => return REACTOR_GONE,
                }
                // What the peer sent meanwhile is heard before it is held late.
                credits.timers = 0;
            }
            changed = state.changed(), if calm && state_is_open && credits.state > 0 => {
                spend(&mut credits.state);
                match changed {
                    Ok(state) => machine.handle_state(now(), &state),
                    Err(Gone) => state_is_open = false,
                }
            }
            input = inlet.recv(), if calm && credits.inputs > 0 => {
                spend(&mut credits.inputs);
                machine.handle_input(now(), input);
            }
            () = timer.as_mut(), if calm && deadline.is_some() && credits.timers > 0 => {
                spend(&mut credits.timers);
                machine.handle_timeout(now());
            }
            flushed = frames_out.flush(), if unsent && credits.outgoing > 0 => {
                spend(&mut credits.outgoing);
                if let Err(error) = flushed {
                    return error.into();
                }
            }
            lease = leased(work.as_ref(), demand.as_ref()), if demand.is_some() && credits.work > 0 => {
                spend(&mut credits.work);
                machine.handle_work(now(), lease.crediting(&merit));
            }
            frame = frames_in.recv(), if calm && credits.incoming > 0 => {
                spend(&mut credits.incoming);
                let heard = receive(machine, frame).and_then(|()| {
                    hear_more(machine, (&mut frames_in, &mut frames_out), events, waiting, &mut credits.incoming)
                });
                if let Err(exit) = heard {
                    return exit;
                }
            }
            () = ready(()), if credits.is_spent() => {
                credits = Credits::ROUND;
                tokio::task::yield_now().await;
            }
        }
    }
}

const REACTOR_GONE: Exit = Exit::Local("the reactor has ended");

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Asks the machine until it has nothing more to say: exit first, then events, then messages.
fn settle<M: Machine>(
    machine: &mut M,
    frames_out: &mut FrameSender,
    events: &EventSender<M::Event>,
    waiting: &mut Option<M::Event>,
) -> Result<(), Exit> {
    let now = now();
    loop {
        match next_word(machine, now, waiting.is_none(), frames_out.has_room()) {
            Some(Word::Exit(exit)) => return Err(exit),
            Some(Word::Event(event)) => match events.post(event) {
                Posted::Sent => {}
                Posted::Full(event) => *waiting = Some(event),
                Posted::Gone => return Err(REACTOR_GONE),
            },
            Some(Word::Message(message)) => frames_out.push(message.encode()),
            None => return Ok(()),
        }
    }
}

async fn leased<W>(work: Option<&RangeQueue<W>>, demand: Option<&Demand>) -> Lease<W> {
    match (work, demand) {
        (Some(work), Some(demand)) => work.wait(demand).await,
        (_, None) | (None, _) => pending().await,
    }
}

fn receive<M: Machine>(machine: &mut M, frame: Result<Option<Frame>, FrameError>) -> Result<(), Exit> {
    match frame {
        Ok(Some(frame)) => hear(machine, now(), frame),
        Ok(None) => Err(Exit::Closed { reopen: true }),
        Err(error) => Err(error.into()),
    }
}

/// Lets the machine hear what has arrived with a frame, before anyone else is asked whether they are ready: asking costs
/// more than hearing. The others wait for [`BURST`] frames at most, and the reactor's room is waited for as ever.
fn hear_more<M: Machine>(
    machine: &mut M,
    (frames_in, frames_out): (&mut FrameReceiver, &mut FrameSender),
    events: &EventSender<M::Event>,
    waiting: &mut Option<M::Event>,
    credit: &mut u32,
) -> Result<(), Exit> {
    for _ in 1..BURST {
        settle(machine, frames_out, events, waiting)?;
        if waiting.is_some() || *credit == 0 {
            return Ok(());
        }
        let Some(frame) = frames_in.next_ready()? else { return Ok(()) };
        spend(credit);
        hear(machine, now(), frame)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Cancel, Capabilities, Direction, Fence, OUTBOX_BYTES, PeerId, PeerInfo, Role, Spawner, Violation,
        routine::{Command, EventReceiver, Mailbox, Overflow, Publisher, events, inlet, publish, supervise},
        wire::Malformed,
    };
    use bytes::Bytes;
    use std::{
        net::SocketAddr,
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering},
        },
        time::Duration,
    };
    use tokio_test::{assert_pending, assert_ready, task};

    const GRACE: Duration = Duration::from_secs(20);

    /// What peer and toy say: a number, in four bytes.
    #[derive(Debug)]
    struct Word(u32);

    impl Message for Word {
        fn decode(frame: Frame) -> Result<Self, Malformed> {
            let bytes = frame.body[..].try_into().map_err(|_| Malformed::new("Word", "not four bytes"))?;
            Ok(Self(u32::from_le_bytes(bytes)))
        }

        fn encode(self) -> Frame {
            Frame::new(1, Bytes::copy_from_slice(&self.0.to_le_bytes()))
        }
    }

    impl Command for (u32, Overflow) {
        fn overflow(&self) -> Overflow {
            self.1
        }
    }

    const FAULT: u32 = 1000;
    const PANIC: u32 = 1001;
    const LEAVE: u32 = 1002;

    /// How often each thing was done.
    #[derive(Default)]
    struct Seen {
        state: AtomicU32,
        inputs: AtomicU32,
        timers: AtomicU32,
        sent: AtomicU32,
        work: AtomicU32,
        words: AtomicU32,
    }

    impl Seen {
        fn all(&self) -> [u32; 6] {
            let all = [&self.state, &self.inputs, &self.timers, &self.sent, &self.work, &self.words];
            all.map(|count| count.load(Ordering::SeqCst))
        }
    }

    /// A machine that reports each word as an event, and does what a test asks of it.
    #[derive(Default)]
    struct Toy {
        seen: Arc<Seen>,
        heard: Vec<u32>,
        to_send: u32,
        pause: bool,
        timeout: Option<Instant>,
        demand: Option<Demand>,
        held: Vec<Lease<()>>,
        leave: bool,
        floods: Option<Floods>,
    }

    /// Ends a toy keeps for itself, to make each of its own arms ready again at once.
    struct Floods {
        state: Publisher<u32>,
        mailbox: Mailbox<(u32, Overflow)>,
    }

    fn count(counter: &AtomicU32) {
        counter.fetch_add(1, Ordering::SeqCst);
    }

    impl Machine for Toy {
        type Message = Word;
        type State = u32;
        type Input = (u32, Overflow);
        type Event = u32;
        type Work = ();

        fn handle_message(&mut self, _now: Instant, Word(word): Word) -> Result<(), Violation> {
            count(&self.seen.words);
            match word {
                FAULT => return Err(Violation::protocol("toy", "a fault")),
                PANIC => panic!("the toy broke"),
                LEAVE => self.leave = true,
                _ if self.floods.is_some() => {}
                _ => self.heard.push(word),
            }
            Ok(())
        }

        fn handle_state(&mut self, _now: Instant, state: &u32) {
            count(&self.seen.state);
            if let Some(floods) = &self.floods {
                floods.state.set(*state);
            }
        }

        fn handle_input(&mut self, _now: Instant, input: (u32, Overflow)) {
            count(&self.seen.inputs);
            if let Some(floods) = &self.floods {
                assert!(floods.mailbox.send(input));
            }
        }

        fn handle_timeout(&mut self, now: Instant) {
            count(&self.seen.timers);
            assert!(self.timeout.is_some_and(|at| at <= now));
            if self.floods.is_none() {
                self.timeout = None;
            }
        }

        fn handle_work(&mut self, _now: Instant, lease: Lease<()>) {
            count(&self.seen.work);
            if self.floods.is_none() {
                self.held.push(lease);
                self.demand = None;
            }
        }

        fn poll_transmit(&mut self, _now: Instant) -> Option<Word> {
            // In a flood one word at a time, so that the outbox is unsent, and can be sent at once, in every turn.
            self.pause = self.floods.is_some() && !self.pause;
            self.to_send = self.to_send.checked_sub(1).filter(|_| self.floods.is_none() || self.pause)?;
            count(&self.seen.sent);
            Some(Word(7))
        }

        fn poll_event(&mut self) -> Option<u32> {
            if self.heard.is_empty() { None } else { Some(self.heard.remove(0)) }
        }

        fn poll_demand(&mut self, _now: Instant) -> Option<Demand> {
            self.demand.clone()
        }

        fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
            self.timeout.map(|at| (at, "toy"))
        }

        fn poll_exit(&mut self) -> Option<Exit> {
            self.leave.then_some(Exit::Local("the toy leaves"))
        }
    }

    /// The other ends of one routine.
    struct World {
        peer: Session,
        cancel: Cancel,
        publisher: Publisher<u32>,
        mailbox: Mailbox<(u32, Overflow)>,
        sender: EventSender<u32>,
        heard: EventReceiver<u32>,
        queue: RangeQueue<()>,
    }

    fn info(id: u8) -> PeerInfo {
        PeerInfo {
            id: PeerId::new([id; 32]),
            addr: SocketAddr::from(([127, 0, 0, 1], 1)),
            direction: Direction::Outbound,
            role: Role::Outbound,
            connection: Fence::mint(),
            capabilities: Capabilities::NONE,
        }
    }

    /// A world whose frames are `frames` deep and whose events and inputs are two deep.
    fn world(frames: usize) -> (Session, Ends<Toy>, World) {
        let (session, peer) = Session::pair(info(1), info(2), frames);
        let (publisher, state) = publish(0);
        let (mailbox, inlet) = inlet(2);
        let (sender, heard) = events(2);
        let queue = RangeQueue::new(0);
        queue.push([(1, 1, ()), (2, 1, ())]);
        let ends = Ends { state, inlet, events: sender.clone(), work: Some(queue.clone()) };
        let cancel = session.cancel.clone();
        (session, ends, World { peer, cancel, publisher, mailbox, sender, heard, queue })
    }

    fn ask() -> Option<Demand> {
        let servable = 1..=2;
        Some(Demand { owner: Fence::mint(), servable, max_count: 9, max_cost: 9, hedge: false })
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_on_every_arm_starves_none() {
        let (session, ends, World { mut peer, cancel, publisher, mailbox, mut heard, .. }) = world(1000);
        assert!(mailbox.send((0, Overflow::Park)));
        let seen = Arc::new(Seen::default());
        let toy = Toy {
            seen: Arc::clone(&seen),
            to_send: u32::MAX,
            timeout: Some(now()),
            demand: ask(),
            floods: Some(Floods { state: publisher, mailbox }),
            ..Toy::default()
        };
        let spawner = Spawner::new();
        spawner.spawn("writer", async move { while peer.frames_out.send(Word(1).encode()).await.is_ok() {} });
        spawner.spawn("reader", async move { while let Ok(Some(_)) = peer.frames_in.recv().await {} });
        spawner.spawn("routine", async move {
            assert_eq!(drive(toy, session, ends).await, Exit::Closed { reopen: false });
        });
        for _turn in 0..100_000 {
            if seen.all().into_iter().min() > Some(100) {
                break;
            }
            tokio::task::yield_now().await;
        }
        assert!(
            seen.all().into_iter().min() > Some(100),
            "state, inputs, timers, sent, work, words: {:?}",
            seen.all()
        );
        cancel.cancel();
        let words = seen.all()[5];
        assert_eq!(spawner.stop(GRACE).await.stragglers, [""; 0]);
        assert!(seen.all()[5] <= words + Credits::ROUND.incoming, "cancel comes before the flood");
        assert_eq!(heard.try_recv(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn each_end_of_a_routine_has_its_exit() {
        let cases = [
            (Some(Word(FAULT).encode()), Exit::Violation(Violation::protocol("toy", "a fault"))),
            (Some(Word(LEAVE).encode()), Exit::Local("the toy leaves")),
            (
                Some(Frame::new(1, Bytes::from_static(b"short"))),
                Exit::Violation(Violation::malformed("Word", "not four bytes")),
            ),
            (None, Exit::Closed { reopen: true }),
        ];
        for (frame, exit) in cases {
            let (session, ends, mut world) = world(1);
            if let Some(frame) = frame {
                world.peer.frames_out.send(frame).await.unwrap();
            } else {
                drop(world.peer);
            }
            assert_eq!(drive(Toy::default(), session, ends).await, exit);
        }
        assert_eq!(Exit::from(FrameError::Gone), Exit::Closed { reopen: true });
        assert!(matches!(Exit::from(FrameError::Stalled), Exit::Local(_)));
        let fault = Violation::malformed("frame", "too large");
        assert_eq!(Exit::from(FrameError::Violation(fault.clone())), Exit::Violation(fault));
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_gives_work_back_and_says_farewell() {
        let (session, ends, mut world) = world(1);
        let farewell = world.sender.farewell(99).await;
        let toy = Toy { demand: ask(), ..Toy::default() };
        let routine = supervise(async move {
            let _farewell = farewell;
            drive(toy, session, ends).await
        });
        let mut routine = task::spawn(routine);
        assert_pending!(routine.poll());
        assert_eq!(world.queue.counts().leased, 2);
        world.peer.frames_out.send(Word(PANIC).encode()).await.unwrap();
        assert_eq!(assert_ready!(routine.poll()), Exit::Panicked("the toy broke".into()));
        assert_eq!((world.queue.counts().leased, world.queue.counts().pending), (0, 2));
        assert_eq!(world.heard.try_recv(), Some(99));
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_inlet_parks_the_routine_or_loses_the_instruction_as_declared() {
        let (session, ends, world) = world(1);
        let seen = Arc::new(Seen::default());
        let toy = Toy { seen: Arc::clone(&seen), ..Toy::default() };
        let mut routine = task::spawn(drive(toy, session, ends));
        for _ in 0..3 {
            world.mailbox.send((0, Overflow::Drop));
        }
        assert_pending!(routine.poll());
        assert_eq!(seen.inputs.load(Ordering::SeqCst), 2);
        assert!(world.mailbox.send((0, Overflow::Park)) && world.mailbox.send((0, Overflow::Park)));
        assert!(!world.mailbox.send((0, Overflow::Park)));
        assert!(matches!(assert_ready!(routine.poll()), Exit::Local(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_reactor_is_busy_the_peer_waits_and_is_not_blamed() {
        let (session, ends, mut world) = world(8);
        let seen = Arc::new(Seen::default());
        let timeout = Some(now() + Duration::from_secs(1));
        let toy = Toy { seen: Arc::clone(&seen), timeout, ..Toy::default() };
        let mut routine = task::spawn(drive(toy, session, ends));
        assert_pending!(routine.poll());
        for word in 1..=5 {
            world.peer.frames_out.send(Word(word).encode()).await.unwrap();
        }
        assert_pending!(routine.poll());
        assert_eq!(seen.all()[5], 3, "two events in the channel, one waits");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_pending!(routine.poll());
        assert_eq!(seen.all()[2], 0, "no timeout fires while we are the ones who stall");
        for word in 1..=5 {
            assert_pending!(routine.poll());
            assert!(seen.all()[2] == 0 || seen.all()[5] == 5, "frames that waited come before the timeout");
            assert_eq!(world.heard.try_recv(), Some(word));
        }
        assert_pending!(routine.poll());
        assert_eq!(seen.all()[2], 1);
        for word in 6..=8 {
            world.peer.frames_out.send(Word(word).encode()).await.unwrap();
        }
        assert_pending!(routine.poll());
        world.cancel.cancel();
        assert_pending!(routine.poll(), "one event waits, and it is the routine's to tell");
        for word in 6..=8 {
            assert_eq!(world.heard.try_recv(), Some(word));
            if word == 6 {
                assert_eq!(assert_ready!(routine.poll()), Exit::Closed { reopen: false });
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reactor_that_ended_ends_the_routine_and_a_dropped_mailbox_does_not() {
        let (session, ends, world) = world(1);
        let World { mut peer, publisher, mailbox, heard, .. } = world;
        let mut routine = task::spawn(drive(Toy::default(), session, ends));
        drop((publisher, mailbox));
        assert_pending!(routine.poll());
        drop(heard);
        assert_pending!(routine.poll());
        peer.frames_out.send(Word(1).encode()).await.unwrap();
        assert_eq!(assert_ready!(routine.poll()), REACTOR_GONE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_timeout_comes_at_its_instant_and_state_at_the_start() {
        let (session, ends, _world) = world(1);
        let seen = Arc::new(Seen::default());
        let toy =
            Toy { seen: Arc::clone(&seen), timeout: Some(now() + Duration::from_secs(3)), ..Toy::default() };
        let mut routine = task::spawn(drive(toy, session, ends));
        assert_pending!(routine.poll());
        assert_eq!(seen.all()[0], 1);
        for (after, timers) in [(2, 0), (2, 1), (9, 1)] {
            tokio::time::advance(Duration::from_secs(after)).await;
            assert_pending!(routine.poll());
            assert_eq!(seen.all()[2], timers);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_read_fills_one_outbox_and_is_still_heard() {
        let (session, ends, mut world) = world(1);
        let seen = Arc::new(Seen::default());
        let toy = Toy { seen: Arc::clone(&seen), to_send: u32::MAX, ..Toy::default() };
        let mut routine = task::spawn(drive(toy, session, ends));
        assert_pending!(routine.poll());
        world.peer.frames_out.send(Word(1).encode()).await.unwrap();
        assert_pending!(routine.poll());
        let frame = Word(7).encode().wire_len();
        let most = OUTBOX_BYTES.div_ceil(frame) + 2;
        assert!(usize::try_from(seen.all()[3]).unwrap() <= most, "{} frames of {frame} bytes", seen.all()[3]);
        assert_eq!(world.heard.try_recv(), Some(1));
    }
}
