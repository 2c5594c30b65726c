//! The names that freedesktop.org defines: those of D-Bus and of polkit.

/// The name of a message bus on itself, and its interface.
pub const BUS: &str = "org.freedesktop.DBus";

/// The object path of a message bus.
pub const BUS_PATH: &str = "/org/freedesktop/DBus";

/// The signal with which a message bus reports that the owner of a name changed.
pub const NAME_OWNER_CHANGED: &str = "NameOwnerChanged";

/// The standard interface that describes an object.
pub const INTROSPECTABLE: &str = "org.freedesktop.DBus.Introspectable";

/// The standard interface of every peer.
pub const PEER: &str = "org.freedesktop.DBus.Peer";

/// The standard interface of properties.
pub const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// The prefix of the standard error names.
pub const ERROR: &str = "org.freedesktop.DBus.Error.";

/// The error that a request is not permitted.
pub const ACCESS_DENIED: &str = "org.freedesktop.DBus.Error.AccessDenied";

/// The error that a request needs a password, and that the call does not permit a prompt for it.
pub const INTERACTIVE_AUTHORIZATION_REQUIRED: &str =
    "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired";

/// The error that the arguments of a call are invalid.
pub const INVALID_ARGS: &str = "org.freedesktop.DBus.Error.InvalidArgs";

/// The error of a message bus that the called peer has left, or did not reply.
pub const NO_REPLY: &str = "org.freedesktop.DBus.Error.NoReply";

/// The error of a message bus that a name has no owner, and that no service of this name can be started.
pub const SERVICE_UNKNOWN: &str = "org.freedesktop.DBus.Error.ServiceUnknown";

/// The error that an interface has no such method.
pub const UNKNOWN_METHOD: &str = "org.freedesktop.DBus.Error.UnknownMethod";

/// The error that there is no object at a path.
pub const UNKNOWN_OBJECT: &str = "org.freedesktop.DBus.Error.UnknownObject";

/// The name of polkit on a bus.
pub const POLKIT: &str = "org.freedesktop.PolicyKit1";

/// The object path of polkit's authority.
pub const POLKIT_PATH: &str = "/org/freedesktop/PolicyKit1/Authority";

/// The interface of polkit's authority.
pub const POLKIT_AUTHORITY: &str = "org.freedesktop.PolicyKit1.Authority";

/// The match rule for every name that disappears from a bus.
pub const NAMES_GOING: &str = "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',\
    member='NameOwnerChanged',arg2=''";

/// The match rule for every change of the owner of polkit's name.
pub const POLKIT_OWNERS: &str = "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',\
    member='NameOwnerChanged',arg0='org.freedesktop.PolicyKit1'";
