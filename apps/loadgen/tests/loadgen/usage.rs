//! What cannot be done is said before anything is done.

use std::process::Command;

use crate::program::run;

#[test]
fn what_cannot_be_done_ends_with_2_and_says_why() {
    let cases: [(&[&str], &str); 6] = [
        (&["idle", "--node", "ftp://x"], "ftp://x: not http://HOST:PORT"),
        (&["direct", "--guest"], "guests have no user id"),
        (&["broadcast", "--broadcast-payload", "{}"], "the payload has no {stamp}"),
        (&["broadcast", "--rate", "0"], "--in-flight is flat out"),
        (&["idle", "--token-file", "/nowhere"], "/nowhere"),
        (&["dance"], "invalid value 'dance'"),
    ];
    for (arguments, why) in cases {
        let output = run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
}

#[test]
fn too_few_open_files_are_named() {
    let script = r#"ulimit -n 60 && exec "$0" idle -n 100"#;
    let program = env!("CARGO_BIN_EXE_game-realtime-loadgen");
    let output = Command::new("sh").args(["-c", script, program]).output().expect("sh runs");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("100 connections need 164 open files, 60 are allowed"), "{said}");
}
