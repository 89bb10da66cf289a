//! What becomes of a panic. Of a task that the node cannot do without: the end of the node. Of what is
//! done for one connection: the end of that connection. Never a node that lives on and serves nobody.

mod point;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
    thread,
};

use tokio::sync::watch;

pub use point::panic_point;

/// Watches the tasks that a node cannot do without. Clones share the alarm.
#[derive(Debug, Clone)]
pub struct Watchdog(Arc<watch::Sender<Option<&'static str>>>);

/// Sounds the alarm if it is dropped by a panic.
#[derive(Debug)]
#[must_use = "it watches until it is dropped"]
pub struct Guard {
    watchdog: Watchdog,
    task: &'static str,
}

impl Watchdog {
    /// One that has nothing to say.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }

    /// Runs a task that must not panic. If it does, the alarm says its name.
    pub async fn watch<F: Future>(self, task: &'static str, future: F) -> F::Output {
        let _guard = self.guard(task);
        future.await
    }

    /// As [`watch`](Self::watch), for a thread that holds the guard as long as it runs.
    pub fn guard(&self, task: &'static str) -> Guard {
        Guard { watchdog: self.clone(), task }
    }

    /// The first task that has panicked, if one has.
    #[must_use]
    pub fn alarmed(&self) -> Option<&'static str> {
        *self.0.borrow()
    }

    /// Waits until a task has panicked; which.
    pub async fn alarm(&self) -> &'static str {
        let mut alarm = self.0.subscribe();
        loop {
            let task = *alarm.borrow_and_update();
            if let Some(task) = task {
                return task;
            }
            // The sender is held by `self`.
            alarm.changed().await.ok();
        }
    }
}

impl Default for Watchdog {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if thread::panicking() {
            self.watchdog.0.send_if_modified(|alarm| {
                let first = alarm.is_none();
                *alarm = alarm.or(Some(self.task));
                first
            });
        }
    }
}

/// A panic, caught. What it said is of no use: it may be somebody's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("panicked")]
pub struct Panicked;

/// Runs what is done for one connection.
///
/// # Errors
/// [`Panicked`] if it did. The connection has to be ended then: what the future held is in no state to
/// go on with, and what it shares with others (counters, queues under locks that nobody panics with) is
/// as good as before.
pub async fn caught<F: Future>(future: F) -> Result<F::Output, Panicked> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| {
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(_payload) => Poll::Ready(Err(Panicked)),
        }
    })
    .await
}

/// As [`caught`], for what does not wait.
///
/// # Errors
/// [`Panicked`] if it did.
pub fn caught_now<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_payload| Panicked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_alarm_names_the_first_task_that_panicked() {
        let watchdog = Watchdog::new();
        let panicking =
            |task| tokio::spawn(watchdog.clone().watch(task, async move { panic!("{task}") }));
        tokio::spawn(watchdog.clone().watch("one that ends", async {})).await.unwrap();
        assert_eq!(watchdog.alarmed(), None);
        assert!(panicking("the first").await.is_err());
        assert!(panicking("the second").await.is_err());
        assert_eq!(watchdog.alarm().await, "the first");
        assert_eq!(watchdog.alarmed(), Some("the first"));
    }

    #[tokio::test]
    async fn whoever_waits_for_the_alarm_hears_it() {
        let watchdog = Watchdog::new();
        let heard = tokio::spawn({
            let watchdog = watchdog.clone();
            async move { watchdog.alarm().await }
        });
        tokio::task::yield_now().await;
        let guarded = watchdog.clone();
        let thread = thread::spawn(move || {
            let _guard = guarded.guard("a thread");
            panic!("it does");
        });
        assert!(thread.join().is_err());
        assert_eq!(heard.await.unwrap(), "a thread");
    }

    #[tokio::test]
    async fn a_task_that_is_ended_has_not_panicked() {
        let watchdog = Watchdog::new();
        let task = tokio::spawn(watchdog.clone().watch("one", std::future::pending::<()>()));
        tokio::task::yield_now().await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(watchdog.alarmed(), None);
    }

    #[tokio::test]
    async fn a_panic_is_caught_wherever_it_is() {
        assert_eq!(caught(async { 5 }).await, Ok(5));
        let later = async {
            tokio::task::yield_now().await;
            panic!("later")
        };
        assert_eq!(caught::<_>(later).await, Err::<(), _>(Panicked));
        assert_eq!(caught_now(|| panic!("now")), Err::<(), _>(Panicked));
    }
}
