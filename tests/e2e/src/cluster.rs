//! Some nodes, what they store their events in, and a load balancer before them.

mod node;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

pub use node::Node;

use crate::{Client, Etcd, Front, Link, PATIENCE, Settings, Store, validator::Delivery};

const POLL_INTERVAL: Duration = Duration::from_millis(50);
const PREFIX: &str = "/e2e/faults";

/// How a cluster is made.
#[derive(Debug, Clone, Copy)]
pub struct ClusterOptions {
    /// Gateways.
    pub nodes: usize,
    /// Members of etcd.
    pub members: usize,
    /// Whether every node has a [`Link`] of its own to every member of etcd.
    pub linked: bool,
}

impl Default for ClusterOptions {
    /// Three nodes on one etcd.
    fn default() -> Self {
        Self { nodes: 3, members: 1, linked: false }
    }
}

/// Nodes on a real etcd.
pub struct Cluster {
    // Dropped in this order: nodes end before what they stand on.
    /// The balancer.
    pub front: Front,
    /// The gateways.
    pub nodes: Vec<Node>,
    /// The members of etcd.
    pub etcd: Vec<Etcd>,
}

impl Cluster {
    /// What all keys begin with.
    pub const PREFIX: &'static str = PREFIX;
    /// `etcd.lease_ttl` of the nodes.
    pub const LEASE_TTL: Duration = Duration::from_secs(3);
    /// `etcd.request_timeout` of the nodes.
    pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);

    /// Starts everything and waits until it is ready.
    pub async fn start(options: ClusterOptions) -> Self {
        let etcd = match options.members {
            1 => vec![Etcd::start().await],
            members => Etcd::start_cluster(members).await,
        };
        let starting = (0..options.nodes).map(|_| start_node(&etcd, options.linked));
        let nodes = join_all(starting).await;
        let front = Front::before(
            nodes.iter().map(|node| (node.settings().port(), Arc::clone(node.vitals()))).collect(),
        )
        .await;
        Self { front, nodes, etcd }
    }

    /// A node.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn node(&mut self, number: usize) -> &mut Node {
        self.nodes.get_mut(number).expect("there is such a node")
    }

    /// A member of etcd.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn member(&mut self, number: usize) -> &mut Etcd {
        self.etcd.get_mut(number).expect("there is such a member")
    }

    /// The only member of etcd, or the first.
    ///
    /// # Panics
    /// Never: there is one.
    pub fn first_etcd(&mut self) -> &mut Etcd {
        self.etcd.first_mut().expect("there is one")
    }

    /// A member of etcd that serves.
    ///
    /// # Panics
    /// When none does.
    #[must_use]
    pub fn serving_etcd(&self) -> &Etcd {
        self.etcd.iter().find(|member| member.serves()).expect("a member serves")
    }

    /// Which member of etcd leads.
    pub async fn leader(&self) -> Option<usize> {
        for (number, member) in self.etcd.iter().enumerate() {
            if member.serves() && member.is_leader().await {
                return Some(number);
            }
        }
        None
    }

    /// All events there are, read past the gateways.
    ///
    /// # Panics
    /// When etcd does not answer.
    pub async fn stored(&self, epoch: &str) -> Vec<Delivery> {
        self.serving_etcd().events(PREFIX, epoch).await
    }

    /// Whether all members of etcd that serve hold the same events under the same revisions. Those
    /// of 3.5.0 to 3.5.2 may not, once one was killed (etcd issue 13766).
    pub async fn members_agree(&self) -> bool {
        let serving = self.etcd.iter().filter(|member| member.serves());
        let held = join_all(serving.map(|member| member.events(PREFIX, ""))).await;
        held.windows(2).all(|pair| matches!(pair, [one, other] if one == other))
    }

    /// Waits until etcd's registry holds exactly these clients, each once in the registry, and
    /// players by their name. Returns how long that took.
    ///
    /// # Panics
    /// When it does not within `limit`.
    pub async fn await_registry(&self, clients: &[&Client], limit: Duration) -> Duration {
        let started = Instant::now();
        let mut expected = BTreeSet::new();
        for client in clients {
            let ready = client.last_ready();
            let text = |field: &str| ready.get(field).and_then(serde_json::Value::as_str);
            let id = text("connection_id").expect("ready has a connection id");
            expected.insert(format!("{PREFIX}/connections/{}/{id}", client.namespace()));
            if let Some(user) = text("user_id") {
                expected.insert(format!("{PREFIX}/users/{user}/{id}"));
            }
        }
        loop {
            let found = self.registry().await;
            if found == expected {
                return started.elapsed();
            }
            if started.elapsed() > limit {
                let missing: Vec<_> = expected.difference(&found).collect();
                let ghosts: Vec<_> = found.difference(&expected).collect();
                panic!("registry after {limit:?}: missing {missing:?}, ghosts {ghosts:?}");
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    async fn registry(&self) -> BTreeSet<String> {
        let etcd = self.serving_etcd();
        let mut keys = BTreeSet::new();
        for part in ["connections", "users"] {
            let found = etcd.read(&format!("{PREFIX}/{part}/")).await;
            keys.extend(found.into_iter().map(|raw| raw.key));
        }
        keys
    }

    /// Ends the nodes in good order.
    ///
    /// # Panics
    /// When one does not end with 0.
    pub async fn stop(self) {
        for node in self.nodes {
            node.stop().await;
        }
    }

    /// Waits until all nodes that run say they are ready.
    ///
    /// # Panics
    /// When they do not.
    pub async fn await_ready(&mut self) {
        let started = Instant::now();
        while self.nodes.iter().any(|node| node.runs() && !node.vitals().is_ready()) {
            assert!(started.elapsed() < PATIENCE, "the nodes become ready");
            sleep(POLL_INTERVAL).await;
        }
    }
}

async fn start_node(etcd: &[Etcd], linked: bool) -> Node {
    let mut links = Vec::new();
    if linked {
        for member in etcd {
            links.push(Link::to(member.client_port()).await);
        }
    }
    let endpoints: Vec<String> = if linked {
        links.iter().map(Link::endpoint).collect()
    } else {
        etcd.iter().map(Etcd::endpoint).collect()
    };
    let first = endpoints.first().expect("there is a member").clone();
    let settings = Settings::new(&Store::Etcd { endpoint: first, prefix: PREFIX.to_owned() })
        .with_toml("etcd.endpoints", &format!("{endpoints:?}"))
        .with("etcd.lease_ttl", &format!("{}s", Cluster::LEASE_TTL.as_secs()))
        .with("etcd.request_timeout", &format!("{}s", Cluster::REQUEST_TIMEOUT.as_secs()))
        .with("events.replay_window", "2h")
        .with("events.retention", "2h")
        .with("events.idempotency_window", "2h");
    Node::start(settings, links).await
}
