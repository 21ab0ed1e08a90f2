//! What the two ends say to each other.

use serde::{Deserialize, Serialize};

/// Worker to agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToAgent {
    /// Which runtime the guest is for; sent once, first. What follows it is the
    /// same for every function of the runtime.
    Prepare(Box<Prepare>),
    /// Who the sandbox is; sent once, to a prepared guest.
    Configure(Box<Configure>),
    /// Who the sandbox is, to a clone of one that had been initialised.
    Restore(Box<Identity>),
    /// An event; `payload_bytes` of bulk follow.
    Invoke(InvokeHead),
    /// Answered with [`FromAgent::Pong`]: liveness, and the floor of a round trip.
    Ping {
        /// Returned in the answer.
        nonce: u64,
    },
}

/// What makes a booted guest one of its runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepare {
    /// Wall clock, nanoseconds since the Unix epoch.
    pub clock_unix_ns: u64,
    /// Seed for the guest kernel's random generator.
    pub entropy: [u8; 32],
    /// How to start the runtime before its function is known, if it can do that.
    pub start: Option<EarlyStart>,
}

/// The start of a runtime that waits for its function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlyStart {
    /// Its environment until it is given the function's own.
    pub environment: Vec<(String, String)>,
    /// Whether it takes events from a line of its own, rather than over HTTP.
    pub line: bool,
}

/// What makes a guest one sandbox, unlike every other clone of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Hostname of the sandbox.
    pub hostname: String,
    /// Wall clock, nanoseconds since the Unix epoch.
    pub clock_unix_ns: u64,
    /// Seed for the guest kernel's random generator.
    pub entropy: [u8; 32],
    /// Address of its network device, when it has one.
    pub network: Option<Network>,
}

/// Everything a guest needs to become one sandbox of one function version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configure {
    /// Which one.
    pub identity: Identity,
    /// The runtime's whole environment: the documented variables and the user's.
    pub environment: Vec<(String, String)>,
    /// What the sandbox may use.
    pub limits: Limits,
}

/// Limits that the agent sets on the function's processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory of all the function's processes together, in bytes.
    pub memory_bytes: u64,
    /// Size of `/tmp`, in bytes: that of the scratch disk.
    pub tmp_bytes: u64,
    /// Processes and threads.
    pub processes: u32,
}

/// IPv4 settings of the guest's only network device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The guest's address.
    pub address: [u8; 4],
    /// Length of the network prefix.
    pub prefix_bits: u8,
    /// The way out.
    pub gateway: [u8; 4],
    /// Name server.
    pub dns: [u8; 4],
}

/// An event's head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvokeHead {
    /// `Lambda-Runtime-Aws-Request-Id`.
    pub request_id: String,
    /// How long the function may run, in milliseconds. A duration, for the
    /// deadline that the runtime is told has to be one of the guest's own clock.
    pub timeout_ms: u32,
    /// `Lambda-Runtime-Invoked-Function-Arn`.
    pub invoked_arn: String,
    /// `Lambda-Runtime-Trace-Id`.
    pub trace_id: String,
    /// `Lambda-Runtime-Client-Context`, JSON.
    pub client_context: Option<String>,
    /// Wall clock now; an idle guest's clock drifts.
    pub clock_unix_ns: u64,
    /// Bytes of payload that follow as bulk.
    pub payload_bytes: u32,
}

/// Agent to worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromAgent {
    /// The guest has booted.
    Hello {
        /// Must be [`crate::PROTOCOL_VERSION`].
        protocol: u16,
        /// Time since the guest's kernel started.
        booted_us: u64,
    },
    /// The guest is one of its runtime, which, if it was started, waits for a
    /// function.
    Prepared {
        /// How long that took.
        took_us: u64,
    },
    /// The guest is now the sandbox it was told to be.
    Configured {
        /// How long that took.
        took_us: u64,
    },
    /// The clone is now the sandbox it was told to be, its function's hooks
    /// included.
    Restored {
        /// How long that took.
        took_us: u64,
    },
    /// A hook of the function failed in the clone; bulk follows.
    RestoreFailed(ResultHead),
    /// The runtime asked for its first event, or has nothing more to do before it
    /// is captured.
    InitDone {
        /// How long the runtime and the function took to get there.
        took_us: u64,
        /// Most memory held so far.
        memory_peak_bytes: u64,
    },
    /// The runtime reported that it cannot initialise; bulk follows.
    InitFailed(ResultHead),
    /// Output of the function; `bytes` of bulk follow at once.
    Log {
        /// At most one frame's worth.
        bytes: u32,
    },
    /// The answer to the current event; its body follows as bulk.
    Result(ResultHead),
    /// The answer is complete, and another event may come: it waits in the
    /// guest if the runtime has not asked for it yet.
    ResultEnd {
        /// From the event's arrival in the guest to the answer's last byte.
        run_us: u64,
        /// Most memory held so far.
        memory_peak_bytes: u64,
    },
    /// The runtime is gone, and with it the sandbox's use.
    RuntimeExited {
        /// How it ended.
        status: ExitStatus,
        /// Whether it had taken an event and not answered it. If not, an event
        /// that is on its way, or waits in the guest, may run elsewhere.
        in_event: bool,
        /// Whether the kernel killed it for want of memory.
        out_of_memory: bool,
        /// Most memory held.
        memory_peak_bytes: u64,
    },
    /// The agent could not do what it was told; the sandbox is of no use.
    Failed {
        /// What.
        kind: FailureKind,
        /// For the operator's log.
        detail: String,
    },
    /// Answer to [`ToAgent::Ping`].
    Pong {
        /// As sent.
        nonce: u64,
    },
}

/// The head of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultHead {
    /// Response or error.
    pub kind: ResultKind,
    /// Length of the body that follows as bulk.
    pub body_bytes: u32,
}

/// What an answer is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResultKind {
    /// The handler's response.
    Response,
    /// The handler's error: the body is Lambda's error JSON.
    Error,
    /// The response was larger than allowed and is not sent; no body follows.
    TooLarge {
        /// Its size, as far as it was read.
        bytes: u64,
    },
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitStatus {
    /// It exited by itself.
    Exited(i32),
    /// A signal killed it.
    Signaled(i32),
}

/// What an agent could not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureKind {
    /// Neither the runtime layer nor the package has a `bootstrap`, or the one
    /// there is does not execute.
    NoEntrypoint,
    /// Mounting, limiting or starting failed.
    Setup,
}
