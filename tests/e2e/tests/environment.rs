//! What a function sees and what its callers see of it: all runtimes, the
//! documented environment, logs, and a handler's own errors.

use anyhow::{Context, Result, ensure};
use aws_sdk_lambda::types::{EphemeralStorage, LogType};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hearth_e2e::{
    Answer, Draft, Function, Server, ServerCase, ServerOptions, java_function, run_on,
    rust_example, zip_of,
};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

fn main() -> ExitCode {
    let cases = vec![
        ServerCase::new("rust_answers", rust_answers),
        ServerCase::new("java_answers", java_answers),
        ServerCase::new("node_answers", node_answers),
        ServerCase::new("python_answers", python_answers),
        ServerCase::new("the_environment_is_lambdas", the_environment_is_lambdas),
        ServerCase::new("the_context_is_lambdas", the_context_is_lambdas),
        ServerCase::new("the_disk_is_read_only_but_for_tmp", the_disk_is_read_only_but_for_tmp),
        ServerCase::new("logs_come_with_the_answer", logs_come_with_the_answer),
        ServerCase::new("a_handlers_error_spares_its_sandbox", a_handlers_error_spares_its_sandbox),
        ServerCase::new("a_failed_init_is_reported", a_failed_init_is_reported),
    ];
    run_on(ServerOptions::default(), 3, cases)
}

/// What an event survives: text of every kind, numbers, depth.
fn awkward_event() -> Value {
    json!({
        "text": "grüß \u{1F525} \u{0000} \"quoted\" \\ \n",
        "numbers": [0, -1, 1.5, 9_007_199_254_740_991_i64],
        "nothing": null,
        "deep": [[[[[[[[[["x"]]]]]]]]]],
        "long": "x".repeat(300_000),
    })
}

async fn python_answers(server: Arc<Server>) -> Result<()> {
    let source = "def handler(event, context): return event\n";
    echoes(Draft::python("echo-python", source), &server).await
}

async fn node_answers(server: Arc<Server>) -> Result<()> {
    let source = "exports.handler = async (event) => event;\n";
    let zip = zip_of(&[("index.js", source.as_bytes())]);
    echoes(Draft::new("echo-node", "nodejs22.x", "index.handler", zip), &server).await?;
    let account = server.default_account()?;
    let source = "exports.handler = async () => { throw new RangeError('out of it'); };\n";
    let zip = zip_of(&[("index.js", source.as_bytes())]);
    let draft = Draft::new("throws-node", "nodejs22.x", "index.handler", zip);
    let failure = draft.create(&account).await?.invoke(&json!({})).await?.failure()?;
    ensure!(failure.error_type == "RangeError", "{failure:?}");
    ensure!(failure.error_message == "out of it", "{failure:?}");
    Ok(())
}

async fn java_answers(server: Arc<Server>) -> Result<()> {
    let account = server.default_account()?;
    let draft = Draft::new("hello-java", "java21", "hello.Hello", java_function("hello-java")?);
    let function = draft.create(&account).await?;
    for name in ["Ada", "Grace"] {
        let said = function.call(&json!({ "name": name })).await?;
        ensure!(said["message"] == format!("Hello, {name}!"), "{said}");
        ensure!(said["java"].as_str().is_some_and(|java| java.starts_with("21.")), "{said}");
    }
    let failure = function.invoke(&json!({ "name": {} })).await?.failure()?;
    ensure!(failure.error_type == "java.lang.RuntimeException", "{failure:?}");
    ensure!(failure.error_message == "An error occurred during JSON parsing", "{failure:?}");

    let code = java_function("uniqueness-java")?;
    let draft = Draft::new("unique-java", "java21", "uniqueness.Uniqueness", code);
    let function = draft.create(&account).await?;
    let [one, two] = [function.call(&json!({})).await?, function.call(&json!({})).await?];
    for name in ["uuid", "secure_random", "secure_random_sun", "random", "tls_client_random"] {
        ensure!(one[name].is_string() && one[name] != two[name], "{name}: {one}, {two}");
    }
    ensure!(one["hostname"] == two["hostname"], "{one}, {two}");
    Ok(())
}

async fn rust_answers(server: Arc<Server>) -> Result<()> {
    let zip = rust_example()?;
    let draft = Draft::new("hello-rust", "provided.al2023", "bootstrap", zip);
    let function = draft.create(&server.default_account()?).await?;
    for name in ["Ada", "Grace"] {
        let said = function.call(&json!({ "name": name })).await?;
        ensure!(said.to_string().contains(name), "{said}");
    }
    Ok(())
}

async fn echoes(draft: Draft, server: &Server) -> Result<()> {
    let function = draft.create(&server.default_account()?).await?;
    for event in [json!({}), json!("text"), json!([1, 2]), awkward_event()] {
        let said = function.call(&event).await?;
        ensure!(said == event, "{said}");
    }
    Ok(())
}

const LOOK_AROUND: &str = r#"
import os, sys
def handler(event, context):
    return {
        "env": dict(os.environ),
        "uid": [os.getuid(), os.geteuid(), os.getgid()],
        "groups": os.getgroups(),
        "cwd": os.getcwd(),
        "python": list(sys.version_info[:2]),
        "cpus": os.cpu_count(),
        "status": {
            name: value.strip()
            for name, value in (l.split(":", 1) for l in open("/proc/self/status"))
            if name in ("CapEff", "CapPrm", "CapBnd", "NoNewPrivs")
        },
        "code": sorted(os.listdir("/var/task")),
        "processes": [p for p in os.listdir("/proc") if p.isdigit()],
    }
"#;

async fn the_environment_is_lambdas(server: Arc<Server>) -> Result<()> {
    let draft = Draft::python("looks", LOOK_AROUND).memory_mb(768).env("MINE", "yes = no");
    let function = draft.create(&server.default_account()?).await?;
    let seen = function.call(&json!({})).await?;
    let env = |name: &str| seen["env"][name].as_str().unwrap_or("(not set)");
    for (name, value) in [
        ("MINE", "yes = no"),
        ("_HANDLER", "app.handler"),
        ("AWS_REGION", "local"),
        ("AWS_DEFAULT_REGION", "local"),
        ("AWS_EXECUTION_ENV", "AWS_Lambda_python3.13"),
        ("AWS_LAMBDA_FUNCTION_NAME", "looks"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "768"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/looks"),
        ("LAMBDA_TASK_ROOT", "/var/task"),
        ("LAMBDA_RUNTIME_DIR", "/var/runtime"),
        ("TZ", ":UTC"),
    ] {
        ensure!(env(name) == value, "{name} is {:?}, not {value:?}", env(name));
    }
    ensure!(env("AWS_LAMBDA_RUNTIME_API") == "127.0.0.1:9001", "{seen}");
    ensure!(env("AWS_LAMBDA_LOG_STREAM_NAME").contains("/[$LATEST]"), "{seen}");
    ensure!(env("PATH").contains("/opt/bin") && env("LD_LIBRARY_PATH").contains("/opt/lib"));

    ensure!(seen["cwd"] == "/var/task" && seen["code"] == json!(["app.py"]), "{seen}");
    ensure!(seen["python"] == json!([3, 13]), "{seen}");
    let uids = seen["uid"].as_array().context("uids")?;
    ensure!(uids.iter().all(|uid| uid != 0), "the function is root: {seen}");
    ensure!(seen["groups"].as_array().is_none_or(|g| !g.contains(&json!(0))), "{seen}");
    for set in ["CapEff", "CapPrm", "CapBnd"] {
        ensure!(seen["status"][set] == "0000000000000000", "{set}: {}", seen["status"]);
    }
    ensure!(seen["status"]["NoNewPrivs"] == "1", "{}", seen["status"]);
    ensure!(!seen["processes"].as_array().context("processes")?.contains(&json!("1")), "{seen}");
    Ok(())
}

const TELL_CONTEXT: &str = r#"
def handler(event, context):
    client = context.client_context
    return {
        "request_id": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "name": context.function_name,
        "version": context.function_version,
        "memory": int(context.memory_limit_in_mb),
        "group": context.log_group_name,
        "stream": context.log_stream_name,
        "remaining": context.get_remaining_time_in_millis(),
        "custom": client.custom if client else None,
        "now": __import__("time").time(),
    }
"#;

async fn the_context_is_lambdas(server: Arc<Server>) -> Result<()> {
    let draft = Draft::python("context", TELL_CONTEXT).timeout_s(20);
    let function = draft.create(&server.default_account()?).await?;
    let plain = function.call(&json!({})).await?;
    ensure!(plain["custom"].is_null(), "{plain}");

    let client_context = BASE64_STANDARD.encode(r#"{"custom": {"who": "grüß"}}"#);
    let request = function.request(&json!({})).client_context(client_context);
    let output = request.send().await?;
    let answered_id = aws_sdk_lambda::operation::RequestId::request_id(&output).map(str::to_owned);
    let seen = Answer::from(output).json()?;
    ensure!(seen["custom"] == json!({"who": "grüß"}), "{seen}");
    ensure!(seen["request_id"].as_str() == answered_id.as_deref(), "{seen}, {answered_id:?}");
    ensure!(seen["request_id"] != plain["request_id"], "{seen}");
    let arn = seen["arn"].as_str().context("an ARN")?;
    ensure!(arn.starts_with("arn:aws:lambda:local:") && arn.ends_with(":function:context"));
    ensure!(seen["name"] == "context" && seen["version"] == "$LATEST" && seen["memory"] == 1024);
    ensure!(seen["group"] == "/aws/lambda/context" && seen["stream"] == plain["stream"], "{seen}");
    let remaining = seen["remaining"].as_u64().context("a remaining time")?;
    ensure!((15_000..=20_000).contains(&remaining), "{remaining} ms of 20 s remain");
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
    let off = (seen["now"].as_f64().context("a time")? - now).abs();
    ensure!(off < 2.0, "the guest's clock is off by {off} s");

    // Through an ARN with a qualifier the function sees that.
    ensure!(function.publish().await? == "1");
    let request = function.account.client.invoke().function_name(format!("{arn}:1"));
    let seen = function.send(request).await?.json()?;
    ensure!(seen["arn"] == format!("{arn}:1") && seen["version"] == "1", "{seen}");
    ensure!(seen["stream"].as_str().is_some_and(|s| s.contains("/[1]")), "{seen}");
    Ok(())
}

const WRITE_EVERYWHERE: &str = r#"
import errno, os
def fill(path, limit):
    written = 0
    try:
        with open(path, "wb", buffering=0) as f:
            while written < limit:
                written += f.write(bytes(1 << 20))
    except OSError as e:
        return written, errno.errorcode[e.errno]
    finally:
        os.remove(path)
    return written, None
def attempt(path):
    try:
        with open(path, "w") as f: f.write("x")
        os.remove(path)
        return None
    except OSError as e:
        return errno.errorcode[e.errno]
def handler(event, context):
    writable = []
    for top, dirs, files in os.walk("/"):
        dirs[:] = [d for d in dirs if os.path.join(top, d) not in ("/proc", "/sys", "/tmp", "/dev/shm")]
        if attempt(os.path.join(top, ".hearth-test")) is None: writable.append(top)
    return {
        "writable": writable,
        "errors": {d: attempt(d + "/x") for d in ("/", "/var/task", "/opt", "/etc", "/usr/bin", "/run")},
        "overwrite": attempt("/var/task/app.py"),
        "tmp": attempt("/tmp/x"),
        "tmp_dir": bool(os.makedirs("/tmp/a/b/c", exist_ok=True) is None),
        "full": fill("/tmp/full", event["limit"]),
        "again": fill("/tmp/again", 8 << 20),
    }
"#;

async fn the_disk_is_read_only_but_for_tmp(server: Arc<Server>) -> Result<()> {
    const TMP_MB: i32 = 520;
    let account = server.default_account()?;
    let draft = Draft::python("writes", WRITE_EVERYWHERE).memory_mb(1769).timeout_s(120);
    let storage = EphemeralStorage::builder().size(TMP_MB).build()?;
    draft.request(&account).ephemeral_storage(storage).send().await?;
    let function = Function { account, name: "writes".into() };
    function.wait_active().await?;
    let seen = function.call(&json!({"limit": 2_u64 << 30})).await?;

    ensure!(seen["writable"] == json!([]), "writable: {}", seen["writable"]);
    for dir in ["/", "/var/task", "/opt", "/etc", "/usr/bin", "/run"] {
        let error = seen["errors"][dir].as_str();
        ensure!(matches!(error, Some("EROFS" | "EACCES")), "{dir}: {}", seen["errors"]);
    }
    ensure!(seen["overwrite"].is_string() && seen["tmp"].is_null(), "{seen}");
    ensure!(seen["tmp_dir"] == true, "{seen}");
    // The file system's own blocks count, so it holds a little less than it is.
    let full = seen["full"][0].as_i64().context("bytes")? >> 20;
    ensure!((i64::from(TMP_MB) * 85 / 100..=TMP_MB.into()).contains(&full), "/tmp held {full} MiB");
    ensure!(seen["full"][1] == "ENOSPC", "{seen}");
    ensure!(seen["again"][1].is_null(), "what was removed is free again: {seen}");
    Ok(())
}

const TALK: &str = r#"
import sys
def handler(event, context):
    print("said to stdout")
    print("said to stderr", file=sys.stderr)
    print("x" * event["more"])
    return "done"
"#;

async fn logs_come_with_the_answer(server: Arc<Server>) -> Result<()> {
    let account = server.default_account()?;
    let function = Draft::python("talks", TALK).memory_mb(256).create(&account).await?;
    let silent = function.invoke(&json!({"more": 0})).await?;
    ensure!(silent.log_base64.is_none(), "a log that nobody asked for");

    let tail = |more: usize| {
        let function = function.clone();
        async move {
            let request = function.request(&json!({"more": more})).log_type(LogType::Tail);
            let answer = function.send(request).await?;
            ensure!(answer.json()? == "done");
            let log = BASE64_STANDARD.decode(answer.log_base64.context("a log")?)?;
            Ok(String::from_utf8(log)?)
        }
    };
    let log = tail(1).await?;
    for part in [
        "START RequestId: ",
        "Version: $LATEST",
        "said to stdout",
        "said to stderr",
        "END RequestId: ",
        "REPORT RequestId: ",
        "Duration: ",
        "Billed Duration: ",
        "Memory Size: 256 MB",
        "Max Memory Used: ",
    ] {
        ensure!(log.contains(part), "no {part:?} in {log}");
    }
    ensure!(!log.contains("Init Duration"), "it was warm: {log}");
    let long = tail(20_000).await?;
    ensure!(long.len() <= 4096 && long.contains("REPORT"), "{} bytes of tail", long.len());

    // All of it is in the function's log, the cold start's init time too.
    let kept = account.logs("talks").await?;
    ensure!(kept.matches("START RequestId").count() == 3, "{kept}");
    ensure!(kept.matches("Init Duration").count() == 1, "{kept}");
    Ok(())
}

const RAISE: &str = r#"
calls = 0
class Odd(Exception): pass
def deep(text): raise Odd(text)
def handler(event, context):
    global calls
    calls += 1
    if "raise" in event: deep(event["raise"])
    return {"calls": calls, "stream": context.log_stream_name}
"#;

async fn a_handlers_error_spares_its_sandbox(server: Arc<Server>) -> Result<()> {
    let function = Draft::python("raises", RAISE).create(&server.default_account()?).await?;
    let before = function.call(&json!({})).await?;
    let failure = function.invoke(&json!({"raise": "on purpose"})).await?.failure()?;
    ensure!(failure.error_type == "Odd" && failure.error_message == "on purpose", "{failure:?}");
    let trace = format!("{:?}", failure.stack_trace);
    ensure!(trace.contains("deep") && trace.contains("app.py"), "{trace}");
    let after = function.call(&json!({})).await?;
    ensure!(after["stream"] == before["stream"], "another sandbox: {before}, {after}");
    ensure!(after["calls"] == 3, "another process: {before}, {after}");
    Ok(())
}

async fn a_failed_init_is_reported(server: Arc<Server>) -> Result<()> {
    let account = server.default_account()?;
    let python = |name: &str, source: &str| Draft::python(name, source).create(&account);
    let raises = python("init-raises", "raise RuntimeError('no init')\n").await?;
    let import = python("init-imports", "import nowhere_to_be_found\n").await?;
    let handler = python("init-no-handler", "def other(e, c): pass\n").await?;
    let exits = python("init-exits", "import os; os._exit(3)\n").await?;
    let bare = zip_of(&[("readme", b"no bootstrap here")]);
    let bootstrap =
        Draft::new("init-no-bootstrap", "provided.al2023", "x", bare).create(&account).await?;
    for (function, error_type, says) in [
        (raises, "RuntimeError", "no init"),
        (import, "Runtime.ImportModuleError", "nowhere_to_be_found"),
        (handler, "Runtime.HandlerNotFound", "handler"),
        (exits, "Runtime.ExitError", "exit status 3"),
        (bootstrap, "Runtime.InvalidEntrypoint", "bootstrap"),
    ] {
        let failure = function.invoke(&json!({})).await?.failure()?;
        ensure!(failure.error_type.ends_with(error_type), "{}: {failure:?}", function.name);
        ensure!(failure.error_message.contains(says), "{}: {failure:?}", function.name);
    }
    // Mended code serves at once.
    let mended = Function { account: account.clone(), name: "init-raises".into() };
    mended.update_python("def handler(e, c): return 'mended'\n").await?;
    ensure!(mended.call(&json!({})).await? == "mended");
    Ok(())
}
