//! Sans-IO per-peer protocol state.

use super::{
    Command,
    work::{Demand, Lease},
};
use crate::{Exit, Frame, Violation, wire::Malformed};
use std::time::Instant;

/// A service's messages: a total, bounded decoder and its inverse.
pub trait Message: Sized + Send + 'static {
    /// Reads a frame.
    ///
    /// # Errors
    ///
    /// [`Malformed`] names the field and the fault; it becomes a [`Violation`] of the peer.
    fn decode(frame: Frame) -> Result<Self, Malformed>;

    /// The frame that carries this message.
    fn encode(self) -> Frame;
}

/// One peer's protocol state. It performs nothing: it is told what happened and asked what to do.
///
/// Time comes in as `now`; nothing here reads a clock. After any `handle_*` call the shell polls until each poll says
/// there is nothing: [`poll_exit`](Self::poll_exit) first, then events, then messages; it asks
/// [`poll_demand`](Self::poll_demand) and [`poll_timeout`](Self::poll_timeout) before it waits again.
///
/// Messages are what every machine has. Whatever else it does not override, it does not do: it ignores state and
/// instructions, sets no timer, reports no event and asks for no work.
pub trait Machine: Send + 'static {
    /// What the peer and we say to each other.
    type Message: Message;
    /// Shared state published by the reactor; only the newest value matters (it coalesces).
    type State: Clone + Send + Sync + 'static;
    /// An instruction of the reactor to this one routine; it says itself what becomes of it when the mailbox is full.
    type Input: Command;
    /// What the reactor hears.
    type Event: Send + 'static;
    /// What the range queue holds.
    type Work: Clone + Send + Sync + 'static;

    /// The peer said something.
    ///
    /// # Errors
    ///
    /// The peer's provable fault ends the routine with [`Exit::Violation`].
    fn handle_message(&mut self, now: Instant, message: Self::Message) -> Result<(), Violation>;

    /// The shared state changed. Also called once at the start.
    fn handle_state(&mut self, now: Instant, state: &Self::State) {
        let _ = (now, state);
    }

    /// The reactor instructs this peer's routine.
    fn handle_input(&mut self, now: Instant, input: Self::Input) {
        let _ = (now, input);
    }

    /// The instant that [`poll_timeout`](Self::poll_timeout) named has come. The polls that follow may be all it takes.
    fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
    }

    /// Work that [`poll_demand`](Self::poll_demand) asked for. Dropping the lease gives it back.
    fn handle_work(&mut self, now: Instant, lease: Lease<Self::Work>) {
        let _ = (now, lease);
    }

    /// The next message for the peer. Asked only while the outbox has room.
    fn poll_transmit(&mut self, now: Instant) -> Option<Self::Message>;

    /// The next event for the reactor.
    fn poll_event(&mut self) -> Option<Self::Event> {
        None
    }

    /// What this peer could carry now, or `None` if it should carry no more.
    fn poll_demand(&mut self, now: Instant) -> Option<Demand> {
        let _ = now;
        None
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), and what for.
    fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        None
    }

    /// Why the routine should end now, if it should. Asked before everything else: messages that were polled and not flushed
    /// yet are lost, and none is polled any more. What the peer must hear, it must have heard before. Events are still told.
    fn poll_exit(&mut self) -> Option<Exit> {
        None
    }

    /// What it has asked of the peer and could be given, for those who look on.
    #[cfg(feature = "simulation")]
    fn duty(&self) -> super::Duty {
        super::Duty::default()
    }

    /// Its sums beside what they are the sums of, for those who look on.
    #[cfg(feature = "simulation")]
    fn recounts(&self) -> Vec<super::Recount> {
        Vec::new()
    }

    /// The leases it holds, for those who look on.
    #[cfg(feature = "simulation")]
    fn leases(&self) -> Vec<&Lease<Self::Work>> {
        Vec::new()
    }
}
