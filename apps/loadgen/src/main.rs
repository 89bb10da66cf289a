//! The `game-realtime-loadgen` program.
//!
//! Exit codes: 0 if all went well, 1 if anything was lost, doubled, out of order, refused or cut off,
//! or the run could not go on, 2 if it was asked for what cannot be done.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Parser as _;
use game_realtime_loadgen::{cli::Cli, open_files, report::Report, run};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let plan = match cli.plan().and_then(|plan| Ok((open_files::allow(plan.connections)?, plan))) {
        Ok(((), plan)) => plan,
        Err(error) => return complain(&error, 2),
    };
    let report = match run(&plan) {
        Ok(report) => report,
        Err(error) => return complain(&error, 1),
    };
    match print(&report, cli.json.as_deref()) {
        Ok(()) => ExitCode::from(u8::from(!report.verdict.ok)),
        Err(error) => complain(&error, 1),
    }
}

/// The text goes to the standard output, unless the JSON does.
fn print(report: &Report, json: Option<&Path>) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    if let Some(path) = json {
        let text = serde_json::to_string_pretty(report)? + "\n";
        if path == Path::new("-") {
            stdout.write_all(text.as_bytes())?;
            return Ok(());
        }
        fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    write!(stdout, "{report}")?;
    Ok(())
}

fn complain(error: &anyhow::Error, code: u8) -> ExitCode {
    // If nobody listens, the exit code still says it.
    writeln!(io::stderr(), "{error:#}").ok();
    ExitCode::from(code)
}
