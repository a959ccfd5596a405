//! The only per-peer loop.

use super::{
    machine::{Machine, Message},
    mailbox::{EventSender, Gone, Inlet, Posted, Published},
    work::{Demand, Lease, RangeQueue},
};
use crate::{Exit, Frame, FrameError, FrameSender, Session};
use std::{
    future::{pending, ready},
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

fn spend(credit: &mut u32) {
    *credit = credit.saturating_sub(1);
}

/// Runs one machine on one session to its end.
///
/// Order: cancel, state, inputs, timers, outgoing, work, incoming. While an event waits for the reactor only cancel
/// and outgoing are served: a routine may wait for its reactor, and neither new frames nor timeouts may pile up behind
/// that, for the wait is not the peer's fault.
///
/// Run it under [`supervise`](super::supervise()), as the transport does with every [`Service`](crate::Service).
pub async fn drive<M: Machine>(mut machine: M, session: Session, ends: Ends<M>) -> Exit {
    let Session { mut frames_in, mut frames_out, cancel, .. } = session;
    let Ends { mut state, mut inlet, events, work } = ends;
    let overflowed = inlet.overflowed();
    let mut timer = pin!(tokio::time::sleep_until(tokio::time::Instant::now()));
    let mut state_is_open = true;
    let mut credits = Credits::ROUND;
    // The event that found no room.
    let mut waiting: Option<M::Event> = None;

    machine.handle_state(now(), &state.get());
    loop {
        if let Err(exit) = settle(&mut machine, &mut frames_out, &events, &mut waiting) {
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
            room = events.room(), if !calm => match (room, waiting.take()) {
                (Ok(room), Some(event)) => room.send(event),
                (Ok(_), None) => {}
                (Err(Gone), _) => return REACTOR_GONE,
            },
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
                    return stopped(error);
                }
            }
            lease = leased(work.as_ref(), demand.as_ref()), if demand.is_some() && credits.work > 0 => {
                spend(&mut credits.work);
                machine.handle_work(now(), lease);
            }
            frame = frames_in.recv(), if calm && credits.incoming > 0 => {
                spend(&mut credits.incoming);
                if let Err(exit) = receive(&mut machine, frame) {
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
    loop {
        if let Some(exit) = machine.poll_exit() {
            return Err(exit);
        }
        while waiting.is_none()
            && let Some(event) = machine.poll_event()
        {
            match events.post(event) {
                Posted::Sent => {}
                Posted::Full(event) => *waiting = Some(event),
                Posted::Gone => return Err(REACTOR_GONE),
            }
        }
        if !frames_out.has_room() {
            return Ok(());
        }
        match machine.poll_transmit(now()) {
            Some(message) => frames_out.push(message.encode()),
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
        Ok(Some(frame)) => {
            let message = M::Message::decode(frame).map_err(|error| Exit::Violation(error.into()))?;
            machine.handle_message(now(), message).map_err(Exit::Violation)
        }
        Ok(None) => Err(Exit::Closed { reopen: true }),
        Err(error) => Err(stopped(error)),
    }
}

fn stopped(error: FrameError) -> Exit {
    match error {
        FrameError::Violation(violation) => Exit::Violation(violation),
        FrameError::Gone => Exit::Closed { reopen: true },
        FrameError::Stalled => Exit::Local("the peer took no byte within the write deadline"),
    }
}
