//! From an HTTP request to a WebSocket: of a session that begins with it, or of one that polls.

use std::{sync::Arc, time::Duration};

use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use crate::{
    engine_session::{self, EngineSession},
    frame_filter::FrameFilter,
    gateway::Gateway,
    http_stream::HttpStream,
    library::EngineProtocol,
    peer::Slot,
    websocket::{Pause, Probe, Transport, Upgraded, WebSocketStream},
};

/// How long a client's first packet is waited for before it is read like all that follow: one that comes
/// later comes alone.
const FIRST_WORD: Duration = Duration::from_secs(1);

/// A request that becomes a WebSocket.
pub(crate) struct Upgrade {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) protocol: EngineProtocol,
    /// Whether the game namespace is named in a packet.
    pub(crate) joins_by_packet: bool,
    pub(crate) slot: Slot,
    /// What the library gets to see of the request.
    pub(crate) lean: Request<()>,
}

impl Upgrade {
    /// Begins a session.
    pub(crate) async fn begin_session(
        mut self,
        request: Request<Incoming>,
        engine_request: engine_session::Request,
    ) {
        let Some((tcp, read)) = upgraded(request).await else { return };
        let transport = self.transport(tcp);
        let begins = read.is_empty();
        if begins {
            transport.pause_reading(Pause::Admission);
        }
        let session = EngineSession::on_websocket(engine_request, Arc::clone(&transport));
        self.lean.extensions_mut().insert(session);
        let gateway = Arc::clone(&self.gateway);
        self.hand_over(&transport, &read, None);
        if begins {
            // To read what it says first is a step of its own.
            transport.readable(FIRST_WORD).await;
            gateway.turnstile().pass().await;
            transport.resume_reading(Pause::Admission);
        }
    }

    /// Moves a session that polls. Until the client says that it polls no more, the session knows nothing
    /// of it, and whatever goes wrong ends the WebSocket only.
    pub(crate) async fn move_session(
        self,
        request: Request<Incoming>,
        id: String,
        session: &EngineSession,
    ) {
        let Some(polling) = session.polling() else { return };
        let Some((tcp, read)) = upgraded(request).await else { return };
        let mut probed = None;
        let probe = Probe::new(tcp, &read).run(|| {
            probed.get_or_insert_with(|| polling.probed());
        });
        let limit = self.gateway.limits().upgrade_timeout;
        let Some(Ok(Some(Upgraded { tcp, unread }))) =
            self.gateway.unless_draining(timeout(limit, probe)).await
        else {
            return;
        };
        // A client tries one WebSocket; the second one that says so is closed.
        if !polling.upgrade() {
            return;
        }
        let transport = self.transport(tcp);
        // What waits for a poll that will not come, the library would keep.
        let _turn = polling.turn().await;
        let library = self.gateway.library().clone();
        transport.begin_after_polling(&library.queued(&id, self.protocol).await);
        session.upgraded(Arc::clone(&transport));
        let protocol = self.protocol;
        // A session whose upgrade breaks off now neither polls nor times out any more.
        let dropped = Box::new(move || library.close_polling(&id, protocol));
        self.hand_over(&transport, &unread, Some(dropped));
    }

    fn transport(&self, tcp: TcpStream) -> Arc<Transport> {
        let limits = self.gateway.limits();
        Transport::new(
            tcp,
            Arc::clone(&self.slot),
            limits.send_buffer_bytes,
            limits.write_timeout,
            self.gateway.tasks().clone(),
        )
    }

    /// Gives the WebSocket to the library.
    fn hand_over(
        self,
        transport: &Arc<Transport>,
        unread: &[u8],
        dropped: Option<Box<dyn FnOnce() + Send>>,
    ) {
        let legacy = self.joins_by_packet && self.protocol == EngineProtocol::V3;
        let filter = FrameFilter::new(legacy, self.gateway.limits().payload_bytes);
        let stream = WebSocketStream::new(Arc::clone(transport), unread, filter, dropped);
        self.gateway.library().take_websocket(stream, self.lean);
    }
}

/// The connection of a request, and what came with it already.
async fn upgraded(mut request: Request<Incoming>) -> Option<(TcpStream, Vec<u8>)> {
    let upgraded = hyper::upgrade::on(&mut request).await.ok()?;
    // Its headers take memory.
    drop(request);
    let parts = upgraded.downcast::<TokioIo<HttpStream>>().ok()?;
    Some((parts.io.into_inner().into_tcp(), parts.read_buf.to_vec()))
}
