//! Which node may call what: those whose roles need it. A node that is in the cluster no
//! more, or not yet again, may order nobody about.

use crate::view::View;
use hearth_rpc::{Method, Peer};
use hearth_services::cluster::{NodeRecord, Role};
use hearth_services::keys;

/// Whether a peer may call a method, by what the nodes say of themselves. Who speaks
/// without certificates, on one host, may call everything.
pub fn may_call(nodes: &View<NodeRecord>, peer: &Peer, method: &Method) -> bool {
    let Some(name) = &peer.node else { return true };
    let Some(needed) = roles(method.path()) else { return true };
    let nodes = nodes.now();
    let node = nodes.get(&keys::node(name));
    node.is_some_and(|node| needed.iter().any(|role| node.record.roles.contains(role)))
}

/// The roles that need a method; none if anybody in the cluster may call it.
fn roles(path: &str) -> Option<&'static [Role]> {
    match path {
        "hearth.Worker/Invoke" => Some(&[Role::Frontend]),
        path if path.starts_with("hearth.Worker/") => Some(&[Role::Assignment]),
        path if path.starts_with("hearth.Assignment/") => Some(&[Role::Frontend]),
        path if path.starts_with("hearth.Leaders/") => Some(&[Role::Assignment]),
        path if path.starts_with("hearth.Logs/") => Some(&[Role::Frontend]),
        path if path.starts_with("hearth.Snapshots/") => Some(&[Role::Control]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hearth_metastore::RedbStore;
    use hearth_services::metastore::{MetaStore, Txn};
    use hearth_types::{NodeLife, NodeName, Timestamp};
    use std::sync::Arc;

    #[tokio::test]
    async fn a_node_may_call_what_its_roles_need_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(RedbStore::open(&dir.path().join("meta")).unwrap());
        let name: NodeName = "front".parse().unwrap();
        let record = NodeRecord {
            name: name.clone(),
            life: NodeLife::new(),
            zone: "a".parse().unwrap(),
            roles: [Role::Frontend].into(),
            address: String::new(),
            worker: None,
            lease: 0,
            started: Timestamp(0),
            version: String::new(),
        };
        let put = Txn::new().put(keys::node(&name), keys::encode(&record));
        store.transact(put).await.unwrap();
        let (nodes, task) = View::start(store as _, keys::NODES).await.unwrap();
        task.abort();
        let front = Peer { node: Some(name) };
        let gone = Peer { node: Some("gone".parse().unwrap()) };
        const INVOKE: Method = Method::new("hearth.Worker/Invoke");
        const KILL: Method = Method::new("hearth.Worker/Kill");
        const ACQUIRE: Method = Method::new("hearth.Assignment/Acquire");
        const STATUS: Method = Method::new("hearth.Node/Status");
        const WARM: Method = Method::new("hearth.Assignment/Warm");
        const TAKE: Method = Method::new("hearth.Leaders/Take");
        const LOGS: Method = Method::new("hearth.Logs/Read");
        for (method, allowed) in [
            (INVOKE, true),
            (ACQUIRE, true),
            (WARM, true),
            (LOGS, true),
            (KILL, false),
            (TAKE, false),
            (STATUS, true),
        ] {
            assert_eq!(may_call(&nodes, &front, &method), allowed, "{method:?}");
            assert_eq!(may_call(&nodes, &gone, &method), method == STATUS, "{method:?}");
            assert!(may_call(&nodes, &Peer::default(), &method));
        }
    }
}
