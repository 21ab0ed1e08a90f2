//! A real S3 server, on loopback or a host of its own, in a directory that goes with it.

use crate::Place;
use hearth_programs::Program;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, interval};

/// The id of the key that may do everything.
pub const KEY_ID: &str = "AKIDOFTHETESTS";
/// Its secret.
pub const SECRET: &str = "a secret of the tests";
/// How long the server may take to serve.
const START_MAX: Duration = Duration::from_secs(60);
/// How often it is begun anew because somebody else took a port.
const STARTS_MAX: usize = 3;
/// What the server consists of.
const PARTS: [&str; 4] = ["s3", "master", "volume", "filer"];
/// Which port the file system under the buckets has.
const FILER: usize = 6;
const WEED: Program = Program::new("weed", "none: run tests/objects/install");

/// The server.
pub struct S3Server {
    place: Place,
    dir: TempDir,
    ports: [u16; 8],
    process: Option<Child>,
}

impl S3Server {
    /// Starts one on loopback, without any bucket.
    pub async fn start() -> Self {
        Self::start_at(Place::loopback()).await
    }

    /// Starts one there, without any bucket.
    pub async fn start_at(place: Place) -> Self {
        for _ in 0..STARTS_MAX {
            let dir = tempfile::tempdir().unwrap();
            let identity = format!(
                r#"{{"identities": [{{"name": "hearth", "actions": ["Admin"],
                    "credentials": [{{"accessKey": "{KEY_ID}", "secretKey": "{SECRET}"}}]}}]}}"#
            );
            std::fs::write(dir.path().join("s3.json"), identity).unwrap();
            std::fs::create_dir(dir.path().join("data")).unwrap();
            let ports = place.within(|| free_ports(place.address()));
            let mut server = Self { place: place.clone(), dir, ports, process: None };
            server.run();
            if server.serves().await {
                return server;
            }
        }
        panic!("the S3 server does not start");
    }

    /// Starts it again on what it kept, and waits until it serves.
    pub async fn restart(&mut self) {
        self.run();
        assert!(self.serves().await, "the S3 server does not start again");
    }

    /// Kills it, as losing its machine would.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Where it is.
    pub fn endpoint(&self) -> String {
        format!("http://{}:{}", self.place.address(), self.ports[0])
    }

    fn run(&mut self) {
        let names = ["s3", "s3.port.grpc", "master", "master.port.grpc", "volume"];
        let names = names.into_iter().chain(["volume.port.grpc", "filer", "filer.port.grpc"]);
        let ports = names.zip(self.ports).map(|(name, port)| match name.contains('.') {
            true => format!("-{name}={port}"),
            false => format!("-{name}.port={port}"),
        });
        let at = |name: &str| self.dir.path().join(name).display().to_string();
        let log = std::fs::File::create(self.dir.path().join("log")).unwrap();
        let mut weed = weed();
        let address = self.place.address();
        weed.args(["-logtostderr=true", "server"]);
        weed.args([format!("-ip={address}"), format!("-ip.bind={address}")]);
        weed.args([
            "-s3",
            "-filer",
            "-s3.iam=false",
            "-s3.autoCreateBucket",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
        ]);
        // It tells its makers nothing, and leaves nothing elsewhere.
        weed.args(["-master.telemetry=false", "-volume.max=16", "-master.volumeSizeLimitMB=128"]);
        weed.args(ports).arg(format!("-dir={}", at("data")));
        weed.arg(format!("-s3.config={}", at("s3.json")));
        weed.arg(format!("-s3.localSocket={}", at("s3.sock")));
        weed.arg(format!("-filer.localSocket={}", at("filer.sock")));
        weed.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.process = Some(self.place.within(|| weed.spawn()).unwrap());
    }

    /// Waits until it answers; false if it ended instead.
    async fn serves(&mut self) -> bool {
        let started = Instant::now();
        let mut poll = interval(Duration::from_millis(50));
        while started.elapsed() < START_MAX {
            poll.tick().await;
            if self.process.as_mut().unwrap().try_wait().unwrap().is_some() {
                self.process = None;
                return false;
            }
            if self.get("/healthz").await.is_ok_and(|answer| answer.contains(" 200 OK")) {
                return true;
            }
        }
        let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        panic!("the S3 server does not serve:\n{log}");
    }

    /// Makes a bucket: to this server it is a directory of its file system.
    pub async fn make_bucket(&self, name: &str) {
        let path = format!("/buckets/{name}/");
        let made = self.ask(self.ports[FILER], "POST", &path).await.unwrap();
        assert!(made.contains(" 201 Created"), "{made}");
    }

    /// Makes an object without bytes.
    pub async fn make_empty_object(&self, bucket: &str, key: &str) {
        let path = format!("/buckets/{bucket}/{key}");
        let made = self.ask(self.ports[FILER], "PUT", &path).await.unwrap();
        assert!(made.contains(" 201 Created"), "{made}");
    }

    /// Whether there is an object.
    pub async fn has_object(&self, bucket: &str, key: &str) -> bool {
        let path = format!("/buckets/{bucket}/{key}");
        let found = self.ask(self.ports[FILER], "HEAD", &path).await.unwrap();
        assert!(found.contains(" 200 OK") || found.contains(" 404 "), "{found}");
        found.contains(" 200 OK")
    }

    async fn get(&self, path: &str) -> std::io::Result<String> {
        self.ask(self.ports[0], "GET", path).await
    }

    async fn ask(&self, port: u16, method: &str, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect((self.place.address(), port)).await?;
        let head = format!("{method} {path} HTTP/1.0\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.kill();
        // It puts these where no option says.
        for (part, port) in PARTS.iter().flat_map(|part| self.ports.map(|port| (part, port))) {
            match std::fs::remove_file(format!("/tmp/seaweedfs-{part}-grpc-{port}.sock")) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
                _ => {}
            }
        }
    }
}

/// Where `tests/objects/install` puts it, else on the PATH.
fn weed() -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let installed: PathBuf = root.join("target/objects-venv/bin/weed");
    match installed.exists() {
        true => Command::new(installed),
        false => WEED.command().unwrap(),
    }
}

/// Free when asked for; all held until the last is found, so that they differ.
fn free_ports(at: Ipv4Addr) -> [u16; 8] {
    let listeners = [(); 8].map(|()| TcpListener::bind((at, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
