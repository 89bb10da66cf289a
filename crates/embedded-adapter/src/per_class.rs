//! One value for each class of events.

use game_realtime_domain::RetentionClass;

/// One value for each [`RetentionClass`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PerClass<T> {
    pub(crate) state: T,
    pub(crate) purchases: T,
}

impl<T> PerClass<T> {
    pub(crate) fn of(&self, class: RetentionClass) -> &T {
        match class {
            RetentionClass::State => &self.state,
            RetentionClass::Purchases => &self.purchases,
        }
    }

    pub(crate) fn of_mut(&mut self, class: RetentionClass) -> &mut T {
        match class {
            RetentionClass::State => &mut self.state,
            RetentionClass::Purchases => &mut self.purchases,
        }
    }
}
