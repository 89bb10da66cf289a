//! Many clients of one server, in one thread. Arguments: the subject's program, its port, how many
//! clients. Says `joined` when all of them have; then every line of the input is a number of
//! broadcasts, answered by a line with a report.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark: what cannot go on ends the program, and the answers go to stdout"
)]

mod client;
mod tally;

use std::{env, sync::Arc, time::Duration};

use game_realtime_bench::{
    crowd::{JOINED, Report},
    subject::Subject,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader, stdin},
    sync::{Semaphore, mpsc},
    time::{Instant, sleep},
};

use crate::{client::Client, tally::Tally};

/// How many clients open their connections at the same time.
const OPENING: usize = 64;
/// Between two broadcasts, so that the server is done with the first.
const PAUSE: Duration = Duration::from_millis(5);
/// How long it is watched for deliveries that are too many.
const AFTERMATH: Duration = Duration::from_millis(250);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [subject, port, clients] = arguments.as_slice() else { panic!("three arguments") };
    let subject: Subject = subject.parse().expect("a subject");
    let port: u16 = port.parse().expect("a port");
    let clients: u64 = clients.parse().expect("a number of clients");

    let tally = Arc::new(Tally::default());
    let speaker = join(subject, port, clients, &tally).await;
    println!("{JOINED}");

    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await.expect("input") {
        let times = line.parse().expect("a number of broadcasts");
        let report = broadcast(&speaker, &tally, times, clients).await;
        println!("{}", serde_json::to_string(&report).expect("a report is JSON"));
    }
}

/// Connects all clients and waits until each has joined. Returns the one that will speak.
async fn join(subject: Subject, port: u16, clients: u64, tally: &Arc<Tally>) -> Arc<Client> {
    let opening = Arc::new(Semaphore::new(OPENING));
    let (opened, mut speakers) = mpsc::channel(1);
    for number in 0..clients {
        let permit = Arc::clone(&opening).acquire_owned().await.expect("never closed");
        let (tally, opened) = (Arc::clone(tally), opened.clone());
        tokio::spawn(async move {
            let stayed = async {
                let (client, unread) = Client::open(subject, port, number).await?;
                let client = Arc::new(client);
                // One of them is enough.
                opened.try_send(Arc::clone(&client)).ok();
                drop((permit, opened));
                client.run(unread, &tally).await
            };
            let left = stayed.await;
            eprintln!("crowd: client {number} is not connected: {left:?}");
            std::process::exit(1);
        });
    }
    tally.joined.reach(clients).await;
    speakers.recv().await.expect("somebody has joined")
}

async fn broadcast(speaker: &Client, tally: &Tally, times: u32, clients: u64) -> Report {
    let (count_before, bytes_before) = (tally.deliveries.count(), tally.bytes.count());
    let mut milliseconds = Vec::new();
    let mut expected = count_before;
    for _ in 0..times {
        expected += clients;
        let started = Instant::now();
        speaker.broadcast().await.expect("the speaker is connected");
        tally.deliveries.reach(expected).await;
        milliseconds.push(started.elapsed().as_secs_f64() * 1000.0);
        sleep(PAUSE).await;
    }
    sleep(AFTERMATH).await;
    let deliveries = tally.deliveries.count() - count_before;
    assert_eq!(deliveries, u64::from(times) * clients, "deliveries");
    Report {
        deliveries: u32::try_from(deliveries).expect("not that many"),
        bytes: tally.bytes.count() - bytes_before,
        milliseconds,
    }
}
