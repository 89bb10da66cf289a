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
use crate::frame_filter::{FrameFilter, take};

/// The library's end of a [`Transport`].
pub(crate) struct WebSocketStream {
    transport: Arc<Transport>,
    /// What was read with the HTTP request and belongs to the WebSocket.
    unread: Bytes,
    filter: FrameFilter,
    /// Called when the library lets go of the stream.
    dropped: Option<Box<dyn FnOnce() + Send>>,
}

impl WebSocketStream {
    pub(crate) fn new(
        transport: Arc<Transport>,
        unread: &[u8],
        mut filter: FrameFilter,
        dropped: Option<Box<dyn FnOnce() + Send>>,
    ) -> Self {
        // A copy: the original keeps hyper's whole read buffer alive.
        let unread = filter.filter(unread).unwrap_or_else(|| Bytes::copy_from_slice(unread));
        Self { transport, unread, filter, dropped }
    }

    /// Reads into the buffer, where what the filter lets pass stays; what it changes and does not fit stays
    /// unread. Whether that gave anything, if only the end.
    fn read(&mut self, buffer: &mut ReadBuf<'_>) -> io::Result<bool> {
        let room = buffer.initialize_unfilled();
        let read = self.transport.tcp.try_read(room)?;
        if read == 0 {
            // What is held back now never becomes a packet.
            return Ok(true);
        }
        match self.filter.filter(room.get(..read).unwrap_or_default()) {
            None => buffer.advance(read),
            // The beginning of a frame that is held back.
            Some(filtered) if filtered.is_empty() => return Ok(false),
            Some(filtered) => {
                self.unread = filtered;
                take(&mut self.unread, buffer);
            }
        }
        Ok(true)
    }
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
            match self.read(buffer) {
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
