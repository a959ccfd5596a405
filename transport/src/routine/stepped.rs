//! Services without tasks: the same machines and reactors, stepped by a simulation that owns time and order.
//!
//! [`drive`](super::drive()) waits for whatever is ready first; a [`Stepper`] is told the time and does what is due, in
//! the same order. Nothing here waits, so a world of many peers needs no runtime.

use super::{
    drive::Ends,
    machine::{Machine, Message},
    mailbox::Posted,
    probe::{Duty, Fill, Recount, Stand},
    turn::{Word, hear, next_word},
    work::{Keys, Lease, RangeQueue},
};
use crate::{Exit, Fence, Frame, OUTBOX_BYTES, PeerInfo, StreamSpec};
use std::{any::Any, collections::VecDeque, fmt, time::Instant};

/// A service whose reactor is stepped by hand.
pub trait SteppedService: fmt::Debug {
    /// The one ordered stream it runs.
    fn stream(&self) -> StreamSpec;

    /// Begins a session, as the transport would when the stream is open.
    fn open(&mut self, now: Instant, peer: &PeerInfo, session: Fence) -> Box<dyn SteppedRoutine>;

    /// Lets the reactor hear its events, decide, instruct routines and publish. What is to be computed comes back.
    fn advance(&mut self, now: Instant) -> Vec<SteppedJob>;

    /// A job is done.
    fn done(&mut self, now: Instant, result: JobResult);

    /// When to call [`advance`](Self::advance) although nothing has happened.
    fn wake(&self, now: Instant) -> Option<Instant>;

    /// Changes whenever any of its routines may have been told something, or may find work where there was none.
    fn pulse(&self) -> u64;

    /// The fill and the cap of everything this service holds that has one, by name (threats, I-R3).
    fn fills(&self) -> Vec<Fill>;

    /// Where the reactor stands, in numbers that are at hand.
    fn stand(&self) -> Stand;

    /// The reactor's sums beside what they are the sums of: costs as much as the books hold.
    fn recounts(&self) -> Vec<Recount>;

    /// Work that the reactor takes to be under way, by the job's name.
    fn jobs(&self) -> Vec<(&'static str, u64)>;

    /// Work that could be given out and is not, though nothing stands in the way: tips without an order beside a free
    /// peer, bodies that are not let in beside room for them.
    fn stranded(&self, now: Instant) -> u64;

    /// All that the reactor's books say, but for what runs off it, in words that are the same if nothing changed. Costs much.
    fn portrait(&self) -> String;

    /// Whether a result is about something that has ended or begun anew since it was asked for.
    fn is_stale(&self, result: &JobResult) -> bool;

    /// The keys of its range queue.
    fn keys(&self) -> &dyn Keys;
}

/// Work for the pool: a simulation runs it when it likes and brings the result back when it likes.
pub struct SteppedJob {
    /// What kind of work it is.
    pub name: &'static str,
    /// How many headers or bodies it goes over: what a modelled cost is reckoned by.
    pub items: usize,
    work: Box<dyn FnOnce() -> JobResult + Send>,
}

/// What a job computed, for the service that asked.
pub struct JobResult(Box<dyn Any + Send>);

impl SteppedJob {
    /// A job.
    #[must_use]
    pub fn new<T: Send + 'static>(
        name: &'static str,
        items: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Self {
        Self { name, items, work: Box::new(move || JobResult(Box::new(work()))) }
    }

    /// Does the work.
    #[must_use]
    pub fn run(self) -> JobResult {
        (self.work)()
    }
}

impl JobResult {
    /// A look at the result, if it is of this type.
    #[must_use]
    pub fn peek<T: 'static>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }

    /// The result, if it is of this type.
    #[must_use]
    pub fn open<T: 'static>(self) -> Option<T> {
        self.0.downcast().ok().map(|result| *result)
    }
}

impl fmt::Debug for SteppedJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SteppedJob").field("name", &self.name).field("items", &self.items).finish()
    }
}

impl fmt::Debug for JobResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JobResult")
    }
}

/// One peer's routine, stepped by hand. Dropping it ends the session as a cancel would.
pub trait SteppedRoutine {
    /// A frame has come from the peer. It is heard in the next turn.
    fn frame(&mut self, frame: Frame);

    /// The peer has ended the stream.
    fn finish(&mut self);

    /// Whether a turn could do anything now.
    fn is_due(&self, now: Instant) -> bool;

    /// Does everything that is due, in the order of [`drive`](super::drive()). The exit, once there is one; after that
    /// nothing more happens.
    fn turn(&mut self, now: Instant) -> Option<&Exit>;

    /// The next frame for the peer.
    fn take_frame(&mut self) -> Option<Frame>;

    /// When a turn is due although nothing happens.
    fn deadline(&self) -> Option<Instant>;

    /// Frames that have come and wait to be heard.
    fn backlog(&self) -> usize;

    /// What the machine has asked of its peer, and what it could be given.
    fn duty(&self) -> Duty;

    /// The machine's sums beside what they are the sums of.
    fn recounts(&self) -> Vec<Recount>;

    /// Whether the leases it holds are its own.
    ///
    /// # Errors
    ///
    /// The first contradiction with the queue's books.
    fn check_leases(&self) -> Result<(), String>;
}

/// Steps one machine. What the reactor is to hear last, when the session has ended, is said by `farewell`.
pub struct Stepper<M: Machine, F: FnMut(&Exit)> {
    machine: M,
    ends: Ends<M>,
    farewell: F,
    waiting: Option<M::Event>,
    incoming: VecDeque<Frame>,
    is_finished: bool,
    outbox: VecDeque<Frame>,
    outbox_bytes: usize,
    exit: Option<Exit>,
    /// What the queue was like when the last turn began, if there has been one.
    looked: Option<u64>,
    /// What the machine waited for when it last came to rest: it only moves in a turn, and is asked often.
    deadline: Option<Instant>,
}

impl<M: Machine, F: FnMut(&Exit)> fmt::Debug for Stepper<M, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stepper").field("exit", &self.exit).finish_non_exhaustive()
    }
}

impl<M: Machine, F: FnMut(&Exit)> Stepper<M, F> {
    /// A machine at the start of its session.
    pub fn new(now: Instant, mut machine: M, ends: Ends<M>, farewell: F) -> Self {
        machine.handle_state(now, &ends.state.get());
        Self {
            deadline: deadline(&machine),
            machine,
            ends,
            farewell,
            waiting: None,
            incoming: VecDeque::new(),
            is_finished: false,
            outbox: VecDeque::new(),
            outbox_bytes: 0,
            exit: None,
            looked: None,
        }
    }

    /// Lets the machine say all that there is room for.
    fn settle(&mut self, now: Instant) -> Result<(), Exit> {
        loop {
            let has_room = self.outbox_bytes < OUTBOX_BYTES;
            match next_word(&mut self.machine, now, self.waiting.is_none(), has_room) {
                Some(Word::Exit(exit)) => return Err(exit),
                Some(Word::Event(event)) => self.post(event)?,
                Some(Word::Message(message)) => {
                    let frame = message.encode();
                    self.outbox_bytes = self.outbox_bytes.saturating_add(frame.wire_len());
                    self.outbox.push_back(frame);
                }
                None => return Ok(()),
            }
        }
    }

    fn post(&mut self, event: M::Event) -> Result<(), Exit> {
        match self.ends.events.post(event) {
            Posted::Sent => Ok(()),
            Posted::Full(event) => {
                self.waiting = Some(event);
                Ok(())
            }
            Posted::Gone => Err(Exit::Local("the reactor has ended")),
        }
    }

    /// Takes the first thing that is due, in the order of `drive`. Whether there was one.
    fn take_one(&mut self, now: Instant) -> Result<bool, Exit> {
        if self.ends.inlet.has_overflowed() {
            return Err(Exit::Local("the routine fell behind its instructions"));
        }
        if let Some(event) = self.waiting.take() {
            self.post(event)?;
            return Ok(self.waiting.is_none());
        }
        if let Some(state) = self.ends.state.take_changed() {
            self.machine.handle_state(now, &state);
            return Ok(true);
        }
        if let Some(input) = self.ends.inlet.try_recv() {
            self.machine.handle_input(now, input);
            return Ok(true);
        }
        if self.machine.poll_timeout().is_some_and(|(at, _why)| at <= now) {
            self.machine.handle_timeout(now);
            return Ok(true);
        }
        let demand = self.ends.work.as_ref().and(self.machine.poll_demand(now));
        let lease = demand.and_then(|demand| self.ends.work.as_ref()?.take(&demand));
        if let Some(lease) = lease {
            self.machine.handle_work(now, lease);
            return Ok(true);
        }
        match self.incoming.pop_front() {
            Some(frame) => hear(&mut self.machine, now, frame).map(|()| true),
            None if self.is_finished => Err(Exit::Closed { reopen: true }),
            None => Ok(false),
        }
    }

    fn work(&mut self, now: Instant) -> Result<(), Exit> {
        for _ in 0..STEPS_PER_TURN {
            self.settle(now)?;
            if !self.take_one(now)? {
                return Ok(());
            }
        }
        Err(Exit::Local("the machine does not come to rest"))
    }

    /// Tells the reactor what it has not heard yet, and that the session is over.
    fn end(&mut self, exit: Exit) {
        let last = self.waiting.take().into_iter().chain(std::iter::from_fn(|| self.machine.poll_event()));
        for event in last {
            // A reactor that is full or gone in a world without waiting is a fault of the world, and shows there.
            if !matches!(self.ends.events.post(event), Posted::Sent) {
                break;
            }
        }
        (self.farewell)(&exit);
        self.exit = Some(exit);
    }
}

fn deadline(machine: &impl Machine) -> Option<Instant> {
    machine.poll_timeout().map(|(at, _why)| at)
}

/// Steps of one machine in one instant, at most: a machine that is never at rest is a fault, and would stop the world.
const STEPS_PER_TURN: usize = 100_000;

impl<M: Machine, F: FnMut(&Exit)> SteppedRoutine for Stepper<M, F> {
    fn frame(&mut self, frame: Frame) {
        self.incoming.push_back(frame);
    }

    fn finish(&mut self) {
        self.is_finished = true;
    }

    fn is_due(&self, now: Instant) -> bool {
        let has_come = !self.incoming.is_empty() || self.is_finished || self.waiting.is_some();
        let was_told = self.ends.state.has_news() || self.ends.inlet.has_news();
        let is_late = self.deadline.is_some_and(|at| at <= now);
        // An inlet that has overflowed has news.
        has_come || was_told || is_late || self.ends.work.as_ref().map(RangeQueue::version) != self.looked
    }

    fn turn(&mut self, now: Instant) -> Option<&Exit> {
        self.looked = self.ends.work.as_ref().map(RangeQueue::version);
        if self.exit.is_none()
            && let Err(exit) = self.work(now)
        {
            self.end(exit);
        }
        self.deadline = deadline(&self.machine);
        self.exit.as_ref()
    }

    fn take_frame(&mut self) -> Option<Frame> {
        let frame = self.outbox.pop_front()?;
        self.outbox_bytes = self.outbox_bytes.saturating_sub(frame.wire_len());
        Some(frame)
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn backlog(&self) -> usize {
        self.incoming.len()
    }

    fn duty(&self) -> Duty {
        self.machine.duty()
    }

    fn recounts(&self) -> Vec<Recount> {
        self.machine.recounts()
    }

    fn check_leases(&self) -> Result<(), String> {
        self.machine.leases().into_iter().try_for_each(Lease::check)
    }
}

impl<M: Machine, F: FnMut(&Exit)> Drop for Stepper<M, F> {
    fn drop(&mut self) {
        if self.exit.is_none() {
            self.end(Exit::Closed { reopen: false });
        }
    }
}
