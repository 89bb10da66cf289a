//! When the node last heard from the feed, and whether it was behind then.

use std::time::Duration;

use tokio::time::Instant;

/// An event that is older than this when the feed brings it is late. Longer than any news takes.
pub(super) const LATE: Duration = Duration::from_secs(1);

/// The last news from the feed.
#[derive(Clone, Copy)]
pub(super) struct Contact {
    pub(super) at: Instant,
    /// When the feed last brought something old: this node was behind then.
    late_at: Option<Instant>,
    /// When it last brought something new, or said that there was nothing.
    current_at: Option<Instant>,
}

/// What the feed brought.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// What has long been known.
    Late,
    /// What has just happened, or that nothing has.
    Current,
    /// A history, which may be as old as it likes.
    History,
}

impl Contact {
    /// What is known once this has come, at `at`.
    pub(super) fn after(before: Option<Self>, news: News, at: Instant) -> Self {
        let last = |kind, before| if news == kind { Some(at) } else { before };
        Self {
            at,
            late_at: last(News::Late, before.and_then(|contact| contact.late_at)),
            current_at: last(News::Current, before.and_then(|contact| contact.current_at)),
        }
    }

    /// Whether everything that was committed before `since` has come by.
    pub(super) fn has_caught_up(&self, since: Instant) -> bool {
        self.late_at.is_none_or(|late_at| late_at < since)
            && self.current_at.is_some_and(|current_at| current_at > since + LATE)
    }
}
