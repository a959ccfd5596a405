//! Planted panics: where a simulation may have us panic, to see what that costs.
//!
//! A point is one call of [`planted`]. Whether it panics is for the [`Saboteur`] to say that the node's
//! [`Spawner`](crate::Spawner) carries into every task and thread, so two nodes in one process differ. Without the
//! feature `simulation` nothing of this is compiled but an empty function and an empty value.

#[cfg(not(feature = "simulation"))]
pub(crate) use absent::{OnDrop, Seam, machine, planted};
#[cfg(feature = "simulation")]
pub(crate) use present::{OnDrop, Seam, machine};
#[cfg(feature = "simulation")]
pub use present::{Saboteur, planted};

#[cfg(not(feature = "simulation"))]
mod absent {
    use crate::routine::{Ends, Machine};
    use std::future::Future;

    /// What would be a point in the drop of a value.
    #[derive(Debug)]
    pub(crate) struct OnDrop;

    impl OnDrop {
        pub(crate) const fn new(_point: &'static str) -> Self {
            Self
        }
    }

    /// What a spawner would carry.
    #[derive(Debug)]
    pub(crate) struct Seam;

    #[inline]
    pub(crate) const fn planted(_point: &'static str) {}

    #[inline]
    pub(crate) fn machine<M: Machine>(machine: M, ends: Ends<M>) -> (M, Ends<M>) {
        (machine, ends)
    }

    impl Seam {
        pub(crate) const fn none() -> Self {
            Self
        }

        pub(crate) fn task<F: Future>(&self, _name: &'static str, task: F) -> F {
            task
        }

        pub(crate) fn thread<R>(&self, _name: &'static str, body: impl FnOnce() -> R) -> R {
            body()
        }
    }
}

#[cfg(feature = "simulation")]
mod present {
    use crate::{
        Exit, Frame, Violation,
        routine::{Demand, Ends, Lease, Machine, Message},
        wire::Malformed,
    };
    use std::{fmt, future::Future, sync::Arc, time::Instant};

    /// Says which occurrence of which point panics.
    pub trait Saboteur: Send + Sync + 'static {
        /// Asked at every point that is passed, by the name of the task or thread and of the point.
        fn strikes(&self, task: &'static str, point: &'static str) -> bool;
    }

    tokio::task_local! {
        static HERE: (Arc<dyn Saboteur>, &'static str);
    }

    /// A point: panics if the saboteur of this task says so. Not while a panic is under way already: a second one on its
    /// way out of a drop aborts the process, whoever is at fault.
    ///
    /// # Panics
    ///
    /// That is what it is for.
    #[expect(clippy::panic, reason = "a planted panic")]
    pub fn planted(point: &'static str) {
        if std::thread::panicking() {
            return;
        }
        let strikes = HERE.try_with(|(saboteur, task)| saboteur.strikes(task, point));
        if strikes.unwrap_or(false) {
            panic!("planted: {point}");
        }
    }

    /// A point in the drop of the value that holds it.
    #[derive(Debug)]
    pub(crate) struct OnDrop(&'static str);

    impl OnDrop {
        pub(crate) const fn new(point: &'static str) -> Self {
            Self(point)
        }
    }

    impl Drop for OnDrop {
        fn drop(&mut self) {
            planted(self.0);
        }
    }

    /// What a spawner carries.
    pub(crate) struct Seam(pub(crate) Option<Arc<dyn Saboteur>>);

    impl fmt::Debug for Seam {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Seam").field("planted", &self.0.is_some()).finish()
        }
    }

    impl Seam {
        pub(crate) const fn none() -> Self {
            Self(None)
        }

        pub(crate) fn task<F: Future>(
            &self,
            name: &'static str,
            task: F,
        ) -> impl Future<Output = F::Output> + use<F> {
            let saboteur = self.0.clone();
            async move {
                match saboteur {
                    Some(saboteur) => HERE.scope((saboteur, name), task).await,
                    None => task.await,
                }
            }
        }

        pub(crate) fn thread<R>(&self, name: &'static str, body: impl FnOnce() -> R) -> R {
            match self.0.clone() {
                Some(saboteur) => HERE.sync_scope((saboteur, name), body),
                None => body(),
            }
        }
    }

    /// A machine with a point before each of its calls.
    pub(crate) struct Planted<M>(M);

    /// A message with a point before decoding and encoding.
    pub(crate) struct PlantedMessage<M>(M);

    pub(crate) fn machine<M: Machine>(machine: M, ends: Ends<M>) -> (Planted<M>, Ends<Planted<M>>) {
        let Ends { state, inlet, events, work } = ends;
        (Planted(machine), Ends { state, inlet, events, work })
    }

    impl<M: Message> Message for PlantedMessage<M> {
        fn decode(frame: Frame) -> Result<Self, Malformed> {
            planted("decode");
            M::decode(frame).map(Self)
        }

        fn encode(self) -> Frame {
            planted("encode");
            self.0.encode()
        }
    }

    impl<M: Machine> Machine for Planted<M> {
        type Message = PlantedMessage<M::Message>;
        type State = M::State;
        type Input = M::Input;
        type Event = M::Event;
        type Work = M::Work;

        fn handle_message(&mut self, now: Instant, message: Self::Message) -> Result<(), Violation> {
            planted("handle_message");
            let handled = self.0.handle_message(now, message.0);
            planted("after handle_message");
            handled
        }

        fn handle_state(&mut self, now: Instant, state: &M::State) {
            planted("handle_state");
            self.0.handle_state(now, state);
        }

        fn handle_input(&mut self, now: Instant, input: M::Input) {
            planted("handle_input");
            self.0.handle_input(now, input);
        }

        fn handle_timeout(&mut self, now: Instant) {
            planted("handle_timeout");
            self.0.handle_timeout(now);
        }

        fn handle_work(&mut self, now: Instant, lease: Lease<M::Work>) {
            planted("handle_work");
            self.0.handle_work(now, lease);
        }

        fn poll_transmit(&mut self, now: Instant) -> Option<Self::Message> {
            planted("poll_transmit");
            self.0.poll_transmit(now).map(PlantedMessage)
        }

        fn poll_event(&mut self) -> Option<M::Event> {
            planted("poll_event");
            let event = self.0.poll_event();
            if event.is_some() {
                planted("after poll_event");
            }
            event
        }

        fn poll_demand(&mut self, now: Instant) -> Option<Demand> {
            planted("poll_demand");
            self.0.poll_demand(now)
        }

        fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
            planted("poll_timeout");
            self.0.poll_timeout()
        }

        fn poll_exit(&mut self) -> Option<Exit> {
            planted("poll_exit");
            self.0.poll_exit()
        }
    }
}
