//! Reads a server's metrics as Prometheus would.

use crate::{Server, page};
use anyhow::{Context, Result, ensure};

impl Server {
    /// The value of one metric, by its name and labels; the server has to have been
    /// started with `--metrics-listen`.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let said = self.output();
        let address = said.lines().find_map(|line| {
            line.split_once("metrics on http://")?.1.trim().strip_suffix("/metrics")
        });
        let address = address.with_context(|| format!("where are the metrics?\n{said}"))?;
        let answer = page(address, "/metrics").await?;
        ensure!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        let value = answer.lines().find_map(|line| line.strip_prefix(name));
        Ok(value.with_context(|| format!("no {name} in {answer}"))?.trim().parse()?)
    }
}
