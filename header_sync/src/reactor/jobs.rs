//! What runs on the work pool: every call of the port that may block or burn.

use crate::{
    chain::{BlockRef, Work},
    ports::{Accept, Found, HeaderBatch, HeaderChain, HeaderQuery},
};
use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use std::sync::Arc;
use tokio::sync::mpsc;
use zakura_transport::{
    Fence,
    routine::{Job, JobCx, JobFault, WorkEvent, WorkPolicy, WorkPool},
};

/// Headers one job checks: a few milliseconds of proof-of-work, so that a page spreads over all threads.
const CHUNK: usize = 32;

/// Work for the pool; each is answered by one [`Done`].
#[derive(Debug)]
pub(super) enum Task {
    /// Check headers without context.
    Check(Fence, Vec<Bytes>),
    /// Hand a batch to the store.
    Store(Fence, HeaderBatch),
    /// Ask what a branch from this block has to beat.
    Weigh(Fence, BlockRef),
    /// Look up a page for a peer.
    Serve(Fence, HeaderQuery),
    /// Raise the finalized floor.
    Finalize(BlockRef),
}

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Checked {
    /// Every header holds.
    Passed,
    /// The header at this position does not, for this reason.
    Bad(usize, String),
    /// We could not check.
    Unable(String),
}

/// A finished [`Task`].
#[derive(Debug)]
pub(super) enum Done {
    Checked(Fence, Checked),
    Stored(Fence, Accept),
    Weighed(Fence, Option<Work>),
    Served(Fence, Found),
    Finalized,
}

/// Runs a task. The future waits for the pool and never burns the caller's thread.
pub(super) fn run(task: Task, chain: &Arc<dyn HeaderChain>, pool: &WorkPool) -> BoxFuture<'static, Done> {
    let (chain, pool) = (Arc::clone(chain), pool.clone());
    match task {
        Task::Check(ticket, headers) => {
            async move { Done::Checked(ticket, check(headers, &chain, &pool).await) }.boxed()
        }
        Task::Store(ticket, batch) => async move {
            let stored = pool.run(move || chain.accept(batch)).await;
            let unable = |fault| Accept::Unavailable { reason: JobFault::to_string(&fault) };
            Done::Stored(ticket, stored.unwrap_or_else(unable))
        }
        .boxed(),
        Task::Weigh(ticket, fork) => async move {
            Done::Weighed(ticket, pool.run(move || chain.work_above(fork)).await.ok().flatten())
        }
        .boxed(),
        Task::Serve(session, query) => async move {
            let found = pool.run(move || chain.headers_after(&query)).await;
            Done::Served(session, found.unwrap_or(Found::Unavailable))
        }
        .boxed(),
        Task::Finalize(floor) => async move {
            let view = pool.run(move || chain.finalize(floor)).await;
            tracing::debug!(?view, "finalized");
            Done::Finalized
        }
        .boxed(),
    }
}

/// Checks headers in chunks on all threads. The first bad one stops the chunks that have not begun, so that a bad page costs
/// one bad check a thread and not one a header.
async fn check(headers: Vec<Bytes>, chain: &Arc<dyn HeaderChain>, pool: &WorkPool) -> Checked {
    let chunks = headers.chunks(CHUNK).enumerate().map(|(number, chunk)| Chunk {
        first: number.saturating_mul(CHUNK),
        headers: chunk.to_vec(),
        chain: Arc::clone(chain),
    });
    let (out, mut heard) = mpsc::channel(CHUNKS_HEARD);
    let session = match pool.open(chunks.collect(), WorkPolicy::default(), out) {
        Ok(session) => session,
        Err(busy) => return Checked::Unable(busy.to_string()),
    };
    let mut verdict = Checked::Passed;
    while let Some(event) = heard.recv().await {
        match event {
            WorkEvent::Item { result: Ok(Checked::Passed), .. } => {}
            // Whichever chunk says so first: one proven fault is enough.
            WorkEvent::Item { result: Ok(bad), .. } => {
                session.cancel();
                return bad;
            }
            WorkEvent::Item { result: Err(fault), .. } => verdict = Checked::Unable(fault.to_string()),
            WorkEvent::Closed { report, .. } if report.succeeded == report.examined => return verdict,
            WorkEvent::Closed { report, .. } => {
                let short = format!("{} of {} checks were done", report.succeeded, report.examined);
                return Checked::Unable(short);
            }
        }
    }
    Checked::Unable("the work pool ended without a report".into())
}

/// Results that wait to be heard; one slot is kept for the session's end.
const CHUNKS_HEARD: usize = 16;

/// Consecutive headers of a page.
struct Chunk {
    /// The place of the first of them in the page.
    first: usize,
    headers: Vec<Bytes>,
    chain: Arc<dyn HeaderChain>,
}

impl Job for Chunk {
    type Out = Checked;

    fn run(self, cx: &JobCx) -> Result<Checked, JobFault> {
        for (index, raw) in self.headers.iter().enumerate() {
            if cx.is_cancelled() {
                return Err(JobFault::Cancelled);
            }
            if let Err(invalid) = self.chain.verify(raw) {
                return Ok(Checked::Bad(self.first.saturating_add(index), invalid.reason));
            }
        }
        Ok(Checked::Passed)
    }
}
