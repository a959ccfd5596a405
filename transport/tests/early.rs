//! Whoever speaks as early as the wire allows is heard, however many do so at once (threat G04).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;
use common::{raw::*, *};
use std::{net::SocketAddr, sync::Arc};
use tokio::{sync::Barrier, task::JoinSet};
use zakura_transport::{Exit, Request, Service, Session, StreamSpec, TransportConfig};

/// Peers that come at once.
const CROWD: u8 = 96;

/// An [`Echo`] that is not ready before the last of the crowd is there.
struct Late(Echo, Arc<Barrier>);

impl Service for Late {
    fn streams(&self) -> Vec<StreamSpec> {
        self.0.streams()
    }

    async fn run(&self, session: Session) -> Exit {
        let cancel = session.cancel.clone();
        tokio::select! {
            biased;
            () = cancel.cancelled() => return Exit::Closed { reopen: false },
            _ = self.1.wait() => {}
        }
        self.0.run(session).await
    }

    async fn answer(&self, request: Request) -> Exit {
        self.0.answer(request).await
    }
}

/// Says Hello, a word and a request in one breath, and hears all three answers.
async fn early_bird(endpoint: Endpoint, seed: u8, to: SocketAddr) -> Connection {
    let connection = dial_as(&endpoint, seed, to).await;
    let (mut control, mut ack) = open(&connection, &RawHello::honest(seed, paced()).bytes()).await;
    control.finish().unwrap();
    // Nobody waits for the Ack: whatever there is room for is on its way.
    let word = [prelude(NEWS.0, 1, None, 1000), frame(1, 0, 2, b"hi")].concat();
    let (_news, mut heard) = open(&connection, &word).await;
    let question = [prelude(QUERY.0, 1, Some(1), 1000), frame(1, 0, 3, b"who")].concat();
    let (mut asking, mut answer) = open(&connection, &question).await;
    asking.finish().unwrap();
    assert_eq!(
        within(ack.read_to_end(1000)).await.unwrap().len(),
        112,
        "an Ack of 108 bytes behind its length"
    );
    let mut echo = [0; 10];
    within(heard.read_exact(&mut echo)).await.unwrap();
    assert_eq!(&echo[8..], b"hi");
    let twice = frame(1, 0, 3, b"WHO").repeat(2);
    assert_eq!(within(answer.read_to_end(1000)).await.unwrap(), twice);
    connection
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ninety_six_who_speak_before_the_service_is_ready_are_all_answered() {
    let service = Late(Echo(vec![news(), query()]), Arc::new(Barrier::new(usize::from(CROWD))));
    let roomy = TransportConfig { max_inbound: 128, pending_handshakes: 256, ..config() };
    let node = start_with(1, service, roomy).await;
    let (raw, to) = (endpoint(9), node.handle.local_addr());
    let mut birds = JoinSet::new();
    for seed in 0..CROWD {
        birds.spawn(early_bird(raw.clone(), 100 + seed, to));
    }
    let connections = within(birds.join_all()).await;
    assert!(
        connections.iter().all(|connection| connection.close_reason().is_none()),
        "and nobody is at fault"
    );
    assert_eq!(node.handle.peers().len(), usize::from(CROWD));
    drop(connections);
    node.stop().await;
}
