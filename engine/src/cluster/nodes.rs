//! A line of the log for each node that comes or goes.

use logging::event;
use machines::cluster::nodes::Change;

/// A line for it.
pub(super) fn tell(server: &str, change: Change) {
    match change {
        Change::Joined(epoch) => {
            let node = epoch.to_string();
            event!(
                INFO,
                "cluster_node_joined",
                { server = server, node = node.as_str(), },
                "cluster: node {node} is there, on {server}"
            );
        }
        Change::Left(epoch) => {
            let node = epoch.to_string();
            event!(
                INFO,
                "cluster_node_left",
                { server = server, node = node.as_str(), why = "in_order", },
                "cluster: node {node} has left {server} in order, or has begun anew there"
            );
        }
        Change::Dead(epoch) => {
            let node = epoch.to_string();
            event!(
                WARN,
                "cluster_node_left",
                { server = server, node = node.as_str(), why = "dead", },
                "cluster: node {node} has given {server} no sign of life for its lease and was taken for dead: its members \
                 have left"
            );
        }
    }
}
