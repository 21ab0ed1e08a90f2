//! AWS's published quotas that Hearth keeps, each a named constant.
//!
//! Source: "Lambda quotas" in the AWS Lambda developer guide.

/// Largest request payload of a synchronous invoke: 6 MiB.
pub const INVOKE_PAYLOAD_BYTES_MAX: usize = 6 * 1024 * 1024;
/// Largest response payload; AWS allows 100 bytes of envelope on top of 6 MiB.
pub const INVOKE_RESPONSE_BYTES_MAX: usize = 6 * 1024 * 1024 + 100;
/// Largest zip archive sent inline with a control call: 50 MiB.
pub const CODE_ZIP_BYTES_MAX: usize = 50 * 1024 * 1024;
/// Largest code package once unzipped: 250 MiB.
pub const CODE_UNZIPPED_BYTES_MAX: u64 = 250 * 1024 * 1024;
/// All environment variables of a function together: 4 KiB.
pub const ENVIRONMENT_BYTES_MAX: usize = 4 * 1024;
/// Largest `ClientContext` header, before base64 is decoded.
pub const CLIENT_CONTEXT_BYTES_MAX: usize = 3583;
/// How much of an invocation's log `LogType: Tail` returns.
pub const LOG_TAIL_BYTES_MAX: usize = 4 * 1024;
/// Invocations that one account may have running at once.
pub const ACCOUNT_CONCURRENCY_MAX: usize = 1000;
/// All code of one account, over functions and versions: 75 GiB.
pub const ACCOUNT_CODE_BYTES_MAX: u64 = 75 * 1024 * 1024 * 1024;
/// Aliases of one function. They are kept in its record, which must stay well below
/// what the metadata store takes.
pub const ALIASES_MAX: usize = 128;
/// Tags on one function.
pub const TAGS_MAX: usize = 50;
/// Memory that buys one vCPU, in MB.
pub const MEMORY_MB_PER_VCPU: u32 = 1769;
/// How long an init may take, in seconds, before it counts as the first
/// invoke's time.
pub const INIT_FREE_S: u64 = 10;
/// How long an init may take, in seconds, while a snapshot is built of it.
pub const INIT_SNAPSHOT_S: u64 = 130;
/// How long a clone of a snapshot may take to be ready, in seconds, its function's
/// hooks included.
pub const RESTORE_LIMIT_S: u64 = 10;
/// File descriptors and processes that a sandbox may hold.
pub const SANDBOX_PROCESSES_MAX: u32 = 1024;
