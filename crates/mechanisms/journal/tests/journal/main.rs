//! The journal, on a real store that counts and fails as it is told.

mod checkpoints;
mod faults;
mod support;
mod writing;
