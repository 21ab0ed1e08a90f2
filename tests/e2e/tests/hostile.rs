//! Functions that mean harm, each beside a neighbour that must not notice. What
//! they do ends as it would on Lambda, and their next invocation is served.

use anyhow::{Context, Result, ensure};
use aws_sdk_lambda::types::LogType;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hearth_e2e::{Draft, Neighbour, Server, ServerCase, ServerOptions, run_on};
use serde_json::{Value, json};
use std::future::Future;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Largest response: 6 MiB and 100 bytes.
const RESPONSE_BYTES_MAX: usize = 6 * 1024 * 1024 + 100;
/// What one function may keep of its output on disk: two segments of 8 MiB, and
/// what is on its way there.
const LOG_BYTES_MAX: u64 = 20 * 1024 * 1024;
/// How much later than its timeout an invocation may be answered.
const TIMEOUT_GRACE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let cases = vec![
        ServerCase::new("a_fork_bomb", a_fork_bomb),
        ServerCase::new("a_memory_hog", a_memory_hog),
        ServerCase::new("endless_output", endless_output),
        ServerCase::new("too_large_a_response", too_large_a_response),
        ServerCase::new("one_that_never_returns", one_that_never_returns),
        ServerCase::new("one_that_kills_its_runtime", one_that_kills_its_runtime),
        ServerCase::new("garbage_to_the_runtime_api", garbage_to_the_runtime_api),
        ServerCase::new("garbage_to_every_device", garbage_to_every_device),
    ];
    run_on(ServerOptions::default(), 2, cases)
}

/// Does `harm` in an account of its own while a neighbour goes about its work.
async fn beside_a_neighbour<Fut>(
    server: &Server,
    name: &str,
    harm: impl FnOnce(hearth_e2e::Account) -> Fut,
) -> Result<()>
where
    Fut: Future<Output = Result<()>>,
{
    let neighbour = Neighbour::move_in(&server.default_account()?).await?;
    harm(server.new_account(name).await?).await?;
    neighbour.noticed_nothing().await
}

/// The sandbox that answered, from the log stream it says it has.
fn stream_of(answer: &Value) -> Result<&str> {
    answer["stream"].as_str().with_context(|| format!("no stream in {answer}"))
}

async fn a_fork_bomb(server: Arc<Server>) -> Result<()> {
    const SOURCE: &str = r#"
import os
def handler(event, context):
    while event.get("bomb"):
        try: os.fork()
        except OSError: pass
    return {"stream": context.log_stream_name}
"#;
    beside_a_neighbour(&server, "forks", |account| async move {
        let function = Draft::python("forks", SOURCE).timeout_s(8).create(&account).await?;
        let before = function.call(&json!({})).await?;
        let failure = function.invoke(&json!({"bomb": true})).await?.failure()?;
        let expected = ["Sandbox.Timedout", "Runtime.ExitError"];
        ensure!(expected.contains(&failure.error_type.as_str()), "{failure:?}");
        let after = function.call(&json!({})).await?;
        ensure!(stream_of(&after)? != stream_of(&before)?, "a bombed sandbox serves again");
        Ok(())
    })
    .await
}

async fn a_memory_hog(server: Arc<Server>) -> Result<()> {
    const SOURCE: &str = r#"
def handler(event, context):
    hoard = []
    while event.get("hog"): hoard.append(bytearray(b"x") * (8 << 20))
    return {"stream": context.log_stream_name}
"#;
    beside_a_neighbour(&server, "hoards", |account| async move {
        let draft = Draft::python("hoards", SOURCE).memory_mb(256).timeout_s(60);
        let function = draft.create(&account).await?;
        let before = function.call(&json!({})).await?;
        let request = function.request(&json!({"hog": true})).log_type(LogType::Tail);
        let answer = function.send(request).await?;
        let failure = answer.failure()?;
        ensure!(failure.error_type == "Runtime.ExitError", "{failure:?}");
        ensure!(failure.error_message.ends_with("signal: killed"), "{failure:?}");
        let log = BASE64_STANDARD.decode(answer.log_base64.context("a log")?)?;
        let log = String::from_utf8_lossy(&log);
        ensure!(log.contains("Max Memory Used: 256 MB"), "{log}");
        let after = function.call(&json!({})).await?;
        ensure!(stream_of(&after)? != stream_of(&before)?, "a dead sandbox serves again");
        Ok(())
    })
    .await
}

async fn endless_output(server: Arc<Server>) -> Result<()> {
    const SOURCE: &str = r#"
import os
def handler(event, context):
    while event.get("talk"): os.write(1, b"nothing new under the sun\n" * 1000)
    return "quiet"
"#;
    let logs = server.data_dir().join("logs");
    beside_a_neighbour(&server, "talks", |account| async move {
        let draft = Draft::python("talks", SOURCE).memory_mb(1769).timeout_s(10);
        let function = draft.create(&account).await?;
        function.call(&json!({})).await?;
        let began = Instant::now();
        let failure = function.invoke(&json!({"talk": true})).await?.failure()?;
        ensure!(failure.error_type == "Sandbox.Timedout", "{failure:?}");
        ensure!(began.elapsed() < Duration::from_secs(10) + TIMEOUT_GRACE, "{:?}", began.elapsed());
        ensure!(function.call(&json!({})).await? == "quiet");
        let largest = largest_below(&logs)?;
        ensure!(largest > 0 && largest < LOG_BYTES_MAX, "{largest} bytes of log");
        Ok(())
    })
    .await
}

/// Bytes in the directory below `dir` that holds most.
fn largest_below(dir: &Path) -> Result<u64> {
    let (mut own, mut largest) = (0, 0);
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            largest = largest.max(largest_below(&entry.path())?);
        } else {
            own += entry.metadata()?.len();
        }
    }
    Ok(largest.max(own))
}

async fn too_large_a_response(server: Arc<Server>) -> Result<()> {
    const SOURCE: &str = r#"
def handler(event, context):
    # Two bytes are the quotes.
    return "x" * (event["bytes"] - 2) if "bytes" in event else {"stream": context.log_stream_name}
"#;
    beside_a_neighbour(&server, "sends", |account| async move {
        let draft = Draft::python("sends", SOURCE).memory_mb(1769).timeout_s(60);
        let function = draft.create(&account).await?;
        let before = function.call(&json!({})).await?;
        for bytes in [6 * 1024 * 1024, RESPONSE_BYTES_MAX] {
            let answer = function.invoke(&json!({"bytes": bytes})).await?;
            let said = answer.json()?;
            ensure!(answer.payload.len() == bytes, "{} bytes", answer.payload.len());
            ensure!(said.as_str().is_some_and(|s| s.bytes().all(|b| b == b'x')), "garbled");
        }
        for bytes in [RESPONSE_BYTES_MAX + 1, 16 * 1024 * 1024] {
            let failure = function.invoke(&json!({"bytes": bytes})).await?.failure()?;
            ensure!(failure.error_type == "Function.ResponseSizeTooLarge", "{failure:?}");
            ensure!(failure.error_message.contains("exceeded maximum allowed payload size"));
        }
        // AWS's client ends the runtime when its response is refused.
        let after = function.call(&json!({})).await?;
        ensure!(stream_of(&after)? != stream_of(&before)?, "a dead runtime serves again");
        Ok(())
    })
    .await
}

async fn one_that_never_returns(server: Arc<Server>) -> Result<()> {
    const SOURCE: &str = r#"
import time
def handler(event, context):
    while event.get("spin"): pass
    while event.get("wait"): time.sleep(60)
    return {"stream": context.log_stream_name}
"#;
    const TIMEOUT: Duration = Duration::from_secs(2);
    beside_a_neighbour(&server, "stays", |account| async move {
        let function = Draft::python("stays", SOURCE).timeout_s(2).create(&account).await?;
        for how in ["spin", "wait"] {
            let before = function.call(&json!({})).await?;
            let began = Instant::now();
            let failure = function.invoke(&json!({how: true})).await?.failure()?;
            let took = began.elapsed();
            ensure!(failure.error_type == "Sandbox.Timedout", "{failure:?}");
            let says = failure.error_message.as_str();
            ensure!(says.starts_with("RequestId: "), "{says}");
            ensure!(says.ends_with(" Error: Task timed out after 2.00 seconds"), "{says}");
            ensure!((TIMEOUT..TIMEOUT + TIMEOUT_GRACE).contains(&took), "{how}: {took:?}");
            let after = function.call(&json!({})).await?;
            ensure!(stream_of(&after)? != stream_of(&before)?, "{how}: it serves again");
        }
        Ok(())
    })
    .await
}

async fn one_that_kills_its_runtime(server: Arc<Server>) -> Result<()> {
    const SOURCE: &str = r#"
import os, signal
def attempt(pid):
    try:
        os.kill(pid, signal.SIGKILL)
        return "killed"
    except OSError as e:
        return type(e).__name__
def handler(event, context):
    if "exit" in event: os._exit(event["exit"])
    if "signal" in event: os.kill(os.getpid(), event["signal"])
    return {"stream": context.log_stream_name, "agent": attempt(1), "parent": attempt(os.getppid())}
"#;
    beside_a_neighbour(&server, "dies", |account| async move {
        let function = Draft::python("dies", SOURCE).create(&account).await?;
        for (event, says) in [
            (json!({"exit": 7}), "Runtime exited with error: exit status 7"),
            (json!({"exit": 0}), "Runtime exited without providing a reason"),
            (json!({"signal": 9}), "Runtime exited with error: signal: killed"),
        ] {
            let before = function.call(&json!({})).await?;
            for whom in ["agent", "parent"] {
                let refused = ["PermissionError", "ProcessLookupError"];
                let attempt = before[whom].as_str().unwrap_or_default();
                ensure!(refused.contains(&attempt), "{whom}: {attempt}");
            }
            let failure = function.invoke(&event).await?.failure()?;
            ensure!(failure.error_type == "Runtime.ExitError", "{event}: {failure:?}");
            ensure!(failure.error_message.ends_with(says), "{event}: {failure:?}");
            let after = function.call(&json!({})).await?;
            ensure!(stream_of(&after)? != stream_of(&before)?, "{event}: it serves again");
        }
        Ok(())
    })
    .await
}

async fn garbage_to_the_runtime_api(server: Arc<Server>) -> Result<()> {
    const SOURCE: &str = r#"
import os, socket
INVOCATION = b"/2018-06-01/runtime/invocation/"
def say(data, wait=True):
    s = socket.create_connection(("127.0.0.1", 9001), timeout=5)
    try:
        s.sendall(data)
        return s.recv(4096).split(b"\r\n")[0].decode("latin-1") if wait else None
    except OSError as e:
        return type(e).__name__
    finally:
        s.close()
def post(path, body=b"{}", headers=b""):
    length = b"Content-Length: %d\r\n" % len(body)
    return b"POST " + path + b" HTTP/1.1\r\nHost: x\r\n" + length + headers + b"\r\n" + body
def handler(event, context):
    mine = context.aws_request_id.encode()
    seen = {}
    if event.get("attack"):
        seen["noise"] = [say(os.urandom(n) + b"\r\n\r\n") for n in (1, 100, 5000)]
        seen["not http"] = say(b"HELO\r\n\r\n")
        seen["wrong id"] = say(post(INVOCATION + b"00000000-0000-0000-0000-000000000000/response"))
        seen["no id"] = say(post(INVOCATION + b"/response"))
        seen["odd id"] = say(post(INVOCATION + b"../../x" * 100 + b"/response"))
        seen["long line"] = say(b"GET /" + b"x" * 300000 + b" HTTP/1.1\r\n\r\n")
        seen["huge header"] = say(post(INVOCATION + mine + b"/response", headers=b"X: " + b"y" * 300000 + b"\r\n"))
        seen["many headers"] = say(post(INVOCATION + mine + b"/response", headers=b"X: y\r\n" * 5000))
        seen["bad length"] = say(b"POST " + INVOCATION + mine + b"/response HTTP/1.1\r\nContent-Length: -1\r\n\r\n")
        seen["huge length"] = say(b"POST " + INVOCATION + mine + b"/response HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n")
        seen["bad chunks"] = say(b"POST " + INVOCATION + mine + b"/response HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
        seen["unfinished"] = say(b"POST " + INVOCATION + mine + b"/response HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf", wait=False)
        held = []
        for _ in range(500):
            try: held.append(socket.create_connection(("127.0.0.1", 9001), timeout=1))
            except OSError: break
        seen["connections"] = len(held)
        for s in held: s.close()
    return {"seen": seen, "n": event["n"]}
"#;
    beside_a_neighbour(&server, "garbles", |account| async move {
        let draft = Draft::python("garbles", SOURCE).memory_mb(1769).timeout_s(120);
        let function = draft.create(&account).await?;
        for n in 0..3 {
            let said = function.call(&json!({"n": n, "attack": n == 1})).await?;
            ensure!(said["n"] == n, "another invocation's answer: {said}");
            if n == 1 {
                println!("the Runtime API said {}", said["seen"]);
                for what in
                    ["wrong id", "no id", "odd id", "long line", "bad length", "huge length"]
                {
                    let line = said["seen"][what].as_str().context("an answer")?;
                    ensure!(!line.starts_with("HTTP/1.1 2"), "{what}: {line}");
                }
            }
        }
        // Answering twice, or for the runtime, is the function's to do; it must
        // only never become the answer to another invocation.
        Ok(())
    })
    .await
}

async fn garbage_to_every_device(server: Arc<Server>) -> Result<()> {
    const SOURCE: &str = r#"
import errno, glob, os, socket, stat
HARMLESS = {"null", "zero", "full", "random", "urandom", "tty"}
def name(e): return errno.errorcode.get(e.errno, str(e.errno))
def write(path):
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as e:
        return name(e)
    try:
        os.write(fd, os.urandom(4096))
        return "written"
    except OSError as e:
        return name(e)
    finally:
        os.close(fd)
def attempt(f):
    try:
        f()
        return "done"
    except OSError as e:
        return name(e)
def handler(event, context):
    devices = {}
    for top, dirs, files in os.walk("/dev"):
        for file in files:
            path = os.path.join(top, file)
            mode = os.lstat(path).st_mode
            if file not in HARMLESS and (stat.S_ISCHR(mode) or stat.S_ISBLK(mode)):
                devices[path] = write(path)
    ports = glob.glob("/dev/vport*") + glob.glob("/dev/virtio-ports/*") + glob.glob("/dev/hvc*")
    tries = {
        "vport": write("/dev/vport0p1"), "vport1": write("/dev/vport1p1"), "vda": write("/dev/vda"),
        "mem": write("/dev/mem"), "kmsg": write("/dev/kmsg"), "console": write("/dev/console"),
        "sysrq": write("/proc/sysrq-trigger"), "core": write("/proc/sys/kernel/core_pattern"),
        "oom": attempt(lambda: open("/proc/1/oom_score_adj", "w").write("1000")),
        "mknod port": attempt(lambda: os.mknod("/tmp/port", 0o600 | stat.S_IFCHR, os.makedev(244, 1))),
        "mknod disk": attempt(lambda: os.mknod("/tmp/disk", 0o600 | stat.S_IFBLK, os.makedev(254, 0))),
        "raw": attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)),
        "packet": attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
        "chroot": attempt(lambda: os.chroot("/tmp")),
        "setuid": attempt(lambda: os.setuid(0)),
        "hostname": attempt(lambda: socket.sethostname("me")),
        "memory of init": attempt(lambda: open("/proc/1/mem", "r+b")),
    }
    tries.update({p: write(p) for p in ports})
    return {"devices": devices, "tries": tries}
"#;
    beside_a_neighbour(&server, "pokes", |account| async move {
        let function = Draft::python("pokes", SOURCE).create(&account).await?;
        for _ in 0..2 {
            let said = function.call(&json!({})).await?;
            for (what, came_to) in said["devices"].as_object().context("devices")? {
                ensure!(came_to != "written", "{what}: {said}");
            }
            for (what, came_to) in said["tries"].as_object().context("tries")? {
                ensure!(came_to != "written" && came_to != "done", "{what} worked: {said}");
            }
        }
        Ok(())
    })
    .await
}
