//! What the program says of itself and of its configuration: the real binary, run as operators
//! run it.
#![expect(clippy::unwrap_used, reason = "a test that cannot run the binary has failed")]

mod closed_pipes;
mod command_line;
mod configuration;
mod healthcheck;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

const SECRET: &str = "hunter2-hunter2-hunter2-hunter2-";

/// A run of the binary, in the root of the repository, with nothing in its environment but what
/// is given.
struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Run {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = Command::new(env!("CARGO_BIN_EXE_game-realtime"))
        .args(arguments)
        .current_dir(root)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The least that makes the defaults usable.
const WITH_SECRET: (&str, &str) = ("GAME_REALTIME__AUTH__JWT__SECRET", SECRET);

/// A configuration file that lives as long as this.
struct ConfigFile {
    _directory: TempDir,
    path: PathBuf,
}

impl ConfigFile {
    fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("game.toml");
        fs::write(&path, text).unwrap();
        Self { _directory: directory, path }
    }

    fn as_str(&self) -> &str {
        self.path.to_str().unwrap()
    }
}
