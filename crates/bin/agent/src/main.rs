//! `hearth-agent`: pid 1 of every guest.
//!
//! Brings a booted kernel to the point where one function can run, serves the
//! Lambda Runtime API to that function's runtime, and relays between it and
//! the worker over one byte stream. Single-threaded: a guest has few
//! processors, and under emulation each wake-up is dear.
//!
//! ```text
//!  worker ══ transport ══ link ══ session ══ runtime_api ── 127.0.0.1:9001 ── runtime
//!                          ║         ║            ║                             │
//!                          ║       guest        answer                        stdout
//!                          ╚════════ logs ◄──────────────────────────────────── │
//! ```
#![cfg_attr(not(test), no_main)]

mod boot;
mod cgroup;
mod error;
mod guest;
mod jail;
mod link;
mod logs;
mod machine;
mod modules;
mod mounts;
mod network;
mod process;
mod runtime_api;
mod session;
mod transport;
mod unique;
mod virtio_port;
mod watched;

#[cfg(test)]
mod tests;

/// The kernel's entry into the agent.
///
/// Not Rust's own `main`: the standard library's start-up aborts when a
/// process has no standard streams and no `/dev/null`, which is how a kernel
/// without a console starts its first process.
#[cfg(not(test))]
// SAFETY: the one definition of `main` in this program, with C's signature.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
extern "C" fn main(_argc: i32, _argv: *const *const u8) -> i32 {
    // Whatever ends the agent ends the guest: the kernel panics without pid 1,
    // reboots (`panic=-1`), and the VMM exits.
    match boot::run() {
        Ok(()) => 0,
        Err(error) => {
            boot::last_words(&error);
            1
        }
    }
}
