//! Stands in for the system's journal in a guest.
//!
//! `lab-journal`: takes records at the journal's socket, and says each as a line of JSON, its fields by their names, until it is killed.

use std::collections::BTreeMap;
use std::error::Error;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

const SOCKET: &str = "/run/systemd/journal/socket";

fn main() -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(Path::new(SOCKET).parent().ok_or("no folder")?)?;
    let socket = UnixDatagram::bind(SOCKET)?;
    println!("listening");
    let mut record = vec![0; 65536];
    loop {
        let length = socket.recv(&mut record)?;
        println!("{}", serde_json::to_string(&fields(&record[..length])?)?);
    }
}

/// Fields are `NAME=VALUE`, or the name, a line's end, the value's length in eight bytes, and the value; each with a line's end behind.
fn fields(mut record: &[u8]) -> Result<BTreeMap<String, String>, Box<dyn Error>> {
    let mut fields = BTreeMap::new();
    while !record.is_empty() {
        let end = record.iter().position(|byte| *byte == b'\n').ok_or("a field has no end")?;
        let (line, rest) = (&record[..end], &record[end + 1..]);
        let (name, value, rest) = match line.iter().position(|byte| *byte == b'=') {
            Some(at) => (&line[..at], &line[at + 1..], rest),
            None => {
                let (length, rest) = rest.split_first_chunk().ok_or("a value has no length")?;
                let length = usize::try_from(u64::from_le_bytes(*length))?;
                let (value, rest) = rest.split_at_checked(length).ok_or("a value is cut off")?;
                (line, value, rest.strip_prefix(b"\n").ok_or("a value has no end")?)
            }
        };
        fields.insert(String::from_utf8(name.into())?, String::from_utf8_lossy(value).into());
        record = rest;
    }
    Ok(fields)
}
