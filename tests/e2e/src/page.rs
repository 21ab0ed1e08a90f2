//! A page over HTTP, as whoever looks after a server reads it.

use anyhow::{Context, Result};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest that a page may take.
const PAGE_MAX: Duration = Duration::from_secs(30);

/// The whole answer, from its first line on, of `HOST:PORT`.
pub async fn page(address: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    tokio::time::timeout(PAGE_MAX, read).await.with_context(|| format!("GET {path}"))??;
    Ok(answer)
}
