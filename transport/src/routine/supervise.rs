//! Panics become values.

use crate::{
    Exit,
    exit::cut,
    observe::{Text, rationed, target},
    plant::planted,
};
use futures::FutureExt;
use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// How a contained task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskEnd<R> {
    /// It returned.
    Finished(R),
    /// It panicked, with this message, of which at most [`MAX_TEXT`](crate::observe::MAX_TEXT) bytes are kept.
    Panicked(String),
}

/// Runs a routine to exactly one [`Exit`]; a panic is [`Exit::Panicked`].
///
/// What the routine owns (leases, permits, farewells) is dropped before this returns.
pub async fn supervise(routine: impl Future<Output = Exit>) -> Exit {
    match contain(routine).await {
        TaskEnd::Finished(exit) => exit,
        TaskEnd::Panicked(message) => Exit::Panicked(message),
    }
}

/// Runs any task to exactly one [`TaskEnd`].
///
/// What the task owns is dropped before this returns; a panic while dropping counts as the task's.
pub async fn contain<R>(task: impl Future<Output = R>) -> TaskEnd<R> {
    // Unwind-safe: what a panic leaves half done belongs to the task, and the task is dropped.
    let mut task = Box::pin(task);
    let end = AssertUnwindSafe(task.as_mut()).catch_unwind().await.map_err(panic_message);
    let dropped = shielded(|| drop(task));
    match (end, dropped) {
        (Ok(result), Ok(())) => TaskEnd::Finished(result),
        (Ok(result), Err(message)) => {
            bury("a task's result", result);
            TaskEnd::Panicked(message)
        }
        (Err(message), _) => TaskEnd::Panicked(message),
    }
}

/// Runs code that is not ours; its panic is its own.
pub(crate) fn shielded<R>(code: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(code)).map_err(panic_message)
}

/// Drops a value that is not ours. If that panics it is logged and goes no further: what has to happen afterwards
/// happens, and a panic that is under way already does not become a second one, which would abort the process.
///
/// One value at a time: of a collection whose values panic one after the other, the second panic aborts.
pub(crate) fn bury<T>(what: &'static str, value: T) {
    let buried = shielded(move || {
        let _value = value;
        planted(what);
    });
    if let Err(panic) = buried {
        rationed!(error, target::TASK, what, panic = %Text::of(&panic), "a drop panicked");
    }
}

/// The words of a panic, as many as are kept: they may hold a peer's.
pub(crate) fn panic_message(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    let text = cut(text.unwrap_or("a panic without words").to_owned());
    if let Err(nested) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        // A payload whose drop panics may do so with another of its kind, for ever: it is leaked.
        let _: &mut dyn Any = Box::leak(nested);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Poll;

    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("while dropping");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_end_is_one_value() {
        let closed = Exit::Closed { reopen: true };
        assert_eq!(supervise(async { Exit::Closed { reopen: true } }).await, closed);
        let local = supervise(async {
            tokio::task::yield_now().await;
            panic!("height {}", 7)
        });
        assert_eq!(local.await, Exit::Panicked("height 7".to_owned()));
        let bomb = Bomb;
        let dropping = std::future::poll_fn(move |_| {
            let _held = &bomb;
            Poll::Ready(())
        });
        assert_eq!(contain(dropping).await, TaskEnd::Panicked("while dropping".to_owned()));
        assert_eq!(contain(async { 7 }).await, TaskEnd::Finished(7));
        let wordy: TaskEnd<()> = contain(async { panic!("{}", "x".repeat(10_000)) }).await;
        assert_eq!(wordy, TaskEnd::Panicked(format!("{}...", "x".repeat(253))));
    }
}
