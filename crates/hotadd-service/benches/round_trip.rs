//! How long it takes to ask one agent, against a bare exchange of as many bytes over a Unix socket.
//!
//! The agent is as quick as one can be: it reads a call and writes the smallest reply, from a thread that does nothing else.
//! `cargo bench -p hotadd-service --bench round_trip`

use std::error::Error;
use std::hint::black_box;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use hotadd::hardware::Simulated;
use hotadd::{HardwareId, Partition, wire};
use hotadd_service::Service;
use zbus::Message;
use zbus::zvariant::ObjectPath;

/// What a call of an agent has, give or take a name.
const CALL: usize = 200;

/// The smallest reply: a header and the serial that it answers.
const REPLY: usize = 24;

const ROUNDS: usize = 20;

/// Of one round.
const SAMPLES: usize = 2_000;

fn main() -> Result<(), Box<dyn Error>> {
    let (mut bares, mut askeds) = (Vec::new(), Vec::new());
    // By turns, so that whatever else the machine does falls on both.
    for _ in 0..ROUNDS {
        bares.extend(bare()?);
        askeds.extend(asked()?);
    }
    let (bare, asked) = (median(&mut bares), median(&mut askeds));
    println!("bare exchange over a Unix socket: {bare:?}");
    println!("asking one agent:                 {asked:?}");
    println!("ratio (target: at most 4):        {:.2}", asked.as_secs_f64() / bare.as_secs_f64());
    Ok(())
}

fn median(samples: &mut [Duration]) -> Duration {
    samples.sort_unstable();
    samples[samples.len() / 2]
}

/// Two threads, one socket, nothing else.
fn bare() -> Result<Vec<Duration>, Box<dyn Error>> {
    let (mut one, mut other) = UnixStream::pair()?;
    let echo = thread::spawn(move || {
        let mut call = [0; CALL];
        while other.read_exact(&mut call).is_ok() {
            if other.write_all(&call[..REPLY]).is_err() {
                return;
            }
        }
    });
    let mut reply = [0; REPLY];
    let mut samples = Vec::with_capacity(SAMPLES);
    for _ in 0..SAMPLES {
        let began = Instant::now();
        one.write_all(&[1; CALL])?;
        one.read_exact(&mut reply)?;
        samples.push(began.elapsed());
        black_box(&reply);
    }
    drop(one);
    echo.join().map_err(|_| "the echo panicked")?;
    Ok(samples)
}

/// A partition that asks one agent and tells it that nothing came of it: two round trips for each rehearsal.
fn asked() -> Result<Vec<Duration>, Box<dyn Error>> {
    let partition = Partition::simulated(&Simulated::new(1, 1)?)?;
    let service = Service::new(&partition, "bench", Arc::new(|line| eprintln!("{line}")))?;
    let (ours, theirs) = UnixStream::pair()?;
    service.attach(ours, None)?;
    let agent = Agent::register(theirs)?;
    let answering = thread::spawn(move || agent.answer());
    let mut samples = Vec::with_capacity(SAMPLES);
    for _ in 0..SAMPLES / 2 {
        let began = Instant::now();
        let rehearsal = partition.rehearse(HardwareId(1))?;
        samples.push(began.elapsed() / 2);
        assert!(rehearsal.is_agreed());
    }
    drop(service);
    answering.join().map_err(|_| "the agent panicked")?;
    Ok(samples)
}

/// An agent of bare bytes.
struct Agent(UnixStream);

impl Agent {
    fn register(mut stream: UnixStream) -> Result<Self, Box<dyn Error>> {
        let path = ObjectPath::try_from("/agent")?;
        let call = Message::method_call(wire::PARTITION_PATH, "Register")?
            .interface(wire::PARTITION)?
            .build(&(path, "agent", wire::LATER_ONLY, 0_i32, 0_u32))?;
        stream.write_all(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")?;
        stream.write_all(call.data())?;
        let mut said = Vec::new();
        // The reply ends with the party and the epoch, and both are 1.
        while !said.ends_with(&[1_u64.to_ne_bytes(); 2].concat()) {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            said.push(byte[0]);
        }
        Ok(Self(stream))
    }

    fn answer(mut self) {
        let mut call = [0; 4096];
        let mut reply = [0_u8; REPLY];
        reply[..4].copy_from_slice(&[b'l', 2, 1, 1]);
        reply[8] = 1;
        reply[12] = 8;
        reply[16..20].copy_from_slice(&[5, 1, b'u', 0]);
        // One call at a time: what is read is a whole one.
        while let Ok(1..) = self.0.read(&mut call) {
            reply[20..].copy_from_slice(&call[8..12]);
            if self.0.write_all(&reply).is_err() {
                return;
            }
        }
    }
}
