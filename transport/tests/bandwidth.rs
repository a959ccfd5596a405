//! Bounds on bytes a second, on real connections: what is above them waits, and nobody is blamed for it.

#![expect(clippy::unwrap_used, reason = "a scenario that cannot go on has failed")]

mod common;

use bytes::Bytes;
use common::{config, exchange, handover, news, session, start_with, within};
use std::{num::NonZeroU64, time::Duration};
use tokio::time::Instant;
use zakura_transport::{Bandwidth, Frame, Session, TransportConfig};

/// Bytes of a frame's body.
const BODY: usize = 50_000;
/// Frames that pass: a second and a half at the rate.
const FRAMES: usize = 15;
/// Bytes a second.
const RATE: Option<NonZeroU64> = NonZeroU64::new(500_000);
/// What they take at least: less a burst, and the last piece of each, for which nobody waits.
const LEAST: Duration = Duration::from_secs(1);

fn bounded(bandwidth: Bandwidth) -> TransportConfig {
    TransportConfig { bandwidth, ..config() }
}

/// Sends so many frames, and hears them.
async fn pass(from: &mut Session, to: &mut Session, count: usize) {
    let send = async {
        for _ in 0..count {
            from.frames_out.send(Frame::new(2, Bytes::from(vec![7; BODY]))).await.unwrap();
        }
    };
    let hear = async {
        for _ in 0..count {
            assert_eq!(to.frames_in.recv().await.unwrap().unwrap().payload_len(), BODY);
        }
    };
    within(async { tokio::join!(send, hear) }).await;
}

#[tokio::test]
async fn each_bound_delays_what_is_above_it_and_costs_nobody_anything() {
    let none = Bandwidth::default();
    let bounds = [
        (Bandwidth { up: RATE, ..none }, none),
        (Bandwidth { peer_up: RATE, ..none }, none),
        (none, Bandwidth { down: RATE, ..none }),
        (none, Bandwidth { peer_down: RATE, ..none }),
    ];
    for (ours, theirs) in bounds {
        let ((here, mut heres), (there, mut theres)) = (handover(vec![news()]), handover(vec![news()]));
        let here = start_with(1, here, bounded(ours)).await;
        let there = start_with(2, there, bounded(theirs)).await;
        here.dial(&there).await;
        let ((mut out, _out), (mut into, _into)) = (session(&mut heres).await, session(&mut theres).await);
        let since = Instant::now();
        pass(&mut out, &mut into, FRAMES).await;
        assert!(since.elapsed() > LEAST, "{ours:?} {theirs:?}: {:?}", since.elapsed());
        exchange(&mut out, &mut into, "still here").await;
        exchange(&mut into, &mut out, "the other way is free").await;
        assert_eq!(here.handle.peers().len(), 1);
        drop((out, into));
        here.stop().await;
        there.stop().await;
    }
}

#[tokio::test]
async fn the_bound_of_all_is_shared_by_all() {
    let (here, mut heres) = handover(vec![news()]);
    let here = start_with(1, here, bounded(Bandwidth { up: RATE, ..Bandwidth::default() })).await;
    let mut others = vec![];
    for seed in [2, 3, 4] {
        let (there, mut theres) = handover(vec![news()]);
        let there = start_with(seed, there, config()).await;
        here.dial(&there).await;
        let (ours, theirs) = (session(&mut heres).await, session(&mut theres).await);
        others.push((there, ours, theirs, theres));
    }
    let since = Instant::now();
    let each = others.iter_mut().map(|(_, (ours, _), (theirs, _), _)| pass(ours, theirs, FRAMES / 3));
    futures::future::join_all(each).await;
    assert!(since.elapsed() > LEAST, "{:?} for three", since.elapsed());
    drop((heres, others));
    here.stop().await;
}
