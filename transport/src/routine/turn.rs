//! What a machine says and hears in one turn, for every shell that drives it.

use super::machine::{Machine, Message};
use crate::{Exit, Frame};
use std::time::Instant;

/// The next thing a machine has to say.
pub(super) enum Word<M: Machine> {
    /// It is over.
    Exit(Exit),
    /// Something for the reactor.
    Event(M::Event),
    /// Something for the peer.
    Message(M::Message),
}

/// Asks a machine what it has to say: its exit first, then events while the reactor takes them, then messages while the
/// outbox has room.
pub(super) fn next_word<M: Machine>(
    machine: &mut M,
    now: Instant,
    takes_events: bool,
    takes_messages: bool,
) -> Option<Word<M>> {
    if let Some(exit) = machine.poll_exit() {
        return Some(Word::Exit(exit));
    }
    let event = if takes_events { machine.poll_event() } else { None };
    if let Some(event) = event {
        return Some(Word::Event(event));
    }
    let message = if takes_messages { machine.poll_transmit(now) } else { None };
    message.map(Word::Message)
}

/// Lets a machine hear a frame.
pub(super) fn hear<M: Machine>(machine: &mut M, now: Instant, frame: Frame) -> Result<(), Exit> {
    let message = M::Message::decode(frame).map_err(|error| Exit::Violation(error.into()))?;
    machine.handle_message(now, message).map_err(Exit::Violation)
}
