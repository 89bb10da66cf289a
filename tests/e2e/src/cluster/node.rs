//! A gateway that can die and come back.

use std::sync::Arc;

use crate::{Link, Server, Settings, Vitals};

/// A gateway, watched from the outside.
pub struct Node {
    settings: Settings,
    server: Option<Server>,
    vitals: Arc<Vitals>,
    links: Vec<Link>,
    /// What processes have logged that are gone.
    past_log: String,
}

impl Node {
    /// Starts it and waits until it is ready. `links` are its ways to etcd, if they can fail.
    pub async fn start(settings: Settings, links: Vec<Link>) -> Self {
        let server = Server::start(&settings).await;
        let vitals = Arc::new(Vitals::watch(settings.admin_port()));
        Self { settings, server: Some(server), vitals, links, past_log: String::new() }
    }

    /// What it runs with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What it says of its health.
    #[must_use]
    pub fn vitals(&self) -> &Arc<Vitals> {
        &self.vitals
    }

    /// Its ways to the members of etcd.
    #[must_use]
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// What clients connect to when they want this one.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.settings.port())
    }

    /// Whether it has been started and not ended by us.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.server.is_some()
    }

    /// The process.
    ///
    /// # Panics
    /// When it was killed.
    pub fn server(&mut self) -> &mut Server {
        self.server.as_mut().expect("the node runs")
    }

    /// All that it has logged, from the first start on.
    #[must_use]
    pub fn log(&self) -> String {
        let last = self.server.as_ref().map(Server::log).unwrap_or_default();
        format!("{}{last}", self.past_log)
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        if let Some(server) = self.server.take() {
            self.past_log += &server.log();
            server.kill();
        }
    }

    /// Ends it in good order, if it runs.
    pub async fn terminate(&mut self) {
        if let Some(server) = self.server.take() {
            self.past_log += &server.log();
            server.stop().await;
        }
    }

    /// Starts it again as it was, and waits until it is ready.
    pub async fn restart(&mut self) {
        self.kill();
        self.server = Some(Server::start(&self.settings).await);
    }

    /// Ends it in good order, if it runs.
    pub async fn stop(mut self) {
        self.terminate().await;
    }
}
