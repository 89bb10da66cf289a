//! The program itself, as a process of its own.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// What came of a run.
pub(crate) struct Outcome {
    /// The exit code.
    pub(crate) code: Option<i32>,
    /// The report.
    pub(crate) report: Value,
}

/// Runs it to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_game-realtime-loadgen"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the program starts")
}

/// Runs it to its end, and reads its report.
pub(crate) fn report(arguments: &[&str]) -> Outcome {
    let output = run(&[arguments, &["--json", "-", "--quiet"]].concat());
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("no report ({error}): {}", String::from_utf8_lossy(&output.stderr))
    });
    Outcome { code: output.status.code(), report }
}

impl Outcome {
    /// A number of the report, e.g. `verdict.lost`.
    pub(crate) fn number(&self, path: &str) -> u64 {
        let found = self.report.pointer(&format!("/{}", path.replace('.', "/")));
        let number = found.and_then(Value::as_u64);
        number.unwrap_or_else(|| panic!("no number {path} in {:#}", self.report))
    }

    /// Asserts that all went well, and that the numbers of the report agree with each other.
    pub(crate) fn assert_clean(&self) {
        assert_eq!(
            (self.code, &self.report["verdict"]["ok"]),
            (Some(0), &true.into()),
            "{:#}",
            self.report
        );
        let verdict = |name: &str| self.number(&format!("verdict.{name}"));
        assert_eq!(verdict("sent"), verdict("accepted"), "{:#}", self.report);
        assert_eq!(verdict("delivered"), verdict("expected"), "{:#}", self.report);
        let faults =
            ["lost", "doubled", "out_of_order", "misdirected", "unanswered", "disconnected"];
        assert!(faults.iter().all(|name| verdict(name) == 0), "{:#}", self.report);
    }
}
