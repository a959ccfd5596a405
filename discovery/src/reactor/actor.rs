//! The reactor's loop: waits, asks [`State`] what to do, and does it.

use super::state::{Look, Order, State};
use crate::{
    machine::{Event, Guidance},
    ports::Surroundings,
    status::DiscoveryStatus,
};
use std::{
    future::pending,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::{MissedTickBehavior, interval};
use zakura_transport::{
    PeerEvent, PeerEvents, PeerEventsError, WeakTransportHandle,
    routine::{EventReceiver, Published, Publisher},
};

/// How often the book is searched for someone to dial, beside every change (wire 5.1).
const SCAN: Duration = Duration::from_secs(1);

/// The status is drawn up at most so often, and once a scan.
const STATUS_PACE: Duration = Duration::from_millis(50);

/// The reactor.
pub(crate) struct Actor {
    pub(crate) state: State,
    pub(crate) surroundings: Arc<dyn Surroundings>,
    pub(crate) transport: Published<Option<WeakTransportHandle>>,
    pub(crate) events: EventReceiver<Event>,
    pub(crate) guidance: Publisher<Guidance>,
    pub(crate) status: Publisher<Arc<DiscoveryStatus>>,
}

impl Actor {
    /// Runs until the service and all its sessions are gone.
    pub(crate) async fn run(mut self) {
        let mut scan = interval(SCAN);
        scan.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut peer_events = None;
        let mut said = (self.state.guidance(), now());
        let mut may_attach = true;
        loop {
            self.perform().await;
            tokio::select! {
                biased;
                transport = self.transport.changed(), if may_attach => match transport {
                    Ok(transport) => peer_events = self.attach(transport),
                    Err(_) => may_attach = false,
                },
                event = next(&mut peer_events) => match event {
                    Ok(event) => self.state.on_peer_event(now(), event),
                    // The scan looks at who is there.
                    Err(PeerEventsError::Missed(_)) => {}
                    // It is closed: there is no next one.
                    Err(_) => peer_events = None,
                },
                _ = scan.tick() => {
                    let look = self.look();
                    self.state.on_look(now(), look);
                    said.1 = now();
                    self.status.set(Arc::new(self.state.status()));
                }
                event = self.events.recv() => {
                    let Some(event) = event else { return };
                    self.state.on_event(now(), event);
                }
            }
            self.speak(&mut said);
        }
    }

    /// The transport has started: hears it, and knows where we listen.
    fn attach(&mut self, transport: Option<WeakTransportHandle>) -> Option<PeerEvents> {
        let transport = transport?.upgrade()?;
        let events = transport.events();
        let look = self.look();
        self.state.on_listening(now(), transport.local_addr(), look);
        Some(events)
    }

    fn look(&self) -> Look {
        let standing = self.transport.get().and_then(|transport| transport.upgrade());
        Look {
            since_epoch: self.surroundings.since_epoch(),
            summaries: self.surroundings.summaries(),
            standing: standing.map(|transport| transport.peers()).unwrap_or_default(),
        }
    }

    /// Does what the state asks for.
    async fn perform(&mut self) {
        for (mailbox, input) in self.state.take_mail() {
            // A routine that is gone wants no mail; one whose mailbox is full ends by itself.
            let _ = mailbox.send(input);
        }
        let orders = self.state.take_orders();
        let Some(transport) = self.transport.get().and_then(|transport| transport.upgrade()) else { return };
        for order in orders {
            match order {
                // An error says that the transport has stopped, and we are about to. Its pool never waits for us.
                Order::Dial(peer) => drop(transport.dial(peer).await),
                Order::Close(connection) => drop(transport.close_connection(connection).await),
            }
        }
    }

    /// Publishes what has changed, the status no more often than its pace.
    fn speak(&self, (guidance, status_at): &mut (Guidance, Instant)) {
        let fresh = self.state.guidance();
        if fresh != *guidance {
            *guidance = fresh.clone();
            self.guidance.set(fresh);
        }
        let at = now();
        if at.saturating_duration_since(*status_at) >= STATUS_PACE {
            *status_at = at;
            self.status.set(Arc::new(self.state.status()));
        }
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

async fn next(events: &mut Option<PeerEvents>) -> Result<PeerEvent, PeerEventsError> {
    match events {
        Some(events) => events.recv().await,
        None => pending().await,
    }
}
