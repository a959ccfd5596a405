//! Where every task and thread of a node begins, so that its end can be told.

use crate::{
    observe::{Text, rationed, target},
    plant::Seam,
    routine::{TaskEnd, contain, shielded},
};
use std::{
    collections::BTreeMap,
    future::{Future, pending},
    io,
    sync::Arc,
    time::Duration,
};
use tokio::sync::watch;

/// How many live tasks and threads bear a name. Names with none are not listed.
type Roll = BTreeMap<&'static str, usize>;

#[derive(Debug)]
struct Shared {
    roll: watch::Sender<Roll>,
    failed: watch::Sender<Option<&'static str>>,
    #[cfg(feature = "simulation")]
    killed: crate::Cancel,
    seam: Seam,
}

/// Starts a node's tasks and named threads, and knows which of them live. Clones share one roll.
///
/// It cancels nothing: tasks are asked to end through a [`Cancel`](crate::Cancel) they were given.
#[derive(Debug, Clone)]
pub struct Spawner(Arc<Shared>);

/// What [`Spawner::stop`] saw.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "it names the stragglers"]
pub struct TaskReport {
    /// Tasks and threads that have ended since stop was called.
    pub stopped: usize,
    /// The names of those that had not ended when the grace was over.
    pub stragglers: Vec<&'static str>,
}

/// One line of the roll, struck out on every path.
struct Listed {
    shared: Arc<Shared>,
    name: &'static str,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.shared.roll.send_modify(|roll| {
            if let Some(live) = roll.get_mut(self.name) {
                *live = live.saturating_sub(1);
                if *live == 0 {
                    roll.remove(self.name);
                }
            }
        });
    }
}

impl Default for Spawner {
    fn default() -> Self {
        Self::new()
    }
}

impl Spawner {
    /// A spawner with an empty roll, for one node.
    #[must_use]
    pub fn new() -> Self {
        Self::with_seam(Seam::none())
    }

    /// A spawner in whose tasks and threads the saboteur plants panics.
    #[cfg(feature = "simulation")]
    #[must_use]
    pub fn sabotaged(saboteur: Arc<dyn crate::Saboteur>) -> Self {
        Self::with_seam(Seam(Some(saboteur)))
    }

    fn with_seam(seam: Seam) -> Self {
        let (roll, failed) = (watch::Sender::new(Roll::new()), watch::Sender::new(None));
        Self(Arc::new(Shared {
            roll,
            failed,
            #[cfg(feature = "simulation")]
            killed: crate::Cancel::new(),
            seam,
        }))
    }

    /// Runs a task on the current tokio runtime. If it panics, that is logged and the task is over.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let (listed, task) = (self.list(name), self.0.seam.task(name, contain(task)));
        self.start(async move {
            if let TaskEnd::Panicked(message) = task.await {
                rationed!(error, target::TASK, task = name, panic = %Text::of(&message), "a task panicked");
            }
            drop(listed);
        });
    }

    /// Runs a task without which the node cannot go on: if it panics, [`failed`](Self::failed) names it.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn spawn_critical(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let (listed, task) = (self.list(name), self.0.seam.task(name, contain(task)));
        self.start(async move {
            if let TaskEnd::Panicked(message) = task.await {
                listed.fail(&message);
            }
            drop(listed);
        });
    }

    /// Runs `f` on a named thread of its own. A thread is critical: if it panics, [`failed`](Self::failed) names it.
    ///
    /// # Errors
    ///
    /// What the operating system says if it starts no thread.
    pub fn thread(&self, name: &'static str, f: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let listed = self.list(name);
        let body = move || {
            if let Err(message) = shielded(|| listed.shared.seam.thread(name, f)) {
                listed.fail(&message);
            }
        };
        std::thread::Builder::new().name(name.to_owned()).spawn(body).map(drop)
    }

    /// The live tasks and threads, by name.
    #[must_use]
    pub fn live(&self) -> Vec<(&'static str, usize)> {
        self.0.roll.borrow().iter().map(|(name, count)| (*name, *count)).collect()
    }

    /// Waits until the live tasks and threads are exactly these, as [`live`](Self::live) lists them. Cancel-safe.
    pub async fn live_is(&self, wanted: &[(&'static str, usize)]) {
        let mut roll = self.0.roll.subscribe();
        // The sender is ours, so it outlives the wait.
        drop(
            roll.wait_for(|roll| roll.iter().map(|(name, count)| (*name, *count)).eq(wanted.iter().copied()))
                .await,
        );
    }

    /// Waits for the first panic of a critical task or thread, and names it; at once if it has happened. Cancel-safe: who asks
    /// again hears the same.
    pub fn failed(&self) -> impl Future<Output = &'static str> + Send + 'static {
        let mut failed = self.0.failed.subscribe();
        async move {
            let name = failed.wait_for(Option::is_some).await.ok().and_then(|name| *name);
            // No sender is left, so nothing can fail any more.
            if let Some(name) = name { name } else { pending().await }
        }
    }

    /// Waits until every task and thread has ended, `grace` at most. Ask them to end first; called from a task of this
    /// spawner it waits for itself. Cancel-safe: it only looks on, and may be called again.
    pub async fn stop(&self, grace: Duration) -> TaskReport {
        let mut roll = self.0.roll.subscribe();
        let before: usize = roll.borrow().values().sum();
        let in_time = tokio::time::timeout(grace, roll.wait_for(Roll::is_empty)).await.is_ok();
        let left = if in_time { Roll::new() } else { self.0.roll.borrow().clone() };
        let stopped = before.saturating_sub(left.values().sum());
        TaskReport { stopped, stragglers: left.into_keys().collect() }
    }

    #[expect(clippy::disallowed_methods, reason = "this is the door through which every task goes")]
    fn start(&self, task: impl Future<Output = ()> + Send + 'static) {
        #[cfg(feature = "simulation")]
        let task = mortal(task, self.0.killed.clone());
        drop(tokio::spawn(task));
    }

    fn list(&self, name: &'static str) -> Listed {
        self.0.roll.send_modify(|roll| {
            let live = roll.entry(name).or_default();
            *live = live.saturating_add(1);
        });
        Listed { shared: Arc::clone(&self.0), name }
    }
}

impl Listed {
    fn fail(&self, message: &str) {
        tracing::error!(target: target::TASK, task = self.name, panic = %message, "a task the node cannot go on without panicked");
        self.shared.failed.send_if_modified(|failed| {
            let is_first = failed.is_none();
            failed.get_or_insert(self.name);
            is_first
        });
    }
}

/// The power cord of a simulated node.
#[cfg(feature = "simulation")]
impl Spawner {
    /// Drops every task where it is, those that are spawned later too: a crash, in which nobody says a last word. Threads
    /// go on. Returns at once; [`stop`](Self::stop) waits until the last task is gone.
    ///
    /// Cut the node's cables first: what a dropped connection still sends would make it an orderly end.
    pub fn kill(&self) {
        self.0.killed.cancel();
    }
}

/// Runs a task until its node is killed; from then on it is not polled again.
#[cfg(feature = "simulation")]
async fn mortal(task: impl Future<Output = ()>, killed: crate::Cancel) {
    tokio::select! {
        biased;
        () = killed.cancelled() => {}
        () = task => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cancel;
    use std::sync::mpsc;

    #[tokio::test(start_paused = true)]
    async fn stop_waits_for_tasks_and_names_stragglers() {
        let (spawner, cancel) = (Spawner::new(), Cancel::new());
        for _ in 0..2 {
            let cancel = cancel.clone();
            spawner.spawn("polite", async move { cancel.cancelled().await });
        }
        spawner.spawn("stuck", pending());
        assert_eq!(spawner.live(), [("polite", 2), ("stuck", 1)]);
        cancel.cancel();
        let report = spawner.stop(Duration::from_secs(1)).await;
        assert_eq!(report, TaskReport { stopped: 2, stragglers: vec!["stuck"] });
        assert_eq!(spawner.live(), [("stuck", 1)]);
    }

    #[cfg(feature = "simulation")]
    #[tokio::test(start_paused = true)]
    async fn a_killed_task_is_dropped_where_it_is_and_none_starts_after() {
        struct LastWord(mpsc::SyncSender<&'static str>);
        impl Drop for LastWord {
            fn drop(&mut self) {
                self.0.send("dropped").unwrap();
            }
        }
        let spawner = Spawner::new();
        let (words, heard) = mpsc::sync_channel(4);
        let (last, more) = (LastWord(words.clone()), words.clone());
        spawner.spawn("asleep", async move {
            let _last = last;
            tokio::time::sleep(Duration::from_secs(1)).await;
            more.send("went on").unwrap();
        });
        tokio::task::yield_now().await;
        spawner.kill();
        spawner.spawn_critical("late", async move { words.send("began").unwrap() });
        let report = spawner.stop(Duration::from_secs(5)).await;
        assert_eq!(report, TaskReport { stopped: 2, stragglers: vec![] });
        assert_eq!(heard.iter().collect::<Vec<_>>(), ["dropped"]);
        let lives_on = Spawner::new();
        lives_on.spawn("another node's", async {});
        assert_eq!(lives_on.stop(Duration::from_secs(5)).await.stopped, 1);
    }

    #[tokio::test]
    async fn threads_are_on_the_roll() {
        let spawner = Spawner::new();
        let (release, released) = mpsc::sync_channel::<()>(0);
        spawner.thread("store", move || assert!(released.recv().is_err())).unwrap();
        assert_eq!(spawner.live(), [("store", 1)]);
        drop(release);
        let report = spawner.stop(Duration::from_secs(10)).await;
        assert_eq!(report, TaskReport { stopped: 1, stragglers: vec![] });
    }

    #[tokio::test]
    async fn only_a_critical_panic_is_reported_and_the_first_one_stays() {
        let spawner = Spawner::new();
        spawner.spawn("routine", async { panic!("contained") });
        assert_eq!(spawner.stop(Duration::from_secs(10)).await.stragglers, [""; 0]);
        let mut failed = tokio_test::task::spawn(spawner.failed());
        tokio_test::assert_pending!(failed.poll());
        spawner.spawn_critical("reactor", async { panic!("broken") });
        assert_eq!(failed.await, "reactor");
        spawner.thread("store", || panic!("broken")).unwrap();
        assert_eq!(spawner.stop(Duration::from_secs(10)).await.stragglers, [""; 0]);
        assert_eq!(spawner.failed().await, "reactor");
    }
}
