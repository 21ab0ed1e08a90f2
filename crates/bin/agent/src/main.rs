//! The entry into `hearth-agent`.
//!
//! Not Rust's own `main`: the standard library's start-up aborts when a
//! process has no standard streams and no `/dev/null`, which is how a kernel
//! without a console starts its first process.
#![no_main]

// SAFETY: the one definition of `main` in this program, with C's signature.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
extern "C" fn main(_argc: i32, _argv: *const *const u8) -> i32 {
    hearth_agent::run()
}
