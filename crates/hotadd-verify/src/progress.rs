//! [`Progress`]: how far a verification is.

/// How far a verification is.
#[derive(Clone, Debug)]
pub struct Progress {
    /// How many scenarios were played.
    pub done: usize,
    /// How many there are, as far as is known.
    pub all: usize,
    /// The scenario that was played last.
    pub scenario: String,
    /// How many findings it has.
    pub found: usize,
}
