//! HTTP/1.1 by hand, for both sides: what goes over the wire is what is looked at.

use anyhow::{Context, Result};
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// Longest head that is read: more than HAProxy lets through.
const HEAD_BYTES_MAX: usize = 1 << 20;

/// A request or an answer.
pub(crate) struct Message {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Message {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The status of an answer.
    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }
}

/// Reads one; none if the other side is done.
pub(crate) async fn read(stream: &mut BufReader<TcpStream>) -> Result<Option<Message>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        anyhow::ensure!(head.len() < HEAD_BYTES_MAX, "a head of {} bytes", head.len());
        if stream.read_line(&mut head).await? == 0 {
            anyhow::ensure!(head.is_empty(), "it ends within a head: {head}");
            return Ok(None);
        }
    }
    let mut message = Message { head, body: String::new() };
    let length = message.header("content-length").unwrap_or("0").parse()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.context("it ends within a body")?;
    message.body = String::from_utf8(body)?;
    Ok(Some(message))
}

/// A client's connection, kept from one request to the next.
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    pub(crate) async fn connect(to: SocketAddr) -> Result<Self> {
        Ok(Self(BufReader::new(TcpStream::connect(to).await?)))
    }

    /// Sends a request as it is, and reads its answer.
    pub(crate) async fn ask(&mut self, request: &str) -> Result<Message> {
        self.0.write_all(request.as_bytes()).await?;
        read(&mut self.0).await?.context("it hung up without an answer")
    }

    /// Invokes a function. `headers` end with a line's end each.
    pub(crate) async fn invoke(&mut self, id: &str, headers: &str) -> Result<Message> {
        self.ask(&invoke(id, headers)).await
    }
}

/// A request like an SDK's.
pub(crate) fn invoke(id: &str, headers: &str) -> String {
    format!(
        "POST /2015-03-31/functions/f/invocations HTTP/1.1\r\nHost: hearth.example\r\n\
         X-Id: {id}\r\n{headers}Content-Length: 2\r\n\r\n{{}}"
    )
}
