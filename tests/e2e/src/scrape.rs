//! Reads a server's metrics as Prometheus would.

use crate::Server;
use anyhow::{Context, Result, ensure};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest that a scrape may take.
const SCRAPE_MAX: Duration = Duration::from_secs(30);

impl Server {
    /// The value of one metric, by its name and labels; the server has to have been
    /// started with `--metrics-listen`.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let said = self.output();
        let address = said.lines().find_map(|line| {
            line.split_once("metrics on http://")?.1.trim().strip_suffix("/metrics")
        });
        let address = address.with_context(|| format!("where are the metrics?\n{said}"))?;
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        tokio::time::timeout(SCRAPE_MAX, read).await.context("a scrape")??;
        ensure!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        let value = answer.lines().find_map(|line| line.strip_prefix(name));
        Ok(value.with_context(|| format!("no {name} in {answer}"))?.trim().parse()?)
    }
}
