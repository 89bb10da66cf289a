//! A tiny Socket.IO server, over WebSocket alone, that does one thing wrong. Each connection has a
//! thread of its own.

use std::{
    collections::HashMap,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// What it does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// The tenth event does not reach the last who has connected.
    Drop,
    /// The tenth event reaches them twice.
    Double,
    /// The tenth event reaches them after the next.
    Swap,
    /// Every message reaches everybody.
    Astray,
    /// The tenth event is not answered, and reaches nobody.
    Silence,
    /// The tenth event is answered with an error.
    Refuse,
    /// The last who has connected is cut off at the tenth event.
    HangUp,
    /// Whoever connects is told nothing.
    Deaf,
}

/// The event that something goes wrong with.
const TENTH: usize = 10;

#[derive(Default)]
struct State {
    /// By number: who is connected, and as whom.
    connections: HashMap<usize, (TcpStream, String)>,
    events: usize,
    withheld: Option<Vec<u8>>,
}

/// Serves until the process ends. Returns its address.
pub(crate) fn serve(fault: Fault) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("an address");
    let state = Arc::new(Mutex::new(State::default()));
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let (stream, state) = (stream.expect("a connection"), Arc::clone(&state));
            // A client that leaves is no failure.
            thread::spawn(move || attend(stream, number, fault, &state).ok());
        }
    });
    format!("http://{address}")
}

fn attend(
    mut stream: TcpStream,
    number: usize,
    fault: Fault,
    state: &Mutex<State>,
) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    stream.write_all(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    )?;
    if fault != Fault::Deaf {
        stream.write_all(&frame(br#"0{"sid":"x","pingInterval":25000,"pingTimeout":20000}"#))?;
    }
    loop {
        let text = read_text(&mut stream)?;
        let mut state = state.lock().expect("no panic");
        if let Some(auth) = text.strip_prefix("40") {
            let user = auth.split('"').nth(3).unwrap_or_default().to_owned();
            state.connections.insert(number, (stream.try_clone()?, user));
            stream.write_all(&frame(br#"40{"sid":"y"}"#))?;
            // A ping at once, for which a client has to be prepared.
            stream.write_all(&frame(b"2"))?;
        } else if let Some(event) = text.strip_prefix("42") {
            let (id, arguments) = event.split_at(event.find('[').unwrap_or(0));
            state.handle(number, id, arguments, fault)?;
        }
    }
}

impl State {
    fn handle(&mut self, sender: usize, id: &str, arguments: &str, fault: Fault) -> io::Result<()> {
        self.events += 1;
        let is_tenth = self.events == TENTH;
        let last = self.connections.keys().copied().max().unwrap_or(0);
        let packet = frame(format!("42{arguments}").as_bytes());
        let target = arguments.split("\"target_user_id\":\"").nth(1);
        let target = target.and_then(|rest| rest.split('"').next()).map(str::to_owned);
        if is_tenth && fault == Fault::Silence {
            return Ok(());
        }
        let answer = if is_tenth && fault == Fault::Refuse { "error" } else { "ok" };
        let own = self.connections.get(&sender).map(|(_, user)| user.clone());
        for (number, (stream, user)) in &mut self.connections {
            let concerns = target.is_none()
                || fault == Fault::Astray
                || target.as_ref() == Some(user)
                || own.as_ref() == Some(user);
            if answer == "error" || !concerns {
                continue;
            }
            if *number == last {
                match fault {
                    Fault::Drop if is_tenth => continue,
                    Fault::Double if is_tenth => stream.write_all(&packet)?,
                    Fault::Swap if is_tenth => {
                        self.withheld = Some(packet.clone());
                        continue;
                    }
                    Fault::HangUp if is_tenth => {
                        stream.shutdown(std::net::Shutdown::Both)?;
                        continue;
                    }
                    Fault::None
                    | Fault::Drop
                    | Fault::Double
                    | Fault::Swap
                    | Fault::Astray
                    | Fault::Silence
                    | Fault::Refuse
                    | Fault::HangUp
                    | Fault::Deaf => {}
                }
            }
            // Who was cut off takes nothing.
            stream.write_all(&packet).ok();
            if *number == last
                && let Some(withheld) = self.withheld.take()
            {
                stream.write_all(&withheld)?;
            }
        }
        let answer = frame(format!("43{id}[{{\"status\":\"{answer}\"}}]").as_bytes());
        match self.connections.get_mut(&sender) {
            Some((stream, _)) => stream.write_all(&answer),
            None => Ok(()),
        }
    }
}

/// A text of the server's.
fn frame(text: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81];
    match u8::try_from(text.len()) {
        Ok(length @ 0..126) => frame.push(length),
        _ => {
            frame.push(126);
            frame.extend(u16::try_from(text.len()).expect("a short text").to_be_bytes());
        }
    }
    frame.extend(text);
    frame
}

/// The next text of a client's.
fn read_text(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = [0; 2];
    stream.read_exact(&mut head)?;
    let mut length = u16::from(head[1] & 0x7f);
    if length == 126 {
        let mut long = [0; 2];
        stream.read_exact(&mut long)?;
        length = u16::from_be_bytes(long);
    }
    let mut key = [0; 4];
    stream.read_exact(&mut key)?;
    let mut text = vec![0; length.into()];
    stream.read_exact(&mut text)?;
    for (byte, key) in text.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
    String::from_utf8(text).map_err(io::Error::other)
}
