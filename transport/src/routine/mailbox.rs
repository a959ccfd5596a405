//! What a reactor and its routines say to each other.
//!
//! A routine may wait for its reactor: [`EventSender::send`]. A reactor never waits for a routine: state is
//! [published](publish) and coalesces, and [`Mailbox::send`] returns at once, with a policy for the full mailbox that is
//! declared beside each instruction.

use crate::{Cancel, plant::planted, routine::bury};
use std::{convert::Infallible, sync::Arc};
use tokio::sync::{Notify, mpsc, watch};

/// What to do with an instruction that finds the mailbox full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// Only the newest matters (a wake-up, say): it waits beside the queue and replaces one that waits there.
    Coalesce,
    /// It may be lost (an announcement).
    Drop,
    /// It must not be lost (an answer that was asked for): the routine ends, and its work goes back to the queue.
    Park,
}

/// An instruction of a reactor to one routine.
pub trait Command: Send + Sync + 'static {
    /// What becomes of it when the mailbox is full.
    fn overflow(&self) -> Overflow;
}

/// For machines that take no instruction.
impl Command for Infallible {
    fn overflow(&self) -> Overflow {
        match *self {}
    }
}

/// A mailbox of `depth` instructions (at least one) and the inlet a routine reads them from.
#[must_use]
pub fn inlet<I: Command>(depth: usize) -> (Mailbox<I>, Inlet<I>) {
    let (queue, queued) = mpsc::channel(depth.max(1));
    let (newest, changed) = watch::channel(None);
    let (newest, overflowed) = (Arc::new(newest), Cancel::new());
    let mailbox = Mailbox { queue, newest: Arc::clone(&newest), overflowed: overflowed.clone() };
    (mailbox, Inlet { queued, newest, changed, overflowed, open: true })
}

/// The reactor's end.
#[derive(Debug)]
pub struct Mailbox<I> {
    queue: mpsc::Sender<I>,
    newest: Arc<watch::Sender<Option<I>>>,
    overflowed: Cancel,
}

impl<I> Clone for Mailbox<I> {
    fn clone(&self) -> Self {
        let (queue, newest) = (self.queue.clone(), Arc::clone(&self.newest));
        Self { queue, newest, overflowed: self.overflowed.clone() }
    }
}

impl<I: Command> Mailbox<I> {
    /// Leaves an instruction and returns at once. False if it was not left: the routine is gone or ends now, or the
    /// mailbox is full and the instruction may be lost.
    pub fn send(&self, input: I) -> bool {
        match self.queue.try_send(input) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(input)) => match input.overflow() {
                Overflow::Coalesce => {
                    drop(self.newest.send_replace(Some(input)));
                    true
                }
                Overflow::Drop => false,
                Overflow::Park => {
                    self.overflowed.cancel();
                    false
                }
            },
        }
    }

    /// Whether the routine is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }
}

/// The routine's end.
#[derive(Debug)]
pub struct Inlet<I> {
    queued: mpsc::Receiver<I>,
    newest: Arc<watch::Sender<Option<I>>>,
    changed: watch::Receiver<Option<I>>,
    overflowed: Cancel,
    open: bool,
}

impl<I: Command> Inlet<I> {
    /// The next instruction; waits for ever once the reactor has dropped the mailbox. Cancel-safe.
    pub async fn recv(&mut self) -> I {
        loop {
            tokio::select! {
                biased;
                queued = self.queued.recv(), if self.open => match queued {
                    Some(input) => return input,
                    None => self.open = false,
                },
                // The inlet holds a sender of its own, so this never fails.
                _ = self.changed.changed() => {
                    if let Some(input) = self.take_newest() {
                        return input;
                    }
                }
            }
        }
    }

    /// An instruction that has come already; queued ones go first.
    pub fn try_recv(&mut self) -> Option<I> {
        if let Ok(input) = self.queued.try_recv() {
            return Some(input);
        }
        if !self.changed.has_changed().unwrap_or(false) {
            return None;
        }
        drop(self.changed.borrow_and_update());
        self.take_newest()
    }

    /// Whether an instruction has come.
    #[cfg(feature = "simulation")]
    pub(super) fn has_news(&self) -> bool {
        !self.queued.is_empty() || self.changed.has_changed().unwrap_or(false)
    }

    /// The one that waits beside the queue.
    fn take_newest(&self) -> Option<I> {
        let mut input = None;
        self.newest.send_if_modified(|newest| {
            input = newest.take();
            false
        });
        input
    }

    /// Whether an instruction was refused that must not be lost.
    #[cfg(feature = "simulation")]
    pub(super) fn has_overflowed(&self) -> bool {
        self.overflowed.is_cancelled()
    }

    /// Cancelled once an instruction was refused that must not be lost.
    #[must_use]
    pub fn overflowed(&self) -> Cancel {
        self.overflowed.clone()
    }
}

impl<I> Drop for Inlet<I> {
    fn drop(&mut self) {
        self.queued.close();
        std::iter::from_fn(|| self.queued.try_recv().ok()).for_each(|input| bury("input drop", input));
    }
}

/// The other side has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the other side of the channel has ended")]
pub struct Gone;

/// A channel of `depth` events (at least one) from routines to their reactor.
#[must_use]
pub fn events<E: Send>(depth: usize) -> (EventSender<E>, EventReceiver<E>) {
    let (sender, receiver) = mpsc::channel(depth.max(1));
    (EventSender(sender), EventReceiver(receiver))
}

/// A routine's end of the events.
#[derive(Debug)]
pub struct EventSender<E>(mpsc::Sender<E>);

impl<E> Clone for EventSender<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// What became of an event that was not to wait.
pub(super) enum Posted<E> {
    Sent,
    Full(E),
    Gone,
}

impl<E: Send> EventSender<E> {
    /// Waits for room and sends. If the wait is dropped, the event was not sent and is dropped with it.
    ///
    /// # Errors
    ///
    /// [`Gone`] if the reactor has ended.
    pub async fn send(&self, event: E) -> Result<(), Gone> {
        self.0.send(event).await.map_err(|_| Gone)
    }

    /// Keeps room for one last event, which is sent when the guard is dropped: on return, cancel and panic alike, once.
    /// `None` if the reactor has ended. If the wait is dropped, no room is kept and the event is dropped unsent.
    pub async fn farewell(&self, event: E) -> Option<Farewell<E>> {
        let room = self.0.clone().reserve_owned().await.ok()?;
        Some(Farewell { last: Some((room, event)) })
    }

    /// As [`farewell`](Self::farewell), for who does not wait: `None` too if there is no room now.
    #[must_use]
    pub fn try_farewell(&self, event: E) -> Option<Farewell<E>> {
        let room = self.0.clone().try_reserve_owned().ok()?;
        Some(Farewell { last: Some((room, event)) })
    }

    pub(super) fn post(&self, event: E) -> Posted<E> {
        match self.0.try_send(event) {
            Ok(()) => Posted::Sent,
            Err(mpsc::error::TrySendError::Full(event)) => Posted::Full(event),
            Err(mpsc::error::TrySendError::Closed(_)) => Posted::Gone,
        }
    }

    /// The channel underneath, for who keeps room in it and looks for it with no wait.
    pub(super) fn into_queue(self) -> mpsc::Sender<E> {
        self.0
    }

    pub(super) async fn room(&self) -> Result<mpsc::Permit<'_, E>, Gone> {
        self.0.reserve().await.map_err(|_| Gone)
    }
}

/// The reactor's end of the events.
#[derive(Debug)]
pub struct EventReceiver<E>(mpsc::Receiver<E>);

impl<E> EventReceiver<E> {
    /// The next event, or `None` once every sender and farewell is gone. Cancel-safe.
    pub async fn recv(&mut self) -> Option<E> {
        let event = self.0.recv().await?;
        planted("event");
        Some(event)
    }

    /// An event that has come already.
    pub fn try_recv(&mut self) -> Option<E> {
        let event = self.0.try_recv().ok()?;
        planted("event");
        Some(event)
    }
}

impl<E> Drop for EventReceiver<E> {
    fn drop(&mut self) {
        self.0.close();
        std::iter::from_fn(|| self.0.try_recv().ok()).for_each(|event| bury("event drop", event));
    }
}

/// An event that is sent when this is dropped; its room is reserved, so it is never lost.
#[derive(Debug)]
#[must_use = "dropping it sends the event"]
pub struct Farewell<E> {
    last: Option<(mpsc::OwnedPermit<E>, E)>,
}

impl<E> Farewell<E> {
    /// The event, to be amended before it is sent.
    pub fn event_mut(&mut self) -> Option<&mut E> {
        self.last.as_mut().map(|(_, event)| event)
    }
}

impl<E> Drop for Farewell<E> {
    fn drop(&mut self) {
        if let Some((room, event)) = self.last.take() {
            drop(room.send(event));
        }
    }
}

/// State that a reactor publishes and routines read; only the newest value matters.
#[must_use]
pub fn publish<S: Clone + Send + Sync>(initial: S) -> (Publisher<S>, Published<S>) {
    let (sender, state) = watch::channel(initial);
    let bell = Arc::new(Notify::new());
    (Publisher { state: sender, bell: Bell(Arc::clone(&bell)) }, Published { state, bell })
}

/// The writing end of published state.
///
/// A `watch` holds the state, and never anyone who waits: it would wake them by chance, and what a node does first would
/// be another thing in each run. The bell wakes them in the order in which they came.
#[derive(Debug)]
pub struct Publisher<S> {
    state: watch::Sender<S>,
    /// After the state: who hears the last ring finds the state closed.
    bell: Bell,
}

/// Rings once more when the publisher is gone.
#[derive(Debug)]
struct Bell(Arc<Notify>);

impl Drop for Bell {
    fn drop(&mut self) {
        self.0.notify_waiters();
    }
}

impl<S> Publisher<S> {
    /// Replaces the state and wakes who waits for a change.
    pub fn set(&self, state: S) {
        drop(self.state.send_replace(state));
        self.bell.0.notify_waiters();
    }
}

/// A reading end of published state.
#[derive(Debug)]
pub struct Published<S> {
    state: watch::Receiver<S>,
    bell: Arc<Notify>,
}

impl<S> Clone for Published<S> {
    fn clone(&self) -> Self {
        Self { state: self.state.clone(), bell: Arc::clone(&self.bell) }
    }
}

impl<S: Clone> Published<S> {
    /// The state now.
    #[must_use]
    pub fn get(&self) -> S {
        self.state.borrow().clone()
    }

    /// Whether it has been set since this end last saw it.
    #[cfg(feature = "simulation")]
    pub(super) fn has_news(&self) -> bool {
        self.state.has_changed().unwrap_or(false)
    }

    /// The state, if it has been set since this end last saw it.
    pub fn take_changed(&mut self) -> Option<S> {
        // The last state of a publisher that is gone stays.
        let has_changed = self.state.has_changed().unwrap_or(false);
        has_changed.then(|| self.state.borrow_and_update().clone())
    }

    /// Waits until the state has been set since this end last saw it. Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`Gone`] once the publisher is dropped and the last state was seen.
    pub async fn changed(&mut self) -> Result<S, Gone> {
        loop {
            // From here on it hears every ring: none falls between the look and the wait.
            let rung = self.bell.notified();
            // Asked first: who is gone sets nothing more, and the last state is still to be seen.
            let is_gone = self.state.has_changed().is_err();
            if let Some(state) = unseen(&mut self.state) {
                return Ok(state);
            }
            if is_gone {
                return Err(Gone);
            }
            rung.await;
        }
    }
}

fn unseen<S: Clone>(receiver: &mut watch::Receiver<S>) -> Option<S> {
    let state = receiver.borrow_and_update();
    state.has_changed().then(|| state.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routine::contain;
    use tokio_test::{assert_pending, assert_ready, task};

    #[derive(Debug, PartialEq)]
    struct Say(u32, Overflow);

    impl Command for Say {
        fn overflow(&self) -> Overflow {
            self.1
        }
    }

    #[test]
    fn a_full_mailbox_does_what_each_instruction_declares() {
        let (mailbox, mut inlet) = inlet(1);
        assert!(mailbox.send(Say(0, Overflow::Park)));
        assert!(!mailbox.send(Say(1, Overflow::Drop)));
        assert!(mailbox.send(Say(2, Overflow::Coalesce)));
        assert!(mailbox.send(Say(3, Overflow::Coalesce)));
        assert!(!inlet.overflowed().is_cancelled());
        assert_eq!(assert_ready!(task::spawn(inlet.recv()).poll()).0, 0);
        assert_eq!(assert_ready!(task::spawn(inlet.recv()).poll()).0, 3, "the newest of those that coalesce");
        assert_pending!(task::spawn(inlet.recv()).poll());
        assert!(mailbox.send(Say(4, Overflow::Drop)));
        assert!(!mailbox.send(Say(5, Overflow::Park)));
        assert!(inlet.overflowed().is_cancelled());
        drop(inlet);
        assert!(mailbox.is_closed());
    }

    #[test]
    fn a_dropped_mailbox_leaves_the_routine_alone() {
        let (mailbox, mut inlet) = inlet::<Infallible>(1);
        drop(mailbox);
        assert_pending!(task::spawn(inlet.recv()).poll());
    }

    #[tokio::test(start_paused = true)]
    async fn a_farewell_is_sent_once_through_a_panic_and_a_full_channel() {
        let (sender, mut receiver) = events(2);
        let mut farewell = sender.farewell("bye").await.unwrap();
        *farewell.event_mut().unwrap() = "good bye";
        sender.send("full").await.unwrap();
        assert!(matches!(sender.post("more"), Posted::Full("more")));
        let end = contain(async move {
            let _farewell = farewell;
            panic!("boom");
        });
        let _: crate::routine::TaskEnd<()> = end.await;
        assert_eq!(receiver.recv().await, Some("full"));
        assert_eq!(receiver.recv().await, Some("good bye"));
        assert_eq!(receiver.try_recv(), None);
        drop(receiver);
        assert!(sender.farewell("nobody").await.is_none());
        assert_eq!(sender.send("nobody").await, Err(Gone));
    }

    #[test]
    fn those_who_wait_for_published_state_are_woken_in_the_order_in_which_they_came() {
        struct Line(usize, mpsc::Sender<usize>);
        impl std::task::Wake for Line {
            fn wake(self: Arc<Self>) {
                self.1.try_send(self.0).unwrap();
            }
        }
        let (publisher, published) = publish(0);
        let (woken, mut order) = mpsc::channel(64);
        let mut ends: Vec<_> = (0..32).map(|_| published.clone()).collect();
        let mut waits: Vec<_> = ends.iter_mut().map(|end| Box::pin(end.changed())).collect();
        for (place, wait) in waits.iter_mut().enumerate() {
            let waker = Arc::new(Line(place, woken.clone())).into();
            let polled = wait.as_mut().poll(&mut std::task::Context::from_waker(&waker));
            assert!(polled.is_pending());
        }
        publisher.set(1);
        let woken: Vec<_> = std::iter::from_fn(|| order.try_recv().ok()).collect();
        assert_eq!(woken, (0..32).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn published_state_coalesces() {
        let (publisher, mut published) = publish(0);
        publisher.set(1);
        publisher.set(2);
        assert_eq!(published.changed().await, Ok(2));
        assert_pending!(task::spawn(published.changed()).poll());
        publisher.set(3);
        drop(publisher);
        assert_eq!(published.changed().await, Ok(3), "the last word is heard");
        assert_eq!(published.changed().await, Err(Gone));
        assert_eq!(published.get(), 3);
    }
}
