//! Pid 1 of the test guest: obeys one-line commands from the agent port.
//! Compiled by the tests into a static binary.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

unsafe extern "C" {
    fn mount(s: *const i8, t: *const i8, f: *const i8, flags: u64, data: *const u8) -> i32;
    fn syscall(number: i64, ...) -> i64;
    fn ioctl(fd: i32, request: u64, ...) -> i32;
    fn reboot(how: i32) -> i32;
}

const SYS_FINIT_MODULE: i64 = 313;
const POWER_OFF: i32 = 0x4321_fedc;
const CONNECT_WAIT: Duration = Duration::from_secs(2);
const HOARD_WAIT: Duration = Duration::from_millis(50);

fn main() {
    for (fs_type, dir) in [("devtmpfs", "/dev"), ("proc", "/proc"), ("sysfs", "/sys")] {
        let _ = fs::create_dir(dir);
        let (fs_type, dir) = (CString::new(fs_type).unwrap(), CString::new(dir).unwrap());
        unsafe { mount(fs_type.as_ptr(), dir.as_ptr(), fs_type.as_ptr(), 0, std::ptr::null()) };
    }
    load_modules();
    let port = OpenOptions::new().read(true).write(true).open(agent_port()).expect("agent port");
    (&port).write_all(b"up\n").unwrap();
    let mut kept = String::new();
    for line in BufReader::new(&port).lines() {
        let line = line.expect("a line");
        let (command, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let answer = match command {
            "echo" => rest.to_owned(),
            "disks" => disks(),
            "write" => write(rest, b"written!"),
            "fill" => write(rest, &[1; 4 << 20]),
            "net" => net(rest),
            "tcp" => tcp(rest),
            "udp" => udp(rest),
            "hoard" => hoard(rest),
            "mtu" => fs::read_to_string("/sys/class/net/eth0/mtu")
                .map_or("none".into(), |mtu| mtu.trim().to_owned()),
            "keep" => {
                kept = rest.to_owned();
                "ok".into()
            }
            "kept" => kept.clone(),
            "hog" => hog(rest.parse().unwrap()),
            "spin" => loop {
                std::hint::spin_loop();
            },
            "poweroff" => unsafe { format!("{}", reboot(POWER_OFF)) },
            "panic" => std::process::exit(1),
            other => format!("unknown {other}"),
        };
        (&port).write_all(format!("{answer}\n").as_bytes()).unwrap();
    }
    loop {
        std::thread::park();
    }
}

/// Each after those it depends on: tried over and over until none can be added.
fn load_modules() {
    let mut waiting: Vec<PathBuf> = vec![];
    modules_in(Path::new("/"), &mut waiting);
    loop {
        let before = waiting.len();
        waiting.retain(|path| {
            let file = File::open(path).unwrap();
            unsafe { syscall(SYS_FINIT_MODULE, file.as_raw_fd(), c"".as_ptr(), 0) != 0 }
        });
        if waiting.is_empty() || waiting.len() == before {
            return;
        }
    }
}

fn modules_in(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if ["/proc", "/sys", "/dev"].iter().any(|skip| path == Path::new(skip)) {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            modules_in(&path, found);
        } else if path.extension().is_some_and(|e| e == "ko") {
            found.push(path);
        }
    }
}

fn agent_port() -> PathBuf {
    let ports = Path::new("/sys/class/virtio-ports");
    loop {
        for entry in fs::read_dir(ports).into_iter().flatten().map(Result::unwrap) {
            let name = fs::read_to_string(entry.path().join("name")).unwrap_or_default();
            if name.trim() == "agent" {
                return Path::new("/dev").join(entry.file_name());
            }
        }
        std::thread::yield_now();
    }
}

/// `vda:<first 8 bytes>:<ro>`, in order.
fn disks() -> String {
    let one = |name: char| {
        let name = format!("vd{name}");
        let mut first = [0; 8];
        File::open(format!("/dev/{name}")).ok()?.read_exact(&mut first).ok()?;
        let read_only = fs::read_to_string(format!("/sys/block/{name}/ro")).ok()?;
        Some(format!("{name}:{}:{}", String::from_utf8_lossy(&first), read_only.trim()))
    };
    ('a'..='z').map_while(one).collect::<Vec<_>>().join(" ")
}

fn write(disk: &str, what: &[u8]) -> String {
    let written = OpenOptions::new().write(true).open(format!("/dev/{disk}")).and_then(|mut d| {
        d.write_all(what)?;
        d.sync_all()
    });
    written.map_or_else(|e| e.to_string(), |()| "ok".into())
}

/// `address prefix gateway`
fn net(rest: &str) -> String {
    let words: Vec<&str> = rest.split(' ').collect();
    let address: std::net::Ipv4Addr = words[0].parse().unwrap();
    let bits: u32 = words[1].parse().unwrap();
    let gateway: std::net::Ipv4Addr = words[2].parse().unwrap();
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let fd = socket.as_raw_fd();
    let sockaddr = |address: u32| {
        let mut bytes = [0u8; 16];
        bytes[0] = 2;
        bytes[4..8].copy_from_slice(&address.to_be_bytes());
        bytes
    };
    let request = |name: &str, value: &[u8]| {
        let mut bytes = [0u8; 40];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        bytes[16..16 + value.len()].copy_from_slice(value);
        bytes
    };
    let set = |number: u64, name: &str, value: &[u8]| {
        let result = unsafe { ioctl(fd, number, request(name, value).as_ptr()) };
        assert_eq!(result, 0, "ioctl {number:x}: {}", std::io::Error::last_os_error());
    };
    set(0x8916, "eth0", &sockaddr(address.into()));
    set(0x891c, "eth0", &sockaddr(u32::MAX << (32 - bits)));
    set(0x8914, "eth0", &0x41u16.to_le_bytes());
    set(0x8914, "lo", &0x41u16.to_le_bytes());
    // struct rtentry: pad, destination, gateway, mask, flags.
    let mut route = [0u8; 120];
    route[8..24].copy_from_slice(&sockaddr(0));
    route[24..40].copy_from_slice(&sockaddr(gateway.into()));
    route[40..56].copy_from_slice(&sockaddr(0));
    route[56..58].copy_from_slice(&3u16.to_le_bytes());
    assert_eq!(unsafe { ioctl(fd, 0x890b, route.as_ptr()) }, 0, "default route");
    "ok".into()
}

fn tcp(to: &str) -> String {
    let to: SocketAddr = to.parse().unwrap();
    match TcpStream::connect_timeout(&to, CONNECT_WAIT) {
        Err(e) => format!("{:?}", e.kind()),
        Ok(mut stream) => {
            let mut word = String::new();
            stream.read_to_string(&mut word).map_or_else(|e| e.to_string(), |_| word)
        }
    }
}

fn udp(to: &str) -> String {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_read_timeout(Some(CONNECT_WAIT)).unwrap();
    let mut answer = [0; 64];
    // Connected, so that a refusal is heard of.
    socket.connect(to).unwrap();
    match socket.send(b"ping").and_then(|_| socket.recv(&mut answer)) {
        Err(e) => format!("{:?}", e.kind()),
        Ok(length) => String::from_utf8_lossy(&answer[..length]).into_owned(),
    }
}

/// `tcp|udp address calls`: calls from a new port each time, and does not wait
/// for those that are refused. How many TCP calls were answered.
fn hoard(rest: &str) -> String {
    let words: Vec<&str> = rest.split(' ').collect();
    let to: SocketAddr = words[1].parse().unwrap();
    let mut answered = 0;
    for _ in 0..words[2].parse().unwrap() {
        if words[0] == "udp" {
            let _ = UdpSocket::bind("0.0.0.0:0").unwrap().send_to(b"ping", to);
        } else if let Ok(mut stream) = TcpStream::connect_timeout(&to, HOARD_WAIT) {
            answered += u32::from(stream.read_to_string(&mut String::new()).is_ok());
        }
    }
    answered.to_string()
}

/// Touches that many MiB and keeps them.
fn hog(mib: usize) -> String {
    let memory: Vec<u8> = vec![1; mib << 20];
    let sum: usize = memory.iter().step_by(4096).map(|b| *b as usize).sum();
    std::mem::forget(memory);
    format!("{sum}")
}
