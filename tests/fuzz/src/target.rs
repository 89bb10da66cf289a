//! One target's figures.

use std::{
    env,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};

/// Says how many inputs each target gets.
const ORDER: &str = "FUZZ_INPUTS";

/// How many inputs a target gets, and how many of them got through.
#[derive(Debug)]
pub struct Target {
    name: String,
    inputs: usize,
    started: Instant,
    tried: AtomicUsize,
    through: AtomicUsize,
}

impl Target {
    /// A target in a source file, which does with so many times fewer inputs than others.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "nobody pauses this time")]
    pub fn begin(file: &str, times_fewer: usize) -> Self {
        let ordered = env::var(ORDER).ok().and_then(|inputs| inputs.parse().ok());
        let file = Path::new(file).file_stem().unwrap_or_default().to_string_lossy();
        let thread = thread::current();
        let test = thread.name().and_then(|name| name.rsplit("::").next()).unwrap_or_default();
        Self {
            name: format!("{file}: {}", test.replace('_', " ")),
            inputs: (ordered.unwrap_or(crate::INPUTS) / times_fewer).max(1),
            started: Instant::now(),
            tried: AtomicUsize::new(0),
            through: AtomicUsize::new(0),
        }
    }

    /// How many inputs it gets.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Counts an input.
    pub fn count(&self, through: bool) {
        self.tried.fetch_add(1, Ordering::Relaxed);
        self.through.fetch_add(usize::from(through), Ordering::Relaxed);
    }
}

impl Drop for Target {
    /// Says what came of it, in a line of the table that `just fuzz` shows.
    fn drop(&mut self) {
        let Self { name, started, tried, through, .. } = self;
        let (tried, through) = (tried.load(Ordering::Relaxed), through.load(Ordering::Relaxed));
        let took = started.elapsed().as_secs_f64();
        eprintln!("fuzz {tried:>8} inputs, {through:>8} got through, {took:>6.1} s  {name}");
    }
}
