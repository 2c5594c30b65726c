//! [`Message`]: one D-Bus message, received or to be sent. A received message was [checked](crate::Stream) before.

use std::num::NonZeroU32;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::Serialize;
use serde::de::DeserializeOwned;
use zbus::message::{Builder, Flags, Header, Type as MessageType};
use zbus::zvariant::{DynamicType, Fd, Signature, Structure, Type, Value};

use crate::freedesktop;
use crate::peer::{Addressing, PARTITION_PEER, PeerName};

/// A type that can be encoded as the arguments of a message.
pub trait Encode: Serialize + DynamicType {}

impl<T: Serialize + DynamicType + ?Sized> Encode for T {}

/// A type that the arguments of a message can be decoded to.
pub trait Decode: DeserializeOwned + Type {}

impl<T: DeserializeOwned + Type> Decode for T {}

/// A message cannot be encoded, or its arguments have another type than expected.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct MessageError(#[from] zbus::Error);

/// The type of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A call of a method.
    Call,
    /// The successful reply to a call.
    Reply,
    /// The error reply to a call.
    Error,
    /// A signal.
    Signal,
}

/// A message. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Message(pub(crate) zbus::Message);

/// The names in a message's header.
#[derive(Debug)]
pub struct Head<'m>(Header<'m>);

/// The body of a message, as far as its signature describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// No body.
    Empty,
    /// This many bytes without a signature.
    Unsigned(usize),
    /// Arguments of this signature.
    Arguments(String),
}

impl Message {
    /// A call without options.
    ///
    /// # Errors
    /// If a name is invalid, or the arguments cannot be encoded.
    pub fn call(
        path: &str,
        interface: &str,
        method: &str,
        arguments: &impl Encode,
    ) -> Result<Self, MessageError> {
        Outgoing::call(path, interface, method)?.build(arguments)
    }

    /// The reply to this call.
    ///
    /// # Errors
    /// If the arguments cannot be encoded.
    pub fn reply(&self, arguments: &impl Encode) -> Result<Self, MessageError> {
        Ok(Self(zbus::Message::method_return(&self.0.header())?.build(arguments)?))
    }

    /// The reply to this call that hands out a descriptor.
    ///
    /// # Errors
    /// None.
    pub fn reply_descriptor(&self, descriptor: OwnedFd) -> Result<Self, MessageError> {
        self.reply(&Fd::from(descriptor))
    }

    /// The reply to this call that hands out two descriptors.
    ///
    /// # Errors
    /// None.
    pub fn reply_descriptors(&self, two: [BorrowedFd<'_>; 2]) -> Result<Self, MessageError> {
        self.reply(&(Fd::from(two[0]), Fd::from(two[1])))
    }

    /// The error reply to this call.
    ///
    /// # Errors
    /// If the name is invalid, or the arguments cannot be encoded.
    pub fn error(&self, name: &str, arguments: &impl Encode) -> Result<Self, MessageError> {
        Ok(Self(zbus::Message::error(&self.0.header(), name)?.build(arguments)?))
    }

    /// The error reply to this call with a standard D-Bus error, given by the last part of its name.
    ///
    /// # Errors
    /// If the name is invalid.
    pub fn standard_error(&self, name: &str, text: &str) -> Result<Self, MessageError> {
        self.error(&format!("{}{name}", freedesktop::ERROR), &text)
    }

    /// The type.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.0.message_type() {
            MessageType::MethodCall => Kind::Call,
            MessageType::MethodReturn => Kind::Reply,
            MessageType::Error => Kind::Error,
            MessageType::Signal => Kind::Signal,
        }
    }

    /// The serial number.
    #[must_use]
    pub fn serial(&self) -> NonZeroU32 {
        self.0.primary_header().serial_num()
    }

    /// The serial number of the call that this message answers.
    #[must_use]
    pub fn reply_to(&self) -> Option<NonZeroU32> {
        self.0.header().reply_serial()
    }

    /// Whether the sender expects a reply.
    #[must_use]
    pub fn expects_reply(&self) -> bool {
        !self.0.primary_header().flags().contains(Flags::NoReplyExpected)
    }

    /// Whether a user may be asked for a password because of this call.
    #[must_use]
    pub fn is_interactive(&self) -> bool {
        self.0.primary_header().flags().contains(Flags::AllowInteractiveAuth)
    }

    /// The names in the header.
    #[must_use]
    pub fn head(&self) -> Head<'_> {
        Head(self.0.header())
    }

    /// The encoded message.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.data()
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> Body {
        let body = self.0.body();
        match body.signature() {
            Signature::Unit if body.is_empty() => Body::Empty,
            Signature::Unit => Body::Unsigned(body.len()),
            signature => Body::Arguments(signature.to_string()),
        }
    }

    /// The descriptors that are sent along.
    #[must_use]
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.0.data().fds().iter().map(AsFd::as_fd).collect()
    }

    /// A descriptor of a message that has nothing else, as its only argument.
    ///
    /// # Errors
    /// If the arguments are of another type, or if the descriptor was not sent along.
    pub fn descriptor(&self) -> Result<OwnedFd, MessageError> {
        let descriptor = self.arguments::<zbus::zvariant::OwnedFd>()?;
        Ok(descriptor.into())
    }

    /// The two descriptors of a message that has nothing else.
    ///
    /// # Errors
    /// If the arguments are of other types, or if a descriptor was not sent along.
    pub fn two_descriptors(&self) -> Result<(OwnedFd, OwnedFd), MessageError> {
        type Owned = zbus::zvariant::OwnedFd;
        let (first, second) = self.arguments::<(Owned, Owned)>()?;
        Ok((first.into(), second.into()))
    }

    /// The length of the body, in bytes.
    pub(crate) fn body_length(&self) -> usize {
        self.0.body().len()
    }

    /// Decodes the arguments.
    ///
    /// # Errors
    /// If they are of another type.
    pub fn arguments<T: Decode>(&self) -> Result<T, MessageError> {
        Ok(self.0.body().deserialize()?)
    }

    /// The first argument, if it is a text.
    #[must_use]
    pub fn first_text(&self) -> Option<String> {
        let body = self.0.body();
        match body.signature() {
            Signature::Str => body.deserialize::<&str>().ok().map(str::to_owned),
            Signature::Structure(_) => {
                let body = body.deserialize::<Structure<'_>>().ok()?;
                let Some(Value::Str(text)) = body.fields().first() else { return None };
                Some(text.as_str().to_owned())
            }
            _ => None,
        }
    }
}

impl Head<'_> {
    /// The path of the object that a call or a signal concerns; empty if there is none.
    #[must_use]
    pub fn path(&self) -> &str {
        self.0.path().map_or("", |path| path.as_str())
    }

    /// The interface of a call or a signal.
    #[must_use]
    pub fn interface(&self) -> Option<&str> {
        self.0.interface().map(zbus::names::InterfaceName::as_str)
    }

    /// The method of a call, or the name of a signal; empty if there is none.
    #[must_use]
    pub fn member(&self) -> &str {
        self.0.member().map_or("", |member| member.as_str())
    }

    /// The name of an error; empty if there is none.
    #[must_use]
    pub fn error_name(&self) -> &str {
        self.0.error_name().map_or("", |name| name.as_str())
    }

    /// The name of the addressee, if the message has one.
    #[must_use]
    pub fn destination(&self) -> Option<&str> {
        self.0.destination().map(zbus::names::BusName::as_str)
    }

    /// The sender of a message over a bus, as set by the bus.
    #[must_use]
    pub fn sender(&self) -> Option<PeerName> {
        self.0.sender().map(|name| PeerName(name.to_owned()))
    }
}

/// A call or a signal that is not complete yet.
#[must_use]
#[derive(Debug)]
pub struct Outgoing<'a>(Builder<'a>);

impl<'a> Outgoing<'a> {
    /// A call.
    ///
    /// # Errors
    /// If a name is invalid.
    pub fn call(path: &'a str, interface: &'a str, method: &'a str) -> Result<Self, MessageError> {
        Ok(Self(zbus::Message::method_call(path, method)?.interface(interface)?))
    }

    /// A signal.
    ///
    /// # Errors
    /// If a name is invalid.
    pub fn signal(path: &'a str, interface: &'a str, name: &'a str) -> Result<Self, MessageError> {
        Ok(Self(zbus::Message::signal(path, interface, name)?))
    }

    /// Addresses the message to this peer of a bus.
    ///
    /// # Errors
    /// None: a peer's name is valid.
    pub fn to(self, peer: &PeerName) -> Result<Self, MessageError> {
        Ok(Self(self.0.destination(peer.0.clone())?))
    }

    /// Sets the names of the two ends, as far as the connection needs them.
    ///
    /// # Errors
    /// None: the names are valid.
    pub fn addressed(self, to: Addressing<'_>) -> Result<Self, MessageError> {
        match to {
            Addressing::Direct => Ok(self),
            Addressing::Greeted(peer) => Self(self.0.sender(PARTITION_PEER)?).to(peer),
            Addressing::Bus(peer) => self.to(peer),
        }
    }

    /// Addresses the message to the service of this name.
    ///
    /// # Errors
    /// If the name is invalid.
    pub fn for_service(self, name: &'a str) -> Result<Self, MessageError> {
        Ok(Self(self.0.destination(name)?))
    }

    /// Sets the serial number, instead of the next one.
    pub fn serial(self, serial: NonZeroU32) -> Self {
        Self(self.0.serial(serial))
    }

    /// Marks the call as expecting no reply.
    ///
    /// # Errors
    /// If it is a signal, which never has a reply.
    pub fn without_reply(self) -> Result<Self, MessageError> {
        Ok(Self(self.0.with_flags(Flags::NoReplyExpected)?))
    }

    /// Allows the user to be asked for a password because of this call.
    ///
    /// # Errors
    /// If it is a signal.
    pub fn interactive(self) -> Result<Self, MessageError> {
        Ok(Self(self.0.with_flags(Flags::AllowInteractiveAuth)?))
    }

    /// Tells the bus not to start the addressee.
    ///
    /// # Errors
    /// If it is a signal.
    pub fn without_start(self) -> Result<Self, MessageError> {
        Ok(Self(self.0.with_flags(Flags::NoAutoStart)?))
    }

    /// Builds the message with these arguments.
    ///
    /// # Errors
    /// If they cannot be encoded.
    pub fn build(self, arguments: &impl Encode) -> Result<Message, MessageError> {
        Ok(Message(self.0.build(arguments)?))
    }
}
