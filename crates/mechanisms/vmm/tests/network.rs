//! What a guest can and cannot reach. The "host" here is a network namespace of
//! the test's own, with an "outside" behind it:
//!
//! ```text
//!  guests ══ host 203.0.113.1 ── out0 ═ out1 ── outside 203.0.113.2, a neighbour
//!            listens on :7000                   listens on :7000 and :53, also as
//!                                               a public address, private ones,
//!                                               and 169.254.169.254 as clouds do
//! ```
#![allow(unsafe_code)]

mod common;

use common::{Booted, Host, leftovers};
use rustix::thread::UnshareFlags;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::process::Command;
use std::time::{Duration, Instant};

const PORT: u16 = 7000;
const HOST: &str = "203.0.113.1";
const NEIGHBOUR: &str = "203.0.113.2";
const PUBLIC: &str = "198.51.100.2";
const PRIVATE: &str = "10.77.0.2";
const CARRIER: &str = "100.64.0.2";
const RESOLVER: &str = "10.77.0.53";
const METADATA: &str = "169.254.169.254";
const OUTSIDE: [&str; 6] = [NEIGHBOUR, PUBLIC, PRIVATE, CARRIER, RESOLVER, METADATA];
/// Connections that one guest may have.
const CONNECTIONS_MAX: usize = 1024;
/// TCP connections a second that it may open beyond those.
const OPENS_PER_SECOND: usize = 100;

fn run(line: &str) {
    let mut words = line.split(' ');
    let status = Command::new(words.next().unwrap()).args(words).status().unwrap();
    assert!(status.success(), "{line}");
}

fn new_namespace() -> File {
    // SAFETY: changes this thread's network namespace only.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }.unwrap();
    run("ip link set lo up");
    File::open("/proc/thread-self/ns/net").unwrap()
}

/// Has the calling thread see a host that is told of [`RESOLVER`].
fn configure_resolver() {
    // SAFETY: changes what this thread sees as mounted only.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }.unwrap();
    run("mount --make-rprivate /");
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "nameserver {RESOLVER}").unwrap();
    run(&format!("mount --bind {} /etc/resolv.conf", file.path().display()));
}

fn enter(namespace: &File) {
    let kind = Some(rustix::thread::LinkNameSpaceType::Network);
    rustix::thread::move_into_link_name_space(namespace.as_fd(), kind).unwrap();
}

/// Answers every connection with a word and the caller's address; likewise UDP.
fn serve(word: &'static str, port: u16, addresses: &[&str]) {
    let tcp = TcpListener::bind(("0.0.0.0", port)).unwrap();
    std::thread::spawn(move || {
        for stream in tcp.incoming() {
            let mut stream = stream.unwrap();
            let from = stream.peer_addr().unwrap().ip();
            let _ = write!(stream, "{word} {from}");
        }
    });
    // One each, so that they answer from where they were asked.
    for address in addresses {
        let udp = UdpSocket::bind((*address, port)).unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 64];
            while let Ok((_, from)) = udp.recv_from(&mut buffer) {
                let _ = udp.send_to(format!("{word} {}", from.ip()).as_bytes(), from);
            }
        });
    }
}

/// The calling thread's call, as a guest would make it.
fn call(address: &str) -> std::io::Result<String> {
    let to = format!("{address}:{PORT}").parse().unwrap();
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(2))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

struct World {
    host: File,
    outside: File,
}

/// Makes the namespaces; the calling thread ends up on the "host".
fn world() -> World {
    let outside = new_namespace();
    let host = new_namespace();
    serve("host", PORT, &["0.0.0.0"]);
    configure_resolver();
    let fd =
        format!("/proc/{}/fd/{}", std::process::id(), std::os::fd::AsRawFd::as_raw_fd(&outside));
    run(&format!("ip link add out0 mtu 1400 type veth peer name out1 mtu 1400 netns {fd}"));
    run(&format!("ip addr add {HOST}/24 dev out0"));
    run("ip link set out0 up");
    enter(&outside);
    run(&format!("ip addr add {NEIGHBOUR}/24 dev out1"));
    for address in &OUTSIDE[1..] {
        run(&format!("ip addr add {address}/32 dev lo"));
    }
    run("ip link set out1 up");
    for port in [PORT, 53] {
        serve("outside", port, &OUTSIDE);
    }
    // So that it could reach sandboxes if the host let it.
    run(&format!("ip route add 198.18.0.0/15 via {HOST}"));
    enter(&host);
    run(&format!("ip route add default via {NEIGHBOUR}"));
    World { host, outside }
}

async fn join(guest: &mut Booted) {
    let network = guest.vm.network().unwrap();
    let line = format!("net {} {} {}", network.address, network.prefix_bits, network.gateway);
    assert_eq!(guest.tell(&line).await, "ok");
}

/// Runs a test on a thread that is on the "host", as are the driver's threads.
fn on_the_host<F: Future<Output = ()>>(test: impl FnOnce(World) -> F + Send + 'static) {
    let thread = std::thread::spawn(move || {
        let world = world();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test(world));
    });
    thread.join().unwrap();
}

fn forwarding() -> String {
    std::fs::read_to_string("/proc/sys/net/ipv4/conf/out0/forwarding").unwrap().trim().into()
}

#[test]
fn a_guest_reaches_the_outside_and_nothing_else() {
    on_the_host(|world| async move {
        // Everything that is to be out of reach is there, and answers the host.
        assert!(call(HOST).unwrap().starts_with("host"));
        assert!(call("127.0.0.1").unwrap().starts_with("host"));
        for address in OUTSIDE {
            assert!(call(address).unwrap().starts_with("outside"), "{address}");
        }
        assert_eq!(forwarding(), "0");

        let host = Host::open();
        let (mut guest, mut other) = (host.boot().await, host.boot().await);
        join(&mut guest).await;
        join(&mut other).await;
        assert_eq!(guest.tell("mtu").await, "1400");

        // Seen from outside it is the host.
        let reached = format!("outside {HOST}");
        assert_eq!(guest.vm.network().unwrap().dns, [RESOLVER.parse::<Ipv4Addr>().unwrap()]);
        for to in [format!("{PUBLIC}:{PORT}"), format!("{RESOLVER}:53")] {
            assert_eq!(guest.tell(&format!("tcp {to}")).await, reached, "{to}");
            assert_eq!(guest.tell(&format!("udp {to}")).await, reached, "{to}");
        }
        assert_eq!(other.tell(&format!("tcp {PUBLIC}:{PORT}")).await, reached);

        // The links' addresses: what `ip` shows of our interfaces.
        let shown = Command::new("ip").args(["-o", "-4", "addr"]).output().unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        let links: Vec<u32> = shown
            .lines()
            .filter(|line| line.contains(" hth"))
            .map(|line| line.split_whitespace().nth(3).unwrap().split('/').next().unwrap())
            .map(|address| address.parse::<Ipv4Addr>().unwrap().into())
            .collect();
        assert!(links.len() >= 2, "{shown}");
        let ends = links.iter().flat_map(|link| [*link, link + 1]);
        let mut forbidden: Vec<String> = ends.map(|end| Ipv4Addr::from(end).to_string()).collect();
        let far = [HOST, METADATA, NEIGHBOUR, PRIVATE, CARRIER, RESOLVER];
        forbidden.extend(far.map(String::from));
        forbidden.extend(["198.19.255.1", "203.0.113.255"].map(String::from));
        for address in &forbidden {
            for protocol in ["tcp", "udp"] {
                let answer = guest.tell(&format!("{protocol} {address}:{PORT}")).await;
                assert!(
                    !answer.contains("host") && !answer.contains("outside"),
                    "{address}: {answer}"
                );
            }
        }

        // Nor does anything come in, or through the host to somewhere else.
        enter(&world.outside);
        for link in &links {
            let inside = Ipv4Addr::from(link + 1).to_string();
            assert!(call(&inside).is_err(), "{inside}");
        }
        enter(&world.host);

        host.driver.shutdown().await;
        assert_eq!(forwarding(), "0", "restored");
        let shown = Command::new("ip").args(["-o", "link"]).output().unwrap();
        assert!(!String::from_utf8(shown.stdout).unwrap().contains("hth"));
        assert_eq!(host.leftovers(), Vec::<String>::new());
    });
}

#[test]
fn what_the_operator_opens_is_open_and_no_more() {
    on_the_host(|_world| async {
        let opened = ["10.77.0.0/16", "203.0.113.0/24", "169.254.0.0/16", "198.18.0.0/15"];
        let opened = opened.map(|network| network.parse().unwrap()).to_vec();
        let host = Host::allowing(tempfile::tempdir().unwrap(), 1, opened);
        let mut guest = host.boot().await;
        join(&mut guest).await;
        for address in [PUBLIC, PRIVATE, NEIGHBOUR] {
            let answer = guest.tell(&format!("tcp {address}:{PORT}")).await;
            assert_eq!(answer, format!("outside {HOST}"), "{address}");
        }
        for address in [HOST, METADATA, CARRIER] {
            let answer = guest.tell(&format!("tcp {address}:{PORT}")).await;
            assert!(!answer.contains("host") && !answer.contains("outside"), "{answer}");
        }

        // A network that the host comes to stand in later is closed to the next.
        run("ip tuntap add dev late0 mode tap");
        run("ip addr add 192.88.99.1/24 dev late0");
        run("ip link set late0 up");
        guest.vm.kill().await;
        host.boot().await;
        let set = Command::new("nft").args(["list", "ruleset"]).output().unwrap();
        assert!(String::from_utf8(set.stdout).unwrap().contains("192.88.99.0/24"));
        host.driver.shutdown().await;
    });
}

#[test]
fn a_guest_that_hoards_connections_leaves_its_neighbours_theirs() {
    // Of this namespace alone, the host's and all guests'.
    fn tracked() -> usize {
        let count = std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count");
        count.unwrap().trim().parse().unwrap()
    }
    on_the_host(|_world| async {
        let host = Host::open();
        let before = tracked();
        let (mut hoarder, mut neighbour) = (host.boot().await, host.boot().await);
        join(&mut hoarder).await;
        join(&mut neighbour).await;
        let flows = CONNECTIONS_MAX * 2;
        hoarder.tell(&format!("hoard udp {PUBLIC}:{PORT} {flows}")).await;
        let hoarded = tracked() - before;
        assert!((CONNECTIONS_MAX / 2..=CONNECTIONS_MAX).contains(&hoarded), "{hoarded}");
        let answer = neighbour.tell(&format!("udp {PUBLIC}:{PORT}")).await;
        assert_eq!(answer, format!("outside {HOST}"));
        // The next at its address finds none of them.
        hoarder.vm.kill().await;
        assert!(tracked() < before + CONNECTIONS_MAX / 8, "{}", tracked());

        // Closed ones are not counted, so how fast they are opened is.
        let began = Instant::now();
        let calls = CONNECTIONS_MAX * 5 / 2;
        let answered = neighbour.tell(&format!("hoard tcp {PUBLIC}:{PORT} {calls}")).await;
        let answered: usize = answered.parse().unwrap();
        let bound = CONNECTIONS_MAX + began.elapsed().as_secs() as usize * OPENS_PER_SECOND + 150;
        assert!((CONNECTIONS_MAX / 2..bound).contains(&answered), "{answered} of {bound}");
        host.driver.shutdown().await;
    });
}

#[test]
fn starts_without_any_network() {
    let thread = std::thread::spawn(|| {
        new_namespace();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let host = Host::open();
            let mut guest = host.boot().await;
            join(&mut guest).await;
            let answer = guest.tell(&format!("tcp {PUBLIC}:{PORT}")).await;
            assert!(!answer.contains("outside"), "{answer}");
            host.driver.shutdown().await;
        });
    });
    thread.join().unwrap();
}

#[test]
fn a_crashed_predecessors_forwarding_is_turned_off() {
    on_the_host(|_world| async {
        let host = Host::open();
        host.boot().await.vm.kill().await;
        assert_eq!(forwarding(), "1");
        let again = Host::on(host.abandon().await, 2);
        again.driver.shutdown().await;
        assert_eq!(forwarding(), "0");
    });
}

#[test]
fn a_hearth_killed_in_a_namespace_that_is_gone_leaves_no_cgroup() {
    fn on_a_new_runtime<T>(test: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test)
    }
    let killed = std::thread::spawn(|| {
        new_namespace();
        on_a_new_runtime(async {
            let host = Host::open_with_slots(1);
            // So that nothing is being made any more.
            host.boot().await.vm.kill().await;
            host.abandon().await
        })
    });
    let state = killed.join().unwrap();
    on_a_new_runtime(async {
        let next = Host::open_with_slots(1);
        // Who starts in that namespace would look there; nobody will.
        let traces = leftovers(state.path());
        assert!(matches!(&traces[..], [one] if one.starts_with("/run/hearth/")), "{traces:?}");
        std::fs::remove_dir_all(&traces[0]).unwrap();
        next.driver.shutdown().await;
    });
}

#[tokio::test]
async fn a_guest_without_a_network_has_none() {
    let host = Host::open();
    let spec = common::VmSpec { network: false, ..common::spec() };
    let mut guest = host.boot_with(spec).await;
    assert_eq!(guest.vm.network(), None);
    assert_eq!(guest.tell("mtu").await, "none");
    host.driver.shutdown().await;
}
