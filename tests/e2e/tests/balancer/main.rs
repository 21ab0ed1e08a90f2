//! The load balancer of a cluster: a real HAProxy as `hearth cluster balancer-config`
//! sets it up, before front ends that die.

mod front_end;
mod haproxy;
mod wire;

use anyhow::{Context, Result, bail, ensure};
use front_end::FrontEnd;
use haproxy::Balancer;
use hearth_e2e::{Case, eventually, run};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;
use wire::Client;

/// Longest that something may take to come about.
const SOON: Duration = Duration::from_secs(30);
/// Clients that ask at once, each on a connection of its own.
const CLIENTS: usize = 4;
/// Requests of each at a time: enough that each front end gets some.
const REQUESTS: usize = 25;
/// Nearly the largest head that a front end takes.
const LARGE_HEADER_BYTES: usize = 60 * 1024;

fn main() -> ExitCode {
    let cases = vec![
        Case::new("requests_go_on_when_a_front_end_dies", requests_go_on_when_a_front_end_dies),
        Case::new("one_that_drains_ends_what_it_has", one_that_drains_ends_what_it_has),
        Case::new("one_that_is_not_ready_is_the_last", one_that_is_not_ready_is_the_last),
        Case::new("what_may_have_run_is_not_repeated", what_may_have_run_is_not_repeated),
        Case::new("what_is_signed_arrives_as_it_was", what_is_signed_arrives_as_it_was),
    ];
    run(2, cases)
}

struct Cluster {
    a: FrontEnd,
    b: FrontEnd,
    balancer: Balancer,
}

impl Cluster {
    async fn start() -> Result<Self> {
        let (a, b) = (FrontEnd::start("a").await?, FrontEnd::start("b").await?);
        let balancer = Balancer::start(&[&a, &b]).await?;
        Ok(Self { a, b, balancer })
    }

    async fn clients(&self) -> Result<Vec<Client>> {
        clients_of(self.balancer.address).await
    }

    /// Starts an invoke that takes until it is released; which front end has it.
    async fn hold(&mut self, id: &'static str) -> Result<(Held, &mut FrontEnd, &mut FrontEnd)> {
        let mut client = Client::connect(self.balancer.address).await?;
        let held = tokio::spawn(async move { client.invoke(id, "X-Hold: yes\r\n").await });
        let (a, b) = (&mut self.a, &mut self.b);
        let is_at_a = eventually("the invoke is at a front end", SOON, || {
            let at = (a.saw(id), b.saw(id));
            async move { Ok((at != (0, 0)).then_some(at.0 > 0)) }
        });
        match is_at_a.await? {
            true => Ok((held, a, b)),
            false => Ok((held, b, a)),
        }
    }
}

async fn clients_of(address: SocketAddr) -> Result<Vec<Client>> {
    futures_util::future::try_join_all((0..CLIENTS).map(|_| Client::connect(address))).await
}

type Held = tokio::task::JoinHandle<Result<wire::Message>>;

/// Every client asks some times; all get an answer. Who answered.
async fn all_ask(clients: &mut [Client], round: &str) -> Result<BTreeSet<String>> {
    let asking = clients.iter_mut().enumerate().map(|(at, client)| async move {
        let mut answered = BTreeSet::new();
        for turn in 0..REQUESTS {
            let answer = client.invoke(&format!("{round}-{at}-{turn}"), "").await?;
            ensure!(answer.status() == 200, "{round}: {}", answer.head);
            answered.insert(answer.body);
        }
        Ok(answered)
    });
    let all = futures_util::future::try_join_all(asking).await?;
    Ok(all.into_iter().flatten().collect())
}

fn names(of: &[&str]) -> BTreeSet<String> {
    of.iter().map(|name| (*name).to_owned()).collect()
}

async fn requests_go_on_when_a_front_end_dies() -> Result<()> {
    let mut cluster = Cluster::start().await?;
    let mut clients = cluster.clients().await?;
    ensure!(all_ask(&mut clients, "both").await? == names(&["a", "b"]));

    // The balancer does not know yet: connects are refused, and go elsewhere.
    cluster.a.kill().await;
    ensure!(all_ask(&mut clients, "one").await? == names(&["b"]));
    cluster.balancer.says(&cluster.a, "DOWN", 1).await?;
    ensure!(all_ask(&mut clients, "known").await? == names(&["b"]));

    cluster.a.restart().await?;
    cluster.balancer.says(&cluster.a, "UP", 1).await?;
    let address = cluster.balancer.address;
    eventually("the front end that came back is given requests", SOON, || async {
        let answered = all_ask(&mut clients_of(address).await?, "again").await?;
        Ok(answered.contains("a").then_some(()))
    })
    .await?;

    // None at all is told as the API tells it.
    cluster.a.kill().await;
    cluster.b.kill().await;
    let refused = clients[0].invoke("none", "").await?;
    ensure!(refused.status() == 503, "{}", refused.head);
    is_service_exception(&refused)
}

async fn one_that_drains_ends_what_it_has() -> Result<()> {
    let mut cluster = Cluster::start().await?;
    let mut clients = cluster.clients().await?;
    let (held, draining, other) = cluster.hold("held").await?;
    draining.stop_accepting().await;
    ensure!(all_ask(&mut clients, "draining").await? == names(&[other.name]));
    // Nor does it end the invoke that the balancer has found out.
    let (draining, address) = (draining.name, draining.address);
    let at = |f: &FrontEnd| f.address == address;
    let front_end = if at(&cluster.a) { &cluster.a } else { &cluster.b };
    cluster.balancer.says(front_end, "DOWN", 1).await?;
    ensure!(!held.is_finished());
    front_end.release();
    let answer = held.await??;
    ensure!((answer.status(), &*answer.body) == (200, draining), "{}", answer.head);
    Ok(())
}

async fn one_that_is_not_ready_is_the_last() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut clients = cluster.clients().await?;
    cluster.a.ready(false);
    cluster.balancer.says(&cluster.a, "DOWN", 1).await?;
    ensure!(all_ask(&mut clients, "one").await? == names(&["b"]));

    // Where none is ready, one that serves is better than none.
    cluster.b.ready(false);
    cluster.balancer.says(&cluster.b, "DOWN", 1).await?;
    ensure!(all_ask(&mut clients, "none").await? == names(&["a", "b"]));

    cluster.b.ready(true);
    cluster.balancer.says(&cluster.b, "UP", 1).await?;
    ensure!(all_ask(&mut clients, "again").await? == names(&["b"]));
    Ok(())
}

async fn what_may_have_run_is_not_repeated() -> Result<()> {
    let mut cluster = Cluster::start().await?;
    let (held, dying, other) = cluster.hold("midway").await?;
    dying.kill().await;
    let answer = tokio::time::timeout(SOON, held).await.context("it was sent twice, then")???;
    ensure!(answer.status() == 502, "{}", answer.head);
    is_service_exception(&answer)?;
    ensure!((dying.saw("midway"), other.saw("midway")) == (1, 0), "it was sent twice");

    // One that hangs up may have read the request, as far as the balancer can tell.
    let cluster = Cluster::start().await?;
    cluster.a.close_unread(true);
    let mut failed = 0;
    for turn in 0..REQUESTS {
        let id = format!("unread-{turn}");
        let mut client = Client::connect(cluster.balancer.address).await?;
        match client.invoke(&id, "").await?.status() {
            502 => {
                failed += 1;
                ensure!(cluster.b.saw(&id) == 0, "it was sent twice");
            }
            200 => ensure!(cluster.b.saw(&id) == 1),
            status => bail!("{status}"),
        }
    }
    ensure!(failed > 0, "none came to the one that hangs up");
    Ok(())
}

async fn what_is_signed_arrives_as_it_was() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut client = Client::connect(cluster.balancer.address).await?;
    let line = "POST /2015-03-31/functions/arn%3Aaws%3Alambda%3Alocal%3A1%3Afunction%3Af/\
                invocations?Qualifier=%24LATEST&a=%2F+b HTTP/1.1";
    let headers = format!(
        "Host: hearth.example:9070\r\nX-Amz-Date: 20260101T000000Z\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=A/20260101/local/lambda/aws4_request,  \
         SignedHeaders=host;x-amz-date, Signature=0\r\nX-Amz-Client-Context: {}\r\n",
        "c".repeat(LARGE_HEADER_BYTES)
    );
    let request = format!("{line}\r\n{headers}Content-Length: 2\r\n\r\n{{}}");
    let answer = client.ask(&request).await?;
    ensure!(answer.status() == 200, "{}", answer.head);
    let seen = [cluster.a.seen(), cluster.b.seen()].concat().concat();
    ensure!(seen.lines().next() == Some(line), "{}", seen.lines().next().unwrap_or_default());
    ensure!(seen.contains("connection: close\r\n"), "one request, one connection: {seen:.400}");
    for header in headers.lines() {
        let (name, value) = header.split_once(": ").expect("a header");
        let arrived = format!("{}: {value}", name.to_lowercase());
        ensure!(seen.lines().any(|line| line == arrived), "{header:.80}: {seen:.400}");
    }
    Ok(())
}

fn is_service_exception(answer: &wire::Message) -> Result<()> {
    let kind = answer.header("x-amzn-errortype");
    ensure!(kind == Some("ServiceException"), "{}", answer.head);
    let body: serde_json::Value = serde_json::from_str(&answer.body)?;
    ensure!(body["Type"] == "Service" && body["Message"].is_string(), "{body}");
    Ok(())
}
