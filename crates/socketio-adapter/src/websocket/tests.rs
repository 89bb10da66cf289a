//! However full the socket is: what was taken is written, each frame whole and in its place.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use game_realtime_application::ports::PushOutcome;
use game_realtime_fuzz::{
    below,
    bolero::{Driver, ValueGenerator},
    fuzz,
};
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWrite},
    net::{TcpListener, TcpSocket, TcpStream},
    runtime::Runtime,
    time::timeout,
};
use tokio_util::task::TaskTracker;

use super::*;
use crate::{frame_filter::FrameFilter, peer::Slots};

/// What waits for the client at most, in bytes.
const BUFFER: usize = 6 * 1024;
/// The room of each socket; the system takes twice as much, and its own least.
const SOCKET: usize = 2048;
/// The longest payload of a frame, in bytes.
const LONGEST: usize = 3000;
const PATIENCE: Duration = Duration::from_secs(20);
const GATES: usize = 3;

/// The two ends of a connection that holds next to nothing.
async fn connection() -> (Arc<Transport>, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let client = TcpSocket::new_v4().unwrap();
    client.set_recv_buffer_size(u32::try_from(SOCKET).unwrap()).unwrap();
    let (client, server) =
        tokio::join!(client.connect(listener.local_addr().unwrap()), listener.accept());
    let (server, _) = server.unwrap();
    SockRef::from(&server).set_send_buffer_size(SOCKET).unwrap();
    let slot = Slots::new(0).take().unwrap();
    (Transport::new(server, slot, BUFFER, PATIENCE, TaskTracker::new()), client.unwrap())
}

/// What is done to a transport.
#[derive(Debug, Clone)]
enum Step {
    /// A frame of so many bytes, by a gate.
    Push(usize, usize),
    Queue(usize, usize),
    Flush,
    Hold(usize),
    Release(usize),
    /// The library writes: frames of so many bytes, or the marks of gates.
    Library(Vec<Result<usize, usize>>),
    /// The client reads so many bytes, if they are there.
    Read(usize),
    /// Other tasks have time.
    Pause,
}

struct Steps;

impl ValueGenerator for Steps {
    type Output = Vec<Step>;

    fn generate<D: Driver>(&self, driver: &mut D) -> Option<Vec<Step>> {
        let length = |driver: &mut D| Some(below(driver, LONGEST)?.min(below(driver, LONGEST)?));
        let count = below(driver, 60)?;
        (0..count)
            .map(|_| {
                Some(match below(driver, 10)? {
                    0 | 1 => Step::Push(below(driver, GATES)?, length(driver)?),
                    2 | 3 => Step::Queue(below(driver, GATES)?, length(driver)?),
                    4 => Step::Flush,
                    5 => Step::Hold(below(driver, GATES)?),
                    6 => Step::Release(below(driver, GATES)?),
                    7 => {
                        let frames = (0..below(driver, 4)?).map(|_| {
                            Some(match below(driver, 2)? {
                                0 => Ok(length(driver)?),
                                _ => Err(below(driver, GATES)?),
                            })
                        });
                        Step::Library(frames.collect::<Option<_>>()?)
                    }
                    8 => Step::Read(below(driver, 4 * LONGEST)?),
                    _ => Step::Pause,
                })
            })
            .collect()
    }
}

/// What has to come out, by the rules alone.
#[derive(Default)]
struct Model {
    written: Vec<u8>,
    /// What waits behind each gate that is held.
    held: BTreeMap<usize, Vec<u8>>,
    frames: usize,
}

impl Model {
    /// A frame unlike any before.
    fn frame(&mut self, length: usize) -> Bytes {
        self.frames += 1;
        let text = format!("{}.", self.frames).repeat(length / 2 + 1);
        text_frame(&[text.get(..length).unwrap_or(&text)])
    }

    fn take(&mut self, gate: usize, frame: &[u8]) {
        self.held.get_mut(&gate).unwrap_or(&mut self.written).extend(frame);
    }

    fn open(&mut self, gate: usize) {
        let held = self.held.remove(&gate).unwrap_or_default();
        self.written.extend(held);
    }
}

struct Run {
    transport: Arc<Transport>,
    stream: WebSocketStream,
    client: TcpStream,
    model: Model,
    read: Vec<u8>,
}

impl Run {
    async fn new() -> Self {
        let (transport, client) = connection().await;
        let stream = WebSocketStream::new(
            Arc::clone(&transport),
            b"",
            FrameFilter::new(false, usize::MAX),
            None,
        );
        Self { transport, stream, client, model: Model::default(), read: Vec::new() }
    }

    async fn step(&mut self, step: &Step) {
        match *step {
            Step::Push(gate, length) => {
                let frame = self.model.frame(length);
                let outcome = self.transport.push(u32::try_from(gate).unwrap(), &frame);
                self.took(outcome, gate, &frame);
            }
            Step::Queue(gate, length) => {
                let frame = self.model.frame(length);
                let outcome = self.transport.queue(u32::try_from(gate).unwrap(), &frame);
                self.took(outcome, gate, &frame);
            }
            Step::Flush => self.transport.flush(),
            // A connection holds its gate once.
            Step::Hold(gate) if self.model.held.contains_key(&gate) => {}
            Step::Hold(gate) => {
                self.transport.hold(u32::try_from(gate).unwrap());
                self.model.held.insert(gate, Vec::new());
            }
            Step::Release(gate) => {
                self.transport.release(u32::try_from(gate).unwrap());
                self.model.open(gate);
            }
            Step::Library(ref frames) => self.write_library(frames).await,
            Step::Read(bytes) => self.read(bytes),
            Step::Pause => tokio::task::yield_now().await,
        }
    }

    fn took(&mut self, outcome: PushOutcome, gate: usize, frame: &[u8]) {
        match outcome {
            PushOutcome::Taken => {
                self.model.take(gate, frame);
                let waiting = self.transport.lock().waiting();
                assert!(waiting <= BUFFER.max(frame.len()), "{waiting} bytes wait");
            }
            PushOutcome::Full => {}
            PushOutcome::Gone => panic!("nobody has closed it"),
        }
    }

    /// As the library does: whole frames, and the same again for as long as there is no room.
    async fn write_library(&mut self, frames: &[Result<usize, usize>]) {
        let mut bytes = Vec::new();
        for frame in frames {
            match *frame {
                Ok(length) => {
                    let frame = self.model.frame(length);
                    self.model.written.extend(&frame);
                    bytes.extend(&frame);
                }
                // A gate's mark is written once, while it is held.
                Err(gate) if !self.model.held.contains_key(&gate) => {}
                Err(gate) => {
                    bytes.extend(text_frame(&["42[\"", MARK, "\",", &gate.to_string(), "]"]));
                    self.model.open(gate);
                }
            }
        }
        let written = async {
            loop {
                let mut context = Context::from_waker(Waker::noop());
                match Pin::new(&mut self.stream).poll_write(&mut context, &bytes) {
                    Poll::Ready(written) => return written.unwrap(),
                    Poll::Pending => {
                        // The client reads, or there would never be room.
                        self.client.readable().await.unwrap();
                        read(&self.client, &mut self.read, LONGEST);
                    }
                }
            }
        };
        let written = timeout(PATIENCE, written).await.expect("there is room in the end");
        assert_eq!(written, bytes.len());
        // The library does not wait for what is behind gates, of which there is as much at most.
        let waiting = self.transport.lock().waiting();
        assert!(waiting <= 2 * BUFFER + bytes.len(), "{waiting} bytes wait");
    }

    fn read(&mut self, bytes: usize) {
        read(&self.client, &mut self.read, bytes);
    }

    /// The library ends; what was taken by then is written, but for what is behind a gate.
    async fn end(mut self) -> bool {
        drop(self.stream);
        let rest = self.client.read_to_end(&mut self.read);
        timeout(PATIENCE, rest).await.expect("it ends").unwrap();
        let differs = self.read.iter().zip(&self.model.written).position(|(is, due)| is != due);
        let (is, due) = (self.read.len(), self.model.written.len());
        assert!(differs.is_none() && is == due, "{is} bytes for {due}, unlike from {differs:?} on");
        due > BUFFER
    }
}

fn read(client: &TcpStream, into: &mut Vec<u8>, bytes: usize) {
    let mut buffer = vec![0; bytes];
    if let Ok(read) = client.try_read(&mut buffer) {
        into.extend(buffer.get(..read).unwrap_or_default());
    }
}

#[test]
fn frames_are_written_in_the_order_in_which_they_were_taken() {
    let runtime = runtime();
    fuzz!(
        Steps,
        |steps: &Vec<Step>| runtime.block_on(async {
            let mut run = Run::new().await;
            for step in steps {
                run.step(step).await;
            }
            run.end().await
        }),
        10
    );
}

#[test]
fn a_frame_larger_than_the_buffer_does_not_keep_the_mark_of_its_own_gate_away() {
    runtime().block_on(async {
        let (transport, mut client) = connection().await;
        transport.hold(0);
        let large = text_frame(&[&"x".repeat(BUFFER * 2)]);
        assert_eq!(transport.push(0, &large), PushOutcome::Taken);
        let mut stream = WebSocketStream::new(
            Arc::clone(&transport),
            b"",
            FrameFilter::new(false, usize::MAX),
            None,
        );
        let mark = text_frame(&["42[\"", MARK, "\",0]"]);
        let written = tokio::io::AsyncWriteExt::write_all(&mut stream, &mark);
        timeout(PATIENCE / 4, written).await.expect("the library goes on").unwrap();
        let mut read = vec![0; large.len()];
        client.read_exact(&mut read).await.unwrap();
        assert_eq!(read, large);
    });
}

#[test]
fn what_waited_for_a_poll_comes_first_and_the_second_answer_to_a_probe_not_at_all() {
    runtime().block_on(async {
        let (transport, mut client) = connection().await;
        transport.begin_after_polling(&["42[\"a\"]".to_owned(), "2".to_owned()]);
        let mut stream = WebSocketStream::new(
            Arc::clone(&transport),
            b"",
            FrameFilter::new(false, usize::MAX),
            None,
        );
        for written in ["3probe", "42[\"b\"]", "3probe"] {
            let frame = text_frame(&[written]);
            tokio::io::AsyncWriteExt::write_all(&mut stream, &frame).await.unwrap();
        }
        let expected = ["42[\"a\"]", "2", "42[\"b\"]", "3probe"].map(|text| text_frame(&[text]));
        let expected = expected.concat();
        let mut read = vec![0; expected.len()];
        client.read_exact(&mut read).await.unwrap();
        assert_eq!(read, expected);
    });
}

/// Delivery, a connection's answers and the library at once, while the client reads as it likes.
#[test]
fn everybody_who_writes_at_once_is_heard_in_order() {
    const EACH: usize = 3000;
    runtime().block_on(async {
        let (transport, mut client) = connection().await;
        let pushing = tokio::spawn({
            let transport = Arc::clone(&transport);
            async move {
                for number in 0..EACH {
                    let frame = numbered("pushed", number);
                    while transport.push(0, &frame) == PushOutcome::Full {
                        transport.writable().await.unwrap();
                    }
                }
            }
        });
        let queueing = tokio::spawn({
            let transport = Arc::clone(&transport);
            async move {
                for number in 0..EACH {
                    let frame = numbered("queued", number);
                    while transport.queue(1, &frame) == PushOutcome::Full {
                        transport.flush();
                        transport.writable().await.unwrap();
                    }
                    if number % 7 == 0 {
                        transport.flush();
                        tokio::task::yield_now().await;
                    }
                }
                transport.flush();
            }
        });
        let mut stream = WebSocketStream::new(
            Arc::clone(&transport),
            b"",
            FrameFilter::new(false, usize::MAX),
            None,
        );
        let library = tokio::spawn(async move {
            for number in 0..EACH {
                let two = [numbered("written", 2 * number), numbered("written", 2 * number + 1)];
                tokio::io::AsyncWriteExt::write_all(&mut stream, &two.concat()).await.unwrap();
            }
            stream
        });
        let done = Arc::new(AtomicBool::new(false));
        let reading = tokio::spawn(async move {
            let (mut read, mut buffer) = (Vec::new(), vec![0; 5000]);
            let mut sizes = (1..5000).cycle().step_by(997);
            while let Ok(some @ 1..) = {
                let size = sizes.next().unwrap();
                client.read(&mut buffer[..size]).await
            } {
                read.extend(&buffer[..some]);
            }
            read
        });
        let everything = async {
            pushing.await.unwrap();
            queueing.await.unwrap();
            let stream = library.await.unwrap();
            done.store(true, Ordering::Relaxed);
            drop(stream);
            reading.await.unwrap()
        };
        let read = timeout(PATIENCE * 2, everything).await.expect("it ends");
        assert_numbered(&read, [("pushed", EACH), ("queued", EACH), ("written", 2 * EACH)]);
    });
}

#[test]
fn what_is_held_back_does_not_hide_that_the_client_is_gone() {
    runtime().block_on(async {
        let (transport, mut client) = connection().await;
        let mut stream =
            WebSocketStream::new(transport, b"", FrameFilter::new(false, usize::MAX), None);
        // Half of the name of an event, with an empty mask.
        let begins = [&[0x81, 0x80 | 20, 0, 0, 0, 0][..], b"42[\"a\\t"].concat();
        tokio::io::AsyncWriteExt::write_all(&mut client, &begins).await.unwrap();
        drop(client);
        let read = timeout(PATIENCE, stream.read(&mut [0; 100])).await;
        assert_eq!(read.expect("it ends").unwrap(), 0);
    });
}

/// A frame of its own length.
fn numbered(who: &str, number: usize) -> Bytes {
    text_frame(&[who, " ", &number.to_string(), " ", &"x".repeat(number * 37 % 700)])
}

fn assert_numbered<const N: usize>(mut read: &[u8], expected: [(&str, usize); N]) {
    let mut next = BTreeMap::<String, usize>::new();
    while !read.is_empty() {
        let (payload, end) = frame::payload_of(read).expect("whole frames");
        let text =
            std::str::from_utf8(&read[payload]).expect("one frame does not run into another");
        let (who, rest) = text.split_once(' ').unwrap();
        let number: usize = rest.split(' ').next().unwrap().parse().unwrap();
        let due = next.entry(who.to_owned()).or_default();
        assert_eq!(number, *due, "{who}");
        *due += 1;
        read = &read[end..];
    }
    assert_eq!(next, expected.map(|(who, count)| (who.to_owned(), count)).into());
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}
