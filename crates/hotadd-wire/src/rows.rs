//! The rows of replies that contain a list.

use crate::values::WireProcessor;

/// A result of AddBatch: id, whether it joined, the processor, the epoch; and the error's name, message, status, errno, party.
/// Signature `(ub(uqyu)tssuus)`.
pub type BatchRow = (u32, bool, WireProcessor, u64, String, String, u32, u32, String);

/// An answer of Rehearse: id, name, level, whether it agreed, status, reason, microseconds. Signature `(tsibust)`.
pub type AnswerRow = (u64, String, i32, bool, u32, String, u64);

/// A party of GetParties: id, name, level, whether it is in another process. Signature `(tsib)`.
pub type PartyRow = (u64, String, i32, bool);

/// A party of GetWaiting, which is being waited for: name, state, hardware id, microseconds so far. Signature `(ssut)`.
pub type WaitingRow = (String, String, u32, u64);

/// A party of GetMissing: name, since when in microseconds since 1970, status, reason. Signature `(stus)`.
pub type MissingRow = (String, u64, u32, String);

/// A processor of GetAbsent: its id, the party that refused, the status (0 if it left without asking), the errno, the clause,
/// the reason, and the time, in milliseconds since 1970. Signature `(usuusst)`.
pub type AbsentRow = (u32, String, u32, u32, String, String, u64);
