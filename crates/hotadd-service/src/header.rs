//! The check of a message's header before zbus decodes it: zbus takes the names in it as they come, and panics when it is
//! asked for one that is none.

use zbus::names::{BusName, ErrorName, InterfaceName, MemberName, UniqueName};
use zbus::zvariant::serialized::{Context, Data};
use zbus::zvariant::{Endian, ObjectPath, Value};

/// Where the fields of a header begin.
const FIELDS: usize = 12;

/// Whether every name in the header of this message is one. `bytes` begins with all of the header.
pub(crate) fn is_sound(bytes: &[u8]) -> bool {
    let endian = if bytes.first() == Some(&b'B') { Endian::Big } else { Endian::Little };
    let Some(fields) = bytes.get(FIELDS..) else { return false };
    let fields = Data::new(fields, Context::new_dbus(endian, FIELDS));
    let Ok((fields, _)) = fields.deserialize::<Vec<(u8, Value<'_>)>>() else { return false };
    fields.iter().all(|(code, value)| match (code, value) {
        (1, Value::ObjectPath(path)) => ObjectPath::try_from(path.as_str()).is_ok(),
        (2, Value::Str(name)) => InterfaceName::try_from(name.as_str()).is_ok(),
        (3, Value::Str(name)) => MemberName::try_from(name.as_str()).is_ok(),
        (4, Value::Str(name)) => ErrorName::try_from(name.as_str()).is_ok(),
        (6, Value::Str(name)) => BusName::try_from(name.as_str()).is_ok(),
        (7, Value::Str(name)) => UniqueName::try_from(name.as_str()).is_ok(),
        (1..=4 | 6 | 7, _) => false,
        // Numbers and the signature are checked where they are decoded.
        _ => true,
    })
}
