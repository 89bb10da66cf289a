//! What all parts of one schedule share.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use tokio::time::Instant;

use crate::{
    node::Node, plan::Plan, random::Random, store::Store, tally::Tally, trace::Trace,
    validator::Validator,
};

pub(crate) struct World {
    pub(crate) started: Instant,
    pub(crate) random: Random,
    pub(crate) plan: Plan,
    pub(crate) trace: Trace,
    pub(crate) tally: Tally,
    pub(crate) store: Store,
    pub(crate) validator: Validator,
    nodes: Mutex<Vec<Arc<Node>>>,
    violations: Mutex<Vec<String>>,
    settling: AtomicBool,
}

/// Adds a line to the trace of a world.
macro_rules! note {
    ($world:expr, $($what:tt)*) => { $world.trace.note(format_args!($($what)*)) };
}
pub(crate) use note;

impl World {
    pub(crate) fn new(seed: u64, keep_trace: bool) -> Arc<Self> {
        let started = Instant::now();
        let random = Random::new(seed);
        Arc::new(Self {
            started,
            plan: Plan::draw(&random),
            random,
            trace: Trace::new(started, keep_trace),
            tally: Tally::default(),
            store: Store::new(),
            validator: Validator::default(),
            nodes: Mutex::default(),
            violations: Mutex::default(),
            settling: AtomicBool::new(false),
        })
    }

    /// A promise was broken.
    pub(crate) fn violated(&self, what: String) {
        note!(self, "VIOLATED: {what}");
        self.violations.lock().unwrap().push(what);
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        self.violations.lock().unwrap().clone()
    }

    /// Ends the trouble: clients come back, ask for what they do not know, and stay.
    pub(crate) fn settle(&self) {
        note!(self, "settling");
        self.settling.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_settling(&self) -> bool {
        self.settling.load(Ordering::Relaxed)
    }

    pub(crate) fn add_node(&self, node: Arc<Node>) {
        self.nodes.lock().unwrap().push(node);
    }

    /// Forgets the nodes, which know the world: otherwise none of them would ever be freed.
    pub(crate) fn clear(&self) {
        self.nodes.lock().unwrap().clear();
    }

    /// The nodes that take connections.
    pub(crate) fn nodes(&self) -> Vec<Arc<Node>> {
        let mut nodes = self.nodes.lock().unwrap();
        nodes.retain(|node| !node.stop.is_cancelled());
        nodes.iter().filter(|node| !node.is_draining()).cloned().collect()
    }
}
