//! Rounds of a manager.
