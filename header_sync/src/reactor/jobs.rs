//! What runs on the work pool: every call of the port that may block or burn.

use crate::{
    chain::{BlockRef, Work},
    ports::{Accept, Found, HeaderBatch, HeaderChain, HeaderQuery},
};
use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use std::{sync::Arc, time::Duration};
use zakura_transport::{
    Fence,
    routine::{Job, JobCx, JobFault, LatePolicy, Skipped, WorkEvent, WorkPolicy, WorkPool, events},
};

/// Headers one job checks: a few milliseconds of proof-of-work, so that a page spreads over all threads.
const CHUNK: usize = 32;

/// How a page is checked. The page of a slow pool is given up and fetched again later rather than held for ever; what was
/// proved by then counts, however late.
const CHECKING: WorkPolicy = WorkPolicy {
    deadline: Some(Duration::from_secs(30)),
    grace: Duration::from_secs(5),
    late: LatePolicy::Deliver,
    max_parallel: usize::MAX,
};

/// Work for the pool; each is answered by one [`Done`].
#[derive(Debug)]
pub(crate) enum Task {
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
pub(crate) enum Checked {
    /// Every header holds.
    Passed,
    /// The header at this position does not, for this reason.
    Bad(usize, String),
    /// We could not check.
    Unable(String),
}

/// A finished [`Task`].
#[derive(Debug)]
pub(crate) enum Done {
    Checked(Fence, Checked),
    Stored(Fence, Accept),
    Weighed(Fence, Option<Work>),
    Served(Fence, Found),
    Finalized,
}

impl Task {
    /// What kind of work it is.
    #[cfg(feature = "simulation")]
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Check(..) => "header check",
            Self::Store(..) => "header store",
            Self::Weigh(..) => "header weigh",
            Self::Serve(..) => "header serve",
            Self::Finalize(_) => "finalize",
        }
    }

    /// Headers it goes over.
    #[cfg(feature = "simulation")]
    pub(crate) fn items(&self) -> usize {
        match self {
            Self::Check(_, headers) => headers.len(),
            Self::Store(_, batch) => batch.headers.len(),
            Self::Serve(_, query) => usize::try_from(query.max_count).unwrap_or(usize::MAX),
            Self::Weigh(..) | Self::Finalize(_) => 1,
        }
    }

    /// Does the work here and now.
    pub(crate) fn perform(self, chain: &dyn HeaderChain) -> Done {
        match self {
            Self::Check(ticket, headers) => Done::Checked(ticket, check_run(0, &headers, chain)),
            Self::Store(ticket, batch) => Done::Stored(ticket, chain.accept(batch)),
            Self::Weigh(ticket, fork) => Done::Weighed(ticket, chain.work_above(fork)),
            Self::Serve(session, query) => Done::Served(session, chain.headers_after(&query)),
            Self::Finalize(floor) => {
                let view = chain.finalize(floor);
                tracing::debug!(?view, "finalized");
                Done::Finalized
            }
        }
    }

    /// What is said in its place if the pool could not do it.
    fn undone(&self) -> Undone {
        match *self {
            Self::Check(ticket, _) => {
                Box::new(move |fault| Done::Checked(ticket, Checked::Unable(fault.to_string())))
            }
            Self::Store(ticket, _) => {
                Box::new(move |fault| Done::Stored(ticket, Accept::Unavailable { reason: fault.to_string() }))
            }
            Self::Weigh(ticket, _) => Box::new(move |_| Done::Weighed(ticket, None)),
            Self::Serve(session, _) => Box::new(move |_| Done::Served(session, Found::Unavailable)),
            Self::Finalize(_) => Box::new(|_| Done::Finalized),
        }
    }
}

type Undone = Box<dyn FnOnce(JobFault) -> Done + Send>;

/// Runs a task, and counts what the pool skipped of it. The future waits for the pool and never burns the caller's thread.
pub(super) fn run(
    task: Task,
    chain: &Arc<dyn HeaderChain>,
    pool: &WorkPool,
) -> BoxFuture<'static, (Done, Skipped)> {
    let (chain, pool) = (Arc::clone(chain), pool.clone());
    if let Task::Check(ticket, headers) = task {
        return async move {
            let (checked, skipped) = check(headers, &chain, &pool).await;
            (Done::Checked(ticket, checked), skipped)
        }
        .boxed();
    }
    let undone = task.undone();
    async move {
        match pool.run(move || task.perform(&*chain)).await {
            Ok(done) => (done, Skipped::default()),
            Err(fault) => {
                let skipped = Skipped::from(&fault);
                (undone(fault), skipped)
            }
        }
    }
    .boxed()
}

/// Checks a run of headers, of which the first is at `first` in its page.
fn check_run(first: usize, headers: &[Bytes], chain: &dyn HeaderChain) -> Checked {
    let verdicts = headers.iter().enumerate().map(|(index, raw)| (index, chain.verify(raw)));
    let bad = verdicts.filter_map(|(index, verdict)| Some((index, verdict.err()?))).next();
    bad.map_or(Checked::Passed, |(index, invalid)| Checked::Bad(first.saturating_add(index), invalid.reason))
}

/// Checks headers in chunks on all threads. The first bad one stops the chunks that have not begun, so that a bad page costs
/// one bad check a thread and not one a header.
async fn check(headers: Vec<Bytes>, chain: &Arc<dyn HeaderChain>, pool: &WorkPool) -> (Checked, Skipped) {
    let chunks = headers.chunks(CHUNK).enumerate().map(|(number, chunk)| Chunk {
        first: number.saturating_mul(CHUNK),
        headers: chunk.to_vec(),
        chain: Arc::clone(chain),
    });
    let (out, mut heard) = events(CHUNKS_HEARD);
    let session = match pool.open(chunks.collect(), CHECKING, out) {
        Ok(session) => session,
        Err(busy) => return (Checked::Unable(busy.to_string()), busy.into()),
    };
    let (mut verdict, mut skipped) = (Checked::Passed, Skipped::default());
    while let Some(event) = heard.recv().await {
        match event {
            WorkEvent::Item { result: Ok(Checked::Passed), .. } => {}
            // Whichever chunk says so first: one proven fault is enough.
            WorkEvent::Item { result: Ok(bad), .. } => {
                session.cancel();
                return (bad, skipped);
            }
            WorkEvent::Item { result: Err(fault), .. } => {
                skipped.add(Skipped::from(&fault));
                verdict = Checked::Unable(fault.to_string());
            }
            WorkEvent::Closed { report, .. } if report.succeeded == report.examined => {
                return (verdict, skipped);
            }
            WorkEvent::Closed { report, .. } => {
                skipped.add(Skipped::from(&report));
                let short = format!("{} of {} checks were done", report.succeeded, report.examined);
                return (Checked::Unable(short), skipped);
            }
        }
    }
    (Checked::Unable("the work pool ended without a report".into()), skipped)
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
            let verdict =
                check_run(self.first.saturating_add(index), std::slice::from_ref(raw), &*self.chain);
            if verdict != Checked::Passed {
                return Ok(verdict);
            }
        }
        Ok(Checked::Passed)
    }
}
