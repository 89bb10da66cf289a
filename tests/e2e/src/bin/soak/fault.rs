//! What can be broken, and how it is put together again.

use std::time::Duration;

use futures_util::future::join_all;
use game_realtime_e2e::{Client, Cluster, Dice, Flow, Link, Traffic};
use tokio::time::sleep;

/// A way to break something.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// SIGKILL, and started again.
    NodeKilled,
    /// SIGTERM, and started again.
    NodeStopped,
    /// SIGSTOP for a while.
    NodePaused,
    /// SIGKILL of one member of etcd, and started again.
    MemberKilled,
    /// SIGSTOP of one member of etcd for a while.
    MemberFrozen,
    /// SIGSTOP of all of etcd for a while.
    EtcdFrozen,
    /// SIGKILL of all of etcd, and started again.
    EtcdKilled,
    /// Every lease of every connection.
    LeasesRevoked,
    /// While a node is paused.
    HistoryCompacted,
    /// One node's way to etcd swallows everything for a while.
    LinkStalled,
    /// One node hears nothing of what etcd answers for a while.
    AnswersLost,
    /// One node's connections to etcd.
    LinkCut,
    /// Every client's connection, at once.
    ClientsCut,
}

const ALL: [Fault; 13] = [
    Fault::NodeKilled,
    Fault::NodeStopped,
    Fault::NodePaused,
    Fault::MemberKilled,
    Fault::MemberFrozen,
    Fault::EtcdFrozen,
    Fault::EtcdKilled,
    Fault::LeasesRevoked,
    Fault::HistoryCompacted,
    Fault::LinkStalled,
    Fault::AnswersLost,
    Fault::LinkCut,
    Fault::ClientsCut,
];

impl Fault {
    /// One of those whose name has `only` in it.
    pub(crate) fn random(dice: &mut Dice, only: &str) -> Self {
        let known: Vec<_> = ALL.into_iter().filter(|fault| fault.name().contains(only)).collect();
        assert!(!known.is_empty(), "no fault is called {only}");
        known.get(dice.index(known.len())).copied().expect("there is one")
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NodeKilled => "node killed",
            Self::NodeStopped => "node stopped",
            Self::NodePaused => "node paused",
            Self::MemberKilled => "member of etcd killed",
            Self::MemberFrozen => "member of etcd frozen",
            Self::EtcdFrozen => "etcd frozen",
            Self::EtcdKilled => "etcd killed",
            Self::LeasesRevoked => "leases revoked",
            Self::HistoryCompacted => "history compacted",
            Self::LinkStalled => "link stalled",
            Self::AnswersLost => "answers lost",
            Self::LinkCut => "link cut",
            Self::ClientsCut => "clients cut",
        }
    }

    /// Breaks it, waits a while, mends it. Returns what exactly it did.
    pub(crate) async fn happen(
        self,
        cluster: &mut Cluster,
        traffic: &Traffic,
        dice: &mut Dice,
    ) -> String {
        let name = self.name();
        let node = dice.index(cluster.nodes.len());
        let member = dice.index(cluster.etcd.len());
        let pause = self.pause(dice);
        match self {
            Self::NodeKilled => {
                cluster.node(node).kill();
                sleep(pause).await;
                cluster.node(node).restart().await;
            }
            Self::NodeStopped => {
                cluster.node(node).terminate().await;
                sleep(pause).await;
                cluster.node(node).restart().await;
            }
            Self::NodePaused => {
                cluster.node(node).server().freeze();
                sleep(pause).await;
                cluster.node(node).server().thaw();
            }
            Self::MemberKilled => {
                cluster.member(member).kill();
                sleep(pause).await;
                cluster.member(member).restart().await;
            }
            Self::MemberFrozen => {
                cluster.member(member).freeze();
                sleep(pause).await;
                cluster.member(member).thaw();
            }
            Self::EtcdFrozen => {
                cluster.etcd.iter().for_each(game_realtime_e2e::Etcd::freeze);
                sleep(pause).await;
                cluster.etcd.iter().for_each(game_realtime_e2e::Etcd::thaw);
            }
            Self::EtcdKilled => {
                cluster.etcd.iter_mut().for_each(game_realtime_e2e::Etcd::kill);
                sleep(pause).await;
                // A member alone is not healthy: they have to start together.
                join_all(cluster.etcd.iter_mut().map(game_realtime_e2e::Etcd::restart)).await;
            }
            Self::LeasesRevoked => {
                let connections = format!("{}/connections/", Cluster::PREFIX);
                cluster.serving_etcd().revoke_leases(&connections).await;
            }
            Self::HistoryCompacted => {
                cluster.node(node).server().freeze();
                sleep(pause).await;
                cluster.serving_etcd().compact().await;
                cluster.node(node).links().iter().for_each(Link::cut);
                cluster.node(node).server().thaw();
            }
            Self::LinkStalled => {
                set(cluster, node, Flow::Stalled);
                sleep(pause).await;
                set(cluster, node, Flow::Open);
            }
            Self::AnswersLost => {
                set(cluster, node, Flow::Deaf);
                sleep(pause).await;
                set(cluster, node, Flow::Open);
            }
            Self::LinkCut => cluster.node(node).links().iter().for_each(Link::cut),
            Self::ClientsCut => {
                join_all(traffic.clients().into_iter().map(Client::cut_if_connected)).await;
            }
        }
        match self {
            Self::LeasesRevoked | Self::ClientsCut => name.to_owned(),
            Self::LinkCut => format!("{name} (node {node})"),
            Self::EtcdFrozen | Self::EtcdKilled => format!("{name} for {pause:.1?}"),
            Self::MemberKilled | Self::MemberFrozen => format!("{name} ({member}) for {pause:.1?}"),
            Self::NodeKilled
            | Self::NodeStopped
            | Self::NodePaused
            | Self::HistoryCompacted
            | Self::LinkStalled
            | Self::AnswersLost => format!("{name} (node {node}) for {pause:.1?}"),
        }
    }

    /// For how long it stays broken.
    fn pause(self, dice: &mut Dice) -> Duration {
        let longest = match self {
            Self::NodePaused | Self::LinkStalled => 8_000,
            Self::EtcdFrozen | Self::EtcdKilled => 4_000,
            Self::NodeKilled
            | Self::NodeStopped
            | Self::MemberKilled
            | Self::MemberFrozen
            | Self::LeasesRevoked
            | Self::HistoryCompacted
            | Self::AnswersLost
            | Self::LinkCut
            | Self::ClientsCut => 3_000,
        };
        Duration::from_millis(dice.below(longest))
    }
}

fn set(cluster: &mut Cluster, node: usize, flow: Flow) {
    cluster.node(node).links().iter().for_each(|link| link.set(flow));
}
