//! The metrics that one test's stores report.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, atomic::AtomicU64, atomic::Ordering},
};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};

/// Keeps counters and gauges. Installed with `metrics::set_default_local_recorder`, it sees what
/// happens on the test's own thread: the test needs a runtime of a single thread.
#[derive(Default)]
pub(crate) struct Recorder {
    values: Mutex<HashMap<String, Arc<AtomicU64>>>,
}

impl Recorder {
    pub(crate) fn counter(&self, name: &str) -> u64 {
        self.value(name.to_owned()).load(Ordering::Relaxed)
    }

    pub(crate) fn gauge(&self, name: &str) -> f64 {
        f64::from_bits(self.counter(name))
    }

    /// Whether it was ever reported.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.values.lock().expect("no panic").contains_key(name)
    }

    fn value(&self, name: String) -> Arc<AtomicU64> {
        Arc::clone(self.values.lock().expect("no panic").entry(name).or_default())
    }
}

/// The name, and the values of its labels.
fn name(key: &Key) -> String {
    let labels: String = key.labels().map(|label| format!(" {}", label.value())).collect();
    format!("{}{labels}", key.name())
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.value(name(key)))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.value(name(key)))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
