//! `healthcheck` against an admin port that answers, refuses or hangs.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    thread,
};

use crate::{WITH_SECRET, run};

/// The exit code with an admin port on `listener`.
fn ask(listener: &TcpListener, admin_host: &str) -> Option<i32> {
    let port = listener.local_addr().unwrap().port().to_string();
    let variables = [
        WITH_SECRET,
        ("GAME_REALTIME__ADMIN__PORT", port.as_str()),
        ("GAME_REALTIME__ADMIN__HOST", admin_host),
        ("GAME_REALTIME__HTTP__PORT", "0"),
    ];
    run(&["healthcheck"], &variables).code
}

/// Answers one request with `status`, and returns its first line.
fn answer_once(listener: &TcpListener, status: &str) -> String {
    let (mut stream, _) = listener.accept().unwrap();
    let mut request = String::new();
    BufReader::new(&stream).read_line(&mut request).unwrap();
    write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\n\r\n").unwrap();
    request
}

#[test]
fn a_node_that_answers_is_alive() {
    for admin_host in ["127.0.0.1", "0.0.0.0"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        thread::scope(|scope| {
            let request = scope.spawn(|| answer_once(&listener, "200 OK"));
            assert_eq!(ask(&listener, admin_host), Some(0));
            assert_eq!(request.join().unwrap(), "GET /healthz HTTP/1.1\r\n");
        });
    }
}

#[test]
fn any_other_answer_is_exit_code_1() {
    for status in ["503 Service Unavailable", "404 Not Found", ""] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        thread::scope(|scope| {
            scope.spawn(|| answer_once(&listener, status));
            assert_eq!(ask(&listener, "127.0.0.1"), Some(1), "{status}");
        });
    }
}

#[test]
fn no_answer_is_exit_code_1() {
    // The backlog takes the connection, nobody answers it.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    assert_eq!(ask(&listener, "127.0.0.1"), Some(1));
    let port = listener.local_addr().unwrap().port().to_string();
    drop(listener);
    let variables = [WITH_SECRET, ("GAME_REALTIME__ADMIN__PORT", port.as_str())];
    let run = run(&["healthcheck"], &variables);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("Connection refused"), "{}", run.stderr);
}
