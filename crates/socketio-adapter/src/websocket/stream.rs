//! The byte stream that socketioxide reads from and writes to.

use std::{
    io,
    pin::Pin,
    sync::{Arc, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{State, Transport};
use crate::legacy_connect::{FrameFilter, take};

/// The library's end of a [`Transport`].
pub(crate) struct WebSocketStream {
    transport: Arc<Transport>,
    /// What was read with the HTTP request and belongs to the WebSocket.
    unread: Bytes,
    /// For clients of version 2 that join namespaces.
    filter: Option<Box<FrameFilter>>,
    /// Called when the library lets go of the stream.
    dropped: Option<Box<dyn FnOnce() + Send>>,
}

/// What is read at once for a filter, in bytes.
const FILTERED_READ: usize = 2048;

impl WebSocketStream {
    pub(crate) fn new(
        transport: Arc<Transport>,
        unread: &[u8],
        mut filter: Option<FrameFilter>,
        dropped: Option<Box<dyn FnOnce() + Send>>,
    ) -> Self {
        let unread = match &mut filter {
            Some(filter) => filter.filter(unread),
            // A copy: the original keeps hyper's whole read buffer alive.
            None => Bytes::copy_from_slice(unread),
        };
        Self { transport, unread, filter: filter.map(Box::new), dropped }
    }

    /// Reads through the filter; what does not fit into the buffer stays unread.
    fn read_filtered(&mut self, buffer: &mut ReadBuf<'_>) -> io::Result<Filtered> {
        let mut raw = [0; FILTERED_READ];
        let read = self.transport.tcp.try_read(&mut raw)?;
        let raw = raw.get(..read).unwrap_or_default();
        let Some(filter) = &mut self.filter else { return Ok(Filtered::End) };
        if raw.is_empty() {
            return Ok(Filtered::End);
        }
        self.unread = filter.filter(raw);
        if self.unread.is_empty() {
            return Ok(Filtered::Incomplete);
        }
        take(&mut self.unread, buffer);
        Ok(Filtered::Some)
    }
}

/// What a filtered read gave.
enum Filtered {
    Some,
    /// Only the beginning of a frame.
    Incomplete,
    End,
}

impl AsyncRead for WebSocketStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        {
            let mut reading = self.transport.reading.lock().unwrap_or_else(PoisonError::into_inner);
            if reading.ended {
                return Poll::Ready(Ok(()));
            }
            if reading.pauses.any() {
                reading.reader = Some(context.waker().clone());
                return Poll::Pending;
            }
        }
        if !self.unread.is_empty() {
            take(&mut self.unread, buffer);
            return Poll::Ready(Ok(()));
        }
        loop {
            ready!(self.transport.tcp.poll_read_ready(context))?;
            let read = if self.filter.is_some() {
                self.read_filtered(buffer).map(|filtered| match filtered {
                    Filtered::Some | Filtered::End => true,
                    Filtered::Incomplete => false,
                })
            } else {
                let read = self.transport.tcp.try_read(buffer.initialize_unfilled());
                read.map(|read| {
                    buffer.advance(read);
                    true
                })
            };
            match read {
                Ok(true) => return Poll::Ready(Ok(())),
                Ok(false) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    self.transport.lock().note(&error);
                    return Poll::Ready(Err(error));
                }
            }
        }
    }
}

impl AsyncWrite for WebSocketStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        frames: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.transport.write_library(context, frames)
    }

    /// What was written is on its way: the transport flushes by itself.
    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.transport.lock().state {
            State::Open | State::Finishing => Poll::Ready(Ok(())),
            State::Closed => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut outgoing = self.transport.lock();
        self.transport.end(&mut outgoing);
        Poll::Ready(Ok(()))
    }
}

impl Drop for WebSocketStream {
    /// Without the library nobody reads or answers pings any more.
    fn drop(&mut self) {
        let mut outgoing = self.transport.lock();
        self.transport.end(&mut outgoing);
        drop(outgoing);
        if let Some(dropped) = self.dropped.take() {
            dropped();
        }
    }
}
