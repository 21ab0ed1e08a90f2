//! Etcd's API in JSON, for what a test does beside the store: HTTP by hand.

use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Posts to one member; its answer, or nothing if it does not answer.
pub async fn post(to: SocketAddr, path: &str, body: &str) -> String {
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
