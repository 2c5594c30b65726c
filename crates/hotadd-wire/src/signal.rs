//! The signals of `org.hotadd.Partition1`, as the service encodes them and the agent client decodes them.

use hotadd_core::{Epoch, HardwareId, Processor, Status};

use crate::limits::{MAX_REASON, text};
use crate::message::{Message, MessageError, Outgoing};
use crate::names::{PARTITION, PARTITION_PATH};
use crate::peer::Addressing;
use crate::values::{Malformed, WireProcessor, processor, read_processor};

/// A signal of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// A processor joined: the new epoch, and whether every party had agreed.
    Joined(Processor, Epoch, bool),
    /// A processor left: the new epoch, and whether it left without a remove.
    Left(Processor, Epoch, bool),
    /// A processor was refused.
    Refused {
        /// The processor.
        id: HardwareId,
        /// The party that refused; empty if there is none.
        party: String,
        /// The status.
        status: Status,
        /// The reason.
        reason: String,
    },
    /// The contract was broken.
    Breach {
        /// The party that broke it; empty if there is none.
        party: String,
        /// The clause; empty if there is none.
        clause: String,
        /// The reason.
        reason: String,
    },
}

impl Signal {
    /// Encodes the signal.
    ///
    /// # Errors
    /// None: the names are fixed and the arguments small.
    pub fn message(&self, to: Addressing<'_>) -> Result<Message, MessageError> {
        let signal = |name| Outgoing::signal(PARTITION_PATH, PARTITION, name)?.addressed(to);
        match self {
            Self::Joined(joined, epoch, agreed) => {
                signal("Joined")?.build(&(processor(*joined), epoch.0, *agreed))
            }
            Self::Left(left, epoch, surprise) => {
                signal("Left")?.build(&(processor(*left), epoch.0, *surprise))
            }
            // The reason of a driver in the partition's process may have any length and content.
            Self::Refused { id, party, status, reason } => {
                let reason = text(reason, MAX_REASON);
                signal("Refused")?.build(&(id.0, party.as_str(), status.to_raw(), reason))
            }
            Self::Breach { party, clause, reason } => {
                let reason = text(reason, MAX_REASON);
                signal("Breach")?.build(&(party.as_str(), clause.as_str(), reason))
            }
        }
    }

    /// Decodes a signal; `None` if it is not one of these.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn read(message: &Message) -> Result<Option<Self>, Malformed> {
        let head = message.head();
        if (head.interface(), head.path()) != (Some(PARTITION), PARTITION_PATH) {
            return Ok(None);
        }
        let malformed = |_| Malformed("a signal has wrong arguments");
        let change = || -> Result<(Processor, Epoch, bool), Malformed> {
            let (processor, epoch, flag): (WireProcessor, u64, bool) =
                message.arguments().map_err(malformed)?;
            Ok((read_processor(processor)?, Epoch(epoch), flag))
        };
        Ok(Some(match head.member() {
            "Joined" => {
                let (processor, epoch, agreed) = change()?;
                Self::Joined(processor, epoch, agreed)
            }
            "Left" => {
                let (processor, epoch, surprise) = change()?;
                Self::Left(processor, epoch, surprise)
            }
            "Refused" => {
                let (id, party, status, reason) = message.arguments().map_err(malformed)?;
                let (id, status) = (HardwareId(id), Status::from_raw(status));
                Self::Refused { id, party, status, reason }
            }
            "Breach" => {
                let (party, clause, reason) = message.arguments().map_err(malformed)?;
                Self::Breach { party, clause, reason }
            }
            _ => return Ok(None),
        }))
    }
}

#[cfg(test)]
mod tests {
    use hotadd_core::ProcessorIndex;

    use super::*;
    use crate::peer::PeerName;

    #[test]
    fn a_signal_survives_encoding_and_decoding() {
        let one = Processor { index: ProcessorIndex::new(70).unwrap(), id: HardwareId(3) };
        let (party, reason) = ("pool".to_owned(), "no memory".to_owned());
        let (id, status) = (HardwareId(3), Status::IO_TIMEOUT);
        let signals = [
            Signal::Joined(one, Epoch(9), false),
            Signal::Left(one, Epoch(10), true),
            Signal::Refused { id, party: party.clone(), status, reason: reason.clone() },
            Signal::Breach { party, clause: "A8".to_owned(), reason },
        ];
        let peer = PeerName::parse(":1.5").unwrap();
        for signal in signals {
            for to in [Addressing::Direct, Addressing::Greeted(&peer), Addressing::Bus(&peer)] {
                let message = signal.message(to).unwrap();
                assert_eq!(Signal::read(&message), Ok(Some(signal.clone())));
            }
        }
    }

    #[test]
    fn unknown_signals_are_ignored_and_wrong_arguments_are_malformed() {
        let signal =
            |path, name| Outgoing::signal(path, PARTITION, name).unwrap().build(&1_u32).unwrap();
        assert_eq!(Signal::read(&signal(PARTITION_PATH, "Later")), Ok(None));
        assert_eq!(Signal::read(&signal("/elsewhere", "Joined")), Ok(None));
        for name in ["Joined", "Left", "Refused", "Breach"] {
            Signal::read(&signal(PARTITION_PATH, name)).expect_err(name);
        }
    }
}
