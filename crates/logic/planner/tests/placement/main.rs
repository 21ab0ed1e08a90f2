//! What placement promises, on fleets and histories of any kind.

mod balance;
mod cost;
mod fleets;
mod promises;
