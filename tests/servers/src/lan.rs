//! A network of the test's own: hosts that are network namespaces, and this process the
//! router between them, which can be told to lose what goes from one to another.
//!
//! ```text
//!  10.77.1.2 [ host ] eth0 ═ veth ═ z1h2 [ this process: 10.77.0.1 ] z3h5 ═ veth ═ eth0 [ host ] 10.77.3.5
//! ```
//!
//! Nothing of it has a name on the machine: it is gone with the last process in it.

use crate::Place;
use hearth_programs::Program;
use nix::sched::{CloneFlags, unshare};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::net::Ipv4Addr;
use std::process::Stdio;

const IP: Program = Program::new("ip", "iproute2");
const NFT: Program = Program::new("nft", "nftables");

/// The router, and so this process: clients that it has call from there.
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// The hosts of one test.
pub struct Lan {
    interfaces: Vec<String>,
    lost: BTreeSet<String>,
}

impl Lan {
    /// Makes this process a router in a namespace of its own, until its end. It must have no
    /// threads yet, for they would stay behind.
    pub fn enter() -> std::io::Result<()> {
        unshare(CloneFlags::CLONE_NEWNET)?;
        ip(&format!("link set lo up\naddr add {ROUTER}/32 dev lo\n"));
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")
    }

    /// A network without hosts.
    pub fn open() -> Self {
        let hooks = ["input", "forward", "output"].map(|hook| {
            format!("chain {hook} {{ type filter hook {hook} priority filter; jump lost; }}\n")
        });
        nft(&format!("table inet lan {{\nchain lost {{ }}\n{} }}\n", hooks.concat()));
        Self { interfaces: Vec::new(), lost: BTreeSet::new() }
    }

    /// A new host, `10.77.NETWORK.NUMBER`.
    pub fn host(&mut self, network: u8, number: u8) -> Place {
        let address = Ipv4Addr::new(10, 77, network, number);
        let interface = format!("z{network}h{number}");
        let own = || File::open("/proc/thread-self/ns/net").unwrap();
        let router = own();
        let namespace = std::thread::scope(|scope| {
            let made = scope.spawn(|| {
                unshare(CloneFlags::CLONE_NEWNET).unwrap();
                own()
            });
            made.join().unwrap()
        });
        let place = Place::host(address, namespace);
        let file = std::os::fd::AsRawFd::as_raw_fd(&router);
        let peer = format!("/proc/{}/fd/{file}", std::process::id());
        place.within(|| {
            ip(&format!(
                "link set lo up\n\
                 link add eth0 type veth peer name {interface} netns {peer}\n\
                 addr add {address}/32 dev eth0\n\
                 link set eth0 up\n\
                 route add {ROUTER} dev eth0\n\
                 route add default via {ROUTER}\n"
            ));
        });
        ip(&format!("link set {interface} up\nroute add {address} dev {interface} src {ROUTER}\n"));
        self.interfaces.push(interface);
        place
    }

    /// From now on all is lost that goes from one to the other: addresses, networks or
    /// `!=` either, as nftables has them.
    pub fn lose(&mut self, from: &str, to: &str) {
        self.lost.insert(format!("ip saddr {from} ip daddr {to} drop\n"));
        self.apply();
    }

    /// The same in both directions.
    pub fn cut(&mut self, one: &str, other: &str) {
        self.lose(one, other);
        // `ip saddr != A` and `ip daddr != A` are written alike.
        self.lose(other, one);
    }

    /// Nothing is lost any more.
    pub fn heal(&mut self) {
        self.lost.clear();
        self.apply();
    }

    fn apply(&self) {
        let rules: Vec<String> =
            self.lost.iter().map(|rule| format!("add rule inet lan lost {rule}")).collect();
        nft(&format!("flush chain inet lan lost\n{}", rules.concat()));
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        // With one end the other goes, though processes be left on its host; mostly both went
        // with the host.
        let gone = self.interfaces.iter().map(|interface| format!("link del {interface}\n"));
        let _they_may_be_gone = run(IP, &["-force", "-batch", "-"], &gone.collect::<String>());
        let _it_goes_with_this_process = run(NFT, &["-f", "-"], "delete table inet lan\n");
    }
}

fn ip(batch: &str) {
    run(IP, &["-batch", "-"], batch).unwrap();
}

fn nft(script: &str) {
    run(NFT, &["-f", "-"], script).unwrap();
}

fn run(program: Program, arguments: &[&str], input: &str) -> Result<(), String> {
    let mut command = program.command().unwrap();
    command.args(arguments).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    output.status.success().then_some(()).ok_or_else(|| format!("{input}{said}"))
}
