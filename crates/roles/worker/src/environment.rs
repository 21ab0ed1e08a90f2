//! The environment variables of a runtime: those that Lambda documents, then
//! the user's own.

use hearth_agent_proto::EarlyStart;
use hearth_types::{FunctionVersion, Runtime, SandboxId, Timestamp};

/// What a runtime reads when it starts, and what every function of it has.
const OF_EVERY_RUNTIME: [(&str, &str); 5] = [
    ("LAMBDA_RUNTIME_DIR", "/var/runtime"),
    ("LAMBDA_TASK_ROOT", "/var/task"),
    (
        "LD_LIBRARY_PATH",
        "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
    ),
    ("PATH", "/var/lang/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin"),
    ("TZ", ":UTC"),
];
/// Tells a bootstrap that its function is not known yet.
const PREPARE: (&str, &str) = ("HEARTH_PREPARE", "1");

/// How a sandbox comes to be initialised, as functions are told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InitializationType {
    /// For an invocation.
    OnDemand,
    /// To be captured.
    SnapStart,
}

/// How a runtime starts before its function is known; none for one that is part of
/// the function.
pub(crate) fn before_function(runtime: Runtime) -> Option<EarlyStart> {
    if runtime == Runtime::ProvidedAl2023 {
        return None;
    }
    let variables = OF_EVERY_RUNTIME.iter().chain(of_runtime(runtime)).chain([&PREPARE]);
    let environment =
        variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Some(EarlyStart { environment, line: matches!(runtime, Runtime::Python313 | Runtime::Java21) })
}

/// Builds the whole environment of a sandbox's runtime.
pub(crate) fn for_sandbox(
    version: &FunctionVersion,
    sandbox: SandboxId,
    now: Timestamp,
    how: InitializationType,
) -> Vec<(String, String)> {
    let function = version.key.function.to_string();
    let initialization_type = match how {
        InitializationType::OnDemand => "on-demand",
        InitializationType::SnapStart => "snap-start",
    };
    let mut env: Vec<(String, String)> = [
        ("AWS_DEFAULT_REGION", version.region.clone()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", version.memory.to_string()),
        ("AWS_LAMBDA_FUNCTION_NAME", function),
        ("AWS_LAMBDA_FUNCTION_VERSION", version.key.version.to_string()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", initialization_type.into()),
        ("AWS_REGION", version.region.clone()),
        ("_HANDLER", version.handler.clone()),
    ]
    .into_iter()
    .map(|(k, v)| (k.to_owned(), v))
    .collect();
    // A clone would have the log stream of the sandbox that was captured; AWS leaves
    // both out as well.
    if how == InitializationType::OnDemand {
        env.extend([
            ("AWS_LAMBDA_LOG_GROUP_NAME".to_owned(), version.logging.log_group.clone()),
            ("AWS_LAMBDA_LOG_STREAM_NAME".to_owned(), log_stream(version, sandbox, now)),
        ]);
    }
    for (name, value) in OF_EVERY_RUNTIME.iter().chain(of_runtime(version.runtime)) {
        env.push(((*name).to_owned(), (*value).to_owned()));
    }
    for (name, value) in &version.environment {
        env.retain(|(n, _)| n != name);
        env.push((name.clone(), value.clone()));
    }
    env
}

/// What only one runtime's functions see.
fn of_runtime(runtime: Runtime) -> &'static [(&'static str, &'static str)] {
    match runtime {
        Runtime::Python313 => &[
            ("AWS_EXECUTION_ENV", "AWS_Lambda_python3.13"),
            ("LANG", "en_US.UTF-8"),
            ("PYTHONPATH", "/var/runtime"),
        ],
        Runtime::NodeJs22 => &[
            ("AWS_EXECUTION_ENV", "AWS_Lambda_nodejs22.x"),
            ("LANG", "en_US.UTF-8"),
            (
                "NODE_PATH",
                "/opt/nodejs/node22/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task",
            ),
        ],
        Runtime::Java21 => &[("AWS_EXECUTION_ENV", "AWS_Lambda_java21"), ("LANG", "en_US.UTF-8")],
        Runtime::ProvidedAl2023 => &[("LANG", "en_US.UTF-8")],
    }
}

/// `YYYY/MM/DD/[VERSION]HEX`: one stream a sandbox.
fn log_stream(version: &FunctionVersion, sandbox: SandboxId, now: Timestamp) -> String {
    let date = now.to_rfc3339()[..10].replace('-', "/");
    format!("{date}/[{}]{}", version.key.version, sandbox.to_string().replace('-', ""))
}
