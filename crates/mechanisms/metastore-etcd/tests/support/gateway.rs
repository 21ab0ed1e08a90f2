//! Etcd's API in JSON, for what a test does beside the store: HTTP by hand.

use super::Cluster;
use hearth_services::metastore::MetaStore;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Posts to one member; its answer, or nothing if it does not answer.
pub(crate) async fn post(to: SocketAddr, path: &str, body: &str) -> String {
    let ask = async {
        let mut stream = TcpStream::connect(to).await?;
        let head = format!(
            "POST /v3/{path} HTTP/1.0\r\nHost: {to}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    ask.await.unwrap_or_default()
}

/// Compacts all history before what is newest now.
pub(crate) async fn compact(cluster: &Cluster, store: &dyn MetaStore) {
    let (_, revision) = store.list("", None, 0).await.unwrap();
    let body = format!("{{\"revision\":\"{revision}\",\"physical\":true}}");
    let answer = post(cluster.nodes[0].socket(), "kv/compaction", &body).await;
    assert!(answer.contains(" 200 OK"), "{answer}");
}
