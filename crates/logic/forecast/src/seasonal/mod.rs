//! How much of the fleet will be in use: sandboxes, or bytes of memory.
//!
//! ```text
//!  expected = (level + trend) × (share of the time of day + of the time of the week)
//!             + what is left of the latest deviation from these
//!  upper    = expected + the 95th percentile of how much more it was, lately,
//!             than was expected as long before
//! ```
//!
//! The method of Holt and Winters with two seasons and a correction for the latest error,
//! as by Taylor, "Short-term electricity demand forecasting using double seasonal
//! exponential smoothing" (2003). Whole numbers only.
//!
//! Takes at most [`Seasonal::BYTES_MAX`] bytes.

mod errors;
mod forecast;

pub use forecast::{DEMAND_MAX, Forecast, HORIZON_MAX, STEP, Seasonal};
