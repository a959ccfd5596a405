//! What the transport costs beside raw quinn doing the same bytes, in one run:
//!
//! `cargo bench -p zakura-transport --bench raw_quinn` (`-- --pairs 3` for less, `-- messages` for one lane).
//!
//! - `messages`: one-way messages of 256 bytes through a driven, supervised machine against frames that two plain tasks write
//!   and read;
//! - `requests`: 64 bytes there and 1 KB back, at depth 1, 16 and 128, on a stream per request and on one ordered stream with
//!   ids, against one persistent stream of raw quinn;
//! - `idle`: a thousand connected and silent peers, resident memory and processor time of the listening process;
//! - `refused`: a stranger's first datagram that is dropped, and one that is answered with a Retry, against a handshake that is
//!   let in; processor time of the node, which has a process of its own.
//!
//! Arms alternate (A B B A); ratios are medians of pairs, with their quartiles. Time is processor time of the process, both
//! ends. Allocations are counted by the allocator, both ends. Linux: it reads `/proc`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench that cannot go on panics"
)]
#![allow(clippy::print_stdout, reason = "a bench prints what it measured")]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "the raw peer of the tests has more words than are needed here"
)]

mod idle;
mod measure;
mod ours;
mod plain;
mod process;
#[path = "../../tests/common/raw.rs"]
mod raw;
mod refused;

use measure::{Lane, pairs};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::{alloc::System, future::Future, time::Duration};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What the raw peer of the tests says about its network.
pub const REGTEST: u32 = 3;
/// And its chain.
pub const GENESIS: [u8; 32] = [0x22; 32];

/// Bytes of a message.
pub const MESSAGE: usize = 256;
/// Bytes of a question.
pub const QUESTION: usize = 64;
/// Bytes of an answer.
pub const ANSWER: usize = 1024;

/// Waits, but not for ever.
///
/// # Panics
///
/// If it takes a minute.
pub async fn within<T>(thing: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), thing).await.expect("within a minute")
}

fn main() {
    let mut words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if words.first().is_some_and(|word| word == "idle-end") {
        return idle::end(&words[1..]);
    }
    if words.first().is_some_and(|word| word == "refused-end") {
        return refused::end(&words[1..]);
    }
    let mut count = 5;
    if let Some(at) = words.iter().position(|word| word == "--pairs") {
        count = words[at + 1].parse().unwrap();
        words.drain(at..at + 2);
    }
    let wants = |lane: &str| words.is_empty() || words.iter().any(|word| word == lane);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if wants("messages") {
        runtime.block_on(messages(count));
    }
    if wants("requests") {
        runtime.block_on(requests(count));
    }
    if wants("idle") {
        idle::compare(1_000, count);
    }
    if wants("refused") {
        runtime.block_on(refused::compare(count));
    }
}

async fn messages(count: usize) {
    const MESSAGES: u64 = 100_000;
    let (mut ours, mut plain) = (ours::Messages::new().await, plain::Messages::new().await);
    let lane = Lane { name: "messages of 256 B", unit: "message", units: MESSAGES };
    pairs(&lane, count, async |is_ours| match is_ours {
        true => ours.pass(MESSAGES).await,
        false => plain.pass(MESSAGES).await,
    })
    .await;
}

async fn requests(count: usize) {
    const REQUESTS: u64 = 20_000;
    let (mut streams, mut ordered) = (ours::Requests::new().await, ours::Ordered::new().await);
    let mut plain = plain::Requests::new().await;
    for depth in [1, 16, 128] {
        let name = format!("requests, depth {depth}, one ordered stream");
        let lane = Lane { name: &name, unit: "request", units: REQUESTS };
        pairs(&lane, count, async |is_ours| match is_ours {
            true => ordered.pass(REQUESTS, depth).await,
            false => plain.pass(REQUESTS, depth).await,
        })
        .await;
        let name = format!("requests, depth {depth}, a stream each");
        let lane = Lane { name: &name, unit: "request", units: REQUESTS };
        pairs(&lane, count, async |is_ours| match is_ours {
            true => streams.pass(REQUESTS, depth).await,
            false => plain.pass(REQUESTS, depth).await,
        })
        .await;
    }
}
