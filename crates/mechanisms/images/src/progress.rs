//! How a build tells what it is doing, so that a terminal can draw it.

/// Receives a build's progress. Called from the building thread; must not
/// block for long.
pub trait Progress {
    /// Step `number` of `total`, from 1, begins: `name` is a few words.
    fn step(&self, number: usize, total: usize, name: &str);
    /// The step is this far, 0.0 to 1.0, and now does `message`.
    fn advance(&self, fraction: f32, message: &str);
    /// All is done.
    fn finish(&self) {}
}
