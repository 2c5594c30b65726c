//! A counter behind a TCP port, with a shard for each processor. Connections count on the shard of the processor that they run on, so
//! processors share no cache line; a shard is there before its processor joins.
//!
//! ```console
//! $ cargo run --release -p hotadd --example counter_server            # prints its address
//! $ printf 'hit\nhit 5\nsum\nshards\n' | nc -N 127.0.0.1 PORT           # in another terminal
//! ```
//! Each request is a line: `hit` counts one, `hit N` counts N, `sum` answers with the sum, and `shards` with the count of each processor.
//! Run it with `hotadd run --start 0 --add 1 --every 5s -- target/release/examples/counter_server` to see a shard come.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use hotadd::{EventKind, Partition, PerProcessor, Processor};

/// How many connections are served at once.
const CONNECTIONS: usize = 64;
/// The longest request, in bytes.
const LINE: u64 = 64;

type Shards = PerProcessor<AtomicU64>;

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let partition = Partition::process()?;
    let shards = Arc::new(shards(&partition)?);
    partition
        .observe(|event| {
            if let (EventKind::Joined, Some(processor)) = (event.kind, event.processor) {
                println!("processor {} joined: it has shard {}", processor.id, processor.index);
            }
        })?
        .detach();
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    println!("{} shards behind {}", partition.count(), listener.local_addr()?);
    serve(&listener, &shards)
}

/// A shard for each processor. The count of a processor that leaves is added to the spare shard, so nothing is lost.
fn shards(partition: &Partition) -> Result<Shards, hotadd::Error> {
    PerProcessor::builder(partition, "shards")
        .freed(|_: Processor, count: AtomicU64, spare: &AtomicU64| {
            spare.fetch_add(count.into_inner(), Ordering::Relaxed);
        })
        .build(|_| Ok(AtomicU64::new(0)))
}

/// Serves connections, each on a thread of its own.
fn serve(listener: &TcpListener, shards: &Arc<Shards>) -> Result<(), Box<dyn Error>> {
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let stream = stream?;
        if open.load(Ordering::Relaxed) >= CONNECTIONS {
            // Dropping it closes it.
            continue;
        }
        open.fetch_add(1, Ordering::Relaxed);
        let (shards, open) = (Arc::clone(shards), Arc::clone(&open));
        thread::spawn(move || {
            if let Err(error) = converse(&stream, &shards) {
                eprintln!("a connection ended: {error}");
            }
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }
    Ok(())
}

/// Answers a connection's requests until it ends.
fn converse(stream: &TcpStream, shards: &Shards) -> io::Result<()> {
    let mut requests = BufReader::new(stream);
    let mut answers = stream;
    loop {
        let mut line = String::new();
        if requests.by_ref().take(LINE).read_line(&mut line)? == 0 {
            return Ok(());
        }
        if let Some(answer) = answer(line.trim(), shards) {
            answers.write_all(answer.as_bytes())?;
        }
    }
}

/// What a request is answered with. Counting has no answer.
fn answer(request: &str, shards: &Shards) -> Option<String> {
    let hit = |number: u64| {
        shards.local().fetch_add(number, Ordering::Relaxed);
    };
    match request.split_once(' ').unwrap_or((request, "")) {
        ("hit", "") => hit(1),
        ("hit", number) => match number.parse() {
            Ok(number) => hit(number),
            Err(_) => return Some(format!("{number} is not a number\n")),
        },
        // Each count is read once; counts that other threads make meanwhile may be in the sum or not.
        ("sum", "") => {
            return Some(format!("{}\n", shards.sum(|count| count.load(Ordering::Relaxed))));
        }
        ("shards", "") => return Some(list(shards)),
        _ => return Some("requests are: hit, hit N, sum, shards\n".to_owned()),
    }
    None
}

/// The count of each processor, by its index, and of the spare shard.
fn list(shards: &Shards) -> String {
    let mut text = String::new();
    for (index, count) in shards.iter() {
        let separator = if text.is_empty() { "" } else { ", " };
        let name = index.map_or_else(|| "spare".to_owned(), |index| index.to_string());
        let _ = write!(text, "{separator}{name}: {}", count.load(Ordering::Relaxed));
    }
    text.push('\n');
    text
}
