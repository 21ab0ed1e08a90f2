//! The agent runs before everything else in its guest: an event or an answer
//! never waits for a function that computes.
#![allow(unsafe_code)]

use std::io;

/// Takes the lowest real-time priority, above every ordinary process. What the
/// agent starts is an ordinary process again.
pub(crate) fn above_functions() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 1 };
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: 0 is the calling thread, and the kernel only reads the parameters,
    // which outlive the call.
    match unsafe { libc::sched_setscheduler(0, policy, &parameters) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
