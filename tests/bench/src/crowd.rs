//! Many clients of one server, in a process of their own (program `crowd`).

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{ChildStdin, ChildStdout, Stdio},
};

use serde::{Deserialize, Serialize};

use crate::{
    process::{CLIENTS_CORE, Process},
    server::Server,
};

/// What the crowd says once all of it has joined.
pub const JOINED: &str = "joined";

/// Connected clients. They leave when this is dropped.
pub struct Crowd {
    _process: Process,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// What became of some broadcasts. Every client got each of them once, or there is no report.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// Frames that arrived.
    pub deliveries: u32,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// From sending a broadcast to its last delivery, one by one.
    pub milliseconds: Vec<f64>,
}

impl Crowd {
    /// Lets so many clients join a server.
    ///
    /// # Panics
    /// When one of them cannot.
    #[must_use]
    pub fn join(server: &Server, clients: usize) -> Self {
        let mut process = Process::start("crowd", CLIENTS_CORE, |command| {
            command
                .args([server.subject.program(), &server.port.to_string(), &clients.to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped());
        });
        let input = process.child().stdin.take().expect("stdin is a pipe");
        let output = BufReader::new(process.child().stdout.take().expect("stdout is a pipe"));
        let mut crowd = Self { _process: process, input, output };
        assert_eq!(crowd.read_line(), JOINED);
        crowd
    }

    /// One client broadcasts, again and again, each time when everybody has the last one.
    ///
    /// # Panics
    /// When a delivery is missing or one is too many.
    pub fn broadcast(&mut self, times: usize) -> Report {
        writeln!(self.input, "{times}").expect("the crowd listens");
        serde_json::from_str(&self.read_line()).expect("a report")
    }

    fn read_line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the crowd speaks");
        assert!(line.ends_with('\n'), "the crowd has left, see above why");
        line.trim_end().to_owned()
    }
}
