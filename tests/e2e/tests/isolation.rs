//! What a sandbox can reach, and what it never can: the host, Hearth, other
//! sandboxes, link-local addresses, the host's private neighbours; other accounts;
//! another version's sandbox.

use anyhow::{Context, Result, ensure};
use aws_sdk_lambda::primitives::Blob;
use hearth_e2e::outside::{self, Outside};
use hearth_e2e::{Draft, Function, Server, ServerCase, ServerOptions, refused, run_on};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the test itself tries to reach what it says can be reached.
const CONNECT: Duration = Duration::from_secs(2);
/// How long Hearth may take to notice that the host joined a network.
const NOTICED_WITHIN: Duration = Duration::from_secs(20);
/// Where every guest finds its way out.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(198, 19, 255, 1);
/// Where clouds keep their credentials.
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

fn main() -> ExitCode {
    let cases = vec![
        ServerCase::new("the_host_cannot_be_reached", the_host_cannot_be_reached),
        ServerCase::new("another_sandbox_cannot_be_reached", another_sandbox_cannot_be_reached),
        ServerCase::new("accounts_cannot_see_each_other", accounts_cannot_see_each_other),
        ServerCase::new("versions_never_share_a_sandbox", versions_never_share_a_sandbox),
    ];
    // On all addresses, or that none can be reached would prove nothing.
    let options = ServerOptions { listen: "0.0.0.0:0".into(), ..Default::default() };
    run_on(options, 2, cases)
}

/// Tries all targets at once: `[address, port]` in, `{"address:port": outcome}` out.
const CONNECTS: &str = r#"
import errno, socket, threading, time
def handler(event, context):
    seen = {}
    def tcp(address, port):
        try:
            with socket.create_connection((address, port), timeout=3): outcome = "connected"
        except TimeoutError: outcome = "timed out"
        except OSError as e: outcome = errno.errorcode.get(e.errno, str(e))
        seen[f"{address}:{port}"] = outcome
    def udp(address, port):
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                for _ in range(3): s.sendto(event["token"].encode(), (address, port))
        except OSError: pass
    threads = [threading.Thread(target=tcp, args=t) for t in event.get("tcp", [])]
    threads += [threading.Thread(target=udp, args=t) for t in event.get("udp", [])]
    for t in threads: t.start()
    for t in threads: t.join()
    return seen
"#;

/// Every IPv4 address of the host, those towards its sandboxes included.
fn host_addresses() -> Result<BTreeSet<Ipv4Addr>> {
    let output = Command::new("ip").args(["-4", "-o", "addr"]).output().context("ip")?;
    let text = String::from_utf8(output.stdout)?;
    let addresses = text.lines().filter_map(|line| {
        let (_, rest) = line.split_once(" inet ")?;
        rest.split(['/', ' ']).next()?.parse().ok()
    });
    Ok(addresses.collect())
}

/// Whether an address is the host's end of a link to a sandbox.
fn is_link(address: &Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    a == 198 && (b == 18 || b == 19 && c != GATEWAY.octets()[2])
}

fn connects(address: Ipv4Addr, port: u16) -> bool {
    TcpStream::connect_timeout(&SocketAddr::from((address, port)), CONNECT).is_ok()
}

async fn the_host_cannot_be_reached(server: Arc<Server>) -> Result<()> {
    let account = server.default_account()?;
    let function = Draft::python("connects", CONNECTS).memory_mb(1769).create(&account).await?;
    function.call(&json!({})).await?;

    // A server and an ear of the test's own, on every address.
    let canary = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let ear = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    ear.set_nonblocking(true)?;
    let outside = Outside::open()?;
    let ports = [server.port()?, canary.local_addr()?.port()];
    let hosts = host_addresses()?;
    ensure!(hosts.len() >= 3, "loopback, the test's own link and a sandbox's: {hosts:?}");

    // Reachable for the host: so it is the sandbox that cannot.
    let mut tcp: Vec<(Ipv4Addr, u16)> = Vec::new();
    for address in &hosts {
        tcp.extend(ports.map(|port| (*address, port)));
    }
    for address in [outside::LINK_LOCAL, outside::NEIGHBOUR, outside::PRIVATE] {
        tcp.push((address, outside.port()?));
    }
    for (address, port) in &tcp {
        ensure!(connects(*address, *port), "the test cannot connect to {address}:{port}");
    }
    ensure!(connects(outside::ROUTED, outside.port()?), "the test cannot reach the outside");
    // And what may or may not be there.
    tcp.extend(ports.map(|port| (GATEWAY, port)));
    tcp.extend([
        (METADATA, 80),
        (Ipv4Addr::BROADCAST, ports[1]),
        (Ipv4Addr::UNSPECIFIED, ports[1]),
    ]);

    let control = format!("{}:{}", outside::ROUTED, outside.port()?);
    let token = "let me out";
    let ear_port = ear.local_addr()?.port();
    let udp: Vec<_> = hosts.iter().chain([&GATEWAY]).map(|address| (*address, ear_port)).collect();
    let mut targets = tcp.clone();
    targets.push((outside::ROUTED, outside.port()?));
    // The host has just joined a network of neighbours; Hearth is to notice.
    let neighbour = format!("{}:{}", outside::NEIGHBOUR, outside.port()?);
    let probe = json!({"tcp": [[outside::NEIGHBOUR, outside.port()?]]});
    let joined = Instant::now();
    while function.call(&probe).await?[&neighbour] == "connected" {
        ensure!(joined.elapsed() < NOTICED_WITHIN, "a new neighbour stays reachable");
    }
    let seen = function.call(&json!({"tcp": targets, "udp": udp, "token": token})).await?;
    ensure!(seen[&control] == "connected", "no outbound network at all: {seen}");
    for (address, port) in tcp {
        let outcome = &seen[format!("{address}:{port}")];
        ensure!(outcome.is_string() && outcome != "connected", "{address}:{port}: {seen}");
    }
    let mut heard = [0; 64];
    while let Ok((bytes, from)) = ear.recv_from(&mut heard) {
        ensure!(&heard[..bytes] != token.as_bytes(), "a datagram got through from {from}");
    }
    Ok(())
}

async fn another_sandbox_cannot_be_reached(server: Arc<Server>) -> Result<()> {
    const PORT: u16 = 7777;
    const LISTENS: &str = r#"
import socket, threading, time
server = socket.create_server(("0.0.0.0", 7777))
accepted = []
def accept():
    while True: accepted.append(server.accept()[1])
threading.Thread(target=accept, daemon=True).start()
def handler(event, context):
    # That it can be reached at all, from within.
    if event.get("self"):
        socket.create_connection(("127.0.0.1", 7777)).close()
        while not accepted: time.sleep(0.01)
    return len(accepted)
"#;
    let listener = Draft::python("listens", LISTENS);
    let listener = listener.create(&server.default_account()?).await?;
    listener.call(&json!({"self": true})).await?;
    let before = listener.call(&json!({})).await?;
    ensure!(before == 1, "{before} connections");

    // Both ends of every sandbox's link, and the address that all guests have.
    let mut targets = vec![(Ipv4Addr::new(198, 19, 255, 2), PORT), (GATEWAY, PORT)];
    let links = host_addresses()?.into_iter().filter(is_link);
    for host_end in links {
        let sandbox_end = Ipv4Addr::from(u32::from(host_end) + 1);
        targets.extend([(host_end, PORT), (sandbox_end, PORT)]);
    }
    ensure!(targets.len() >= 4, "the listener's own link is there: {targets:?}");
    let stranger = server.new_account("stranger").await?;
    let connects = Draft::python("seeks", CONNECTS).memory_mb(1769).create(&stranger).await?;
    let seen = connects.call(&json!({"tcp": targets})).await?;
    for (target, outcome) in seen.as_object().context("outcomes")? {
        ensure!(outcome != "connected", "{target}: {seen}");
    }
    ensure!(listener.call(&json!({})).await? == 1, "the listener was reached");
    Ok(())
}

async fn accounts_cannot_see_each_other(server: Arc<Server>) -> Result<()> {
    const SOURCE: &str = "def handler(e, c): return [c.log_stream_name, c.invoked_function_arn]\n";
    let (ours, theirs) = (server.new_account("ours").await?, server.new_account("theirs").await?);
    let secret = Draft::python("secret", SOURCE).env("KEY", "value").create(&ours).await?;
    let said = secret.call(&json!({})).await?;
    let arn = said[1].as_str().context("an ARN")?.to_owned();

    let client = &theirs.client;
    ensure!(client.list_functions().send().await?.functions().is_empty());
    ensure!(server.sandboxes(&theirs).await?.is_empty());
    const NOT_FOUND: &str = "ResourceNotFoundException";
    refused(NOT_FOUND, 404, client.get_function().function_name("secret").send().await)?;
    refused(NOT_FOUND, 404, client.invoke().function_name("secret").send().await)?;
    refused(NOT_FOUND, 404, client.delete_function().function_name("secret").send().await)?;
    let zip = Blob::new(hearth_e2e::zip_of(&[("app.py", b"")]));
    let update = client.update_function_code().function_name("secret").zip_file(zip);
    refused(NOT_FOUND, 404, update.send().await)?;
    // By its full name there is no more to see, not even whether it exists.
    let absent = arn.replace(":secret", ":absent");
    for arn in [&arn, &absent] {
        const DENIED: &str = "AccessDeniedException";
        refused(DENIED, 403, client.get_function().function_name(arn).send().await)?;
        refused(DENIED, 403, client.invoke().function_name(arn).send().await)?;
        refused(DENIED, 403, client.delete_function().function_name(arn).send().await)?;
        refused(DENIED, 403, client.list_tags().resource(arn).send().await)?;
    }

    // The same name is another function, in another sandbox.
    let same_name = Draft::python("secret", SOURCE).create(&theirs).await?;
    let theirs_said = same_name.call(&json!({})).await?;
    ensure!(theirs_said[0] != said[0] && theirs_said[1] != said[1], "{said}, {theirs_said}");
    client.delete_function().function_name("secret").send().await?;
    ensure!(secret.call(&json!({})).await?[0] == said[0], "the other's deletion was felt");
    Ok(())
}

async fn versions_never_share_a_sandbox(server: Arc<Server>) -> Result<()> {
    const ROUNDS: usize = 3;
    let source = |n: usize| {
        format!(
            "import os\nleft = '/tmp/mark'\n\
             def handler(event, context):\n\
             \x20   found = open(left).read() if os.path.exists(left) else None\n\
             \x20   open(left, 'w').write('{n}')\n\
             \x20   return {{'code': {n}, 'found': found, 'stream': context.log_stream_name}}\n"
        )
    };
    let account = server.new_account("versions").await?;
    let function = Draft::python("versioned", &source(0)).create(&account).await?;
    // Which code each sandbox has run.
    let mut ran: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for round in 0..ROUNDS {
        if round > 0 {
            function.update_python(&source(round)).await?;
        }
        let published = function.publish().await?;
        let expected = [(None, round), (Some(published), round), (Some("1".to_owned()), 0)];
        let calls = expected.iter().map(|(qualifier, code)| {
            let request = || function.request(&json!({})).set_qualifier(qualifier.clone());
            let function = &function;
            async move {
                // The second may be warm; of the same version it must be.
                function.send(request()).await?.json()?;
                anyhow::Ok((function.send(request()).await?.json()?, *code))
            }
        });
        for (said, code) in futures_util::future::try_join_all(calls).await? {
            ensure!(said["code"] == code, "round {round}, expected {code}: {said}");
            let found = &said["found"];
            let own = found.as_str() == Some(code.to_string().as_str());
            ensure!(found.is_null() || own, "left over: {said}");
            note(&mut ran, &said)?;
        }
    }
    ensure!(ran.len() > ROUNDS, "{ran:?}");
    ensure!(ran.values().all(|codes| codes.len() == 1), "a sandbox ran two versions: {ran:?}");

    update_while_invoked(&function, &source(100), &source(101)).await
}

/// From the moment that an update is acknowledged as in effect, no invocation
/// that begins runs the code before it.
async fn update_while_invoked(function: &Function, first: &str, second: &str) -> Result<()> {
    function.update_python(first).await?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let calls = tokio::spawn({
        let function = function.clone();
        async move {
            let mut codes = Vec::new();
            while !*stopped.borrow() {
                codes.push(function.call(&json!({})).await?["code"].clone());
            }
            anyhow::Ok(codes)
        }
    });
    function.update_python(second).await?;
    let after = function.call(&json!({})).await?;
    stop.send(true)?;
    let codes = calls.await??;
    ensure!(after["code"] == 101, "stale: {after}");
    ensure!(codes.is_sorted_by_key(|c| c.as_u64()), "the old code came back: {codes:?}");
    Ok(())
}

fn note(ran: &mut BTreeMap<String, BTreeSet<u64>>, said: &Value) -> Result<()> {
    let stream = said["stream"].as_str().context("a stream")?;
    // The prefix is the version; what follows names the sandbox.
    let (_, sandbox) = stream.split_once(']').context("a version in brackets")?;
    let code = said["code"].as_u64().context("a number")?;
    ran.entry(sandbox.to_owned()).or_default().insert(code);
    Ok(())
}
