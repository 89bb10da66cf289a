//! The reader of the program's output may close the pipe early: `print-config | head -1`.

use std::{
    io::pipe,
    path::Path,
    process::{Command, Stdio},
};

use crate::{SECRET, WITH_SECRET};

/// The exit code of a run whose standard output, and with `both` its standard error too, is a pipe that
/// nobody reads any more; and what it says on its standard error otherwise.
fn run(arguments: &[&str], variables: &[(&str, &str)], both: bool) -> (Option<i32>, String) {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let stderr = if both { writer.try_clone().unwrap().into() } else { Stdio::piped() };
    let output = Command::new(env!("CARGO_BIN_EXE_game-realtime"))
        .args(arguments)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
        .env_clear()
        .envs(variables.iter().copied())
        .stdout(writer)
        .stderr(stderr)
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_result_that_nobody_reads_is_no_failure() {
    for both in [false, true] {
        for arguments in [
            &["print-config"][..],
            &["check-config"],
            &["token", "--user", "alice"],
            &["--help"],
            &["help", "serve"],
            &["--version"],
        ] {
            let ended = run(arguments, &[WITH_SECRET], both);
            assert_eq!(ended, (Some(0), String::new()), "{arguments:?} {both}");
        }
    }
}

#[test]
fn a_failure_that_nobody_reads_is_still_the_exit_code() {
    let wrong = [("GAME_REALTIME__AUTH__JWT__SECRET", SECRET), ("GAME_REALTIME__HTTP__PORT", "x")];
    for arguments in [&["print-config"][..], &["check-config"], &["serve"], &["token"], &["--nix"]]
    {
        assert_eq!(run(arguments, &wrong, true).0, Some(2), "{arguments:?}");
    }
    let nowhere = [WITH_SECRET, ("GAME_REALTIME__ADMIN__PORT", "1")];
    assert_eq!(run(&["healthcheck"], &nowhere, true).0, Some(1));
}
