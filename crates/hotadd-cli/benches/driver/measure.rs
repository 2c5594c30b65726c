//! The measurements.

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hotadd::hardware::Simulated;
use hotadd::{HardwareId, Partition};
use hotadd_nt::{Breach, Console, Fault, File, Options, World};
use hotadd_service::Service;
use hotadd_service::host::{Host, HostSpec};

/// A driver whose callback does nothing.
const SOURCE: &str = r"
    void *KeRegisterProcessorChangeCallback(void *, void *, unsigned);
    void KeDeregisterProcessorChangeCallback(void *);
    static void *registration;
    static void changed(void *context, void *change, int *status) {}
    static void unload(void *driver) { KeDeregisterProcessorChangeCallback(registration); }
    int DriverEntry(char *driver, void *path) {
        *(void **)(driver + 0x68) = unload;
        registration = KeRegisterProcessorChangeCallback(changed, 0, 0);
        return registration ? 0 : 0xC0000001;
    }
";

/// A driver for Windows that allocates in AddStart and frees in AddFailure.
const WINDOWS: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../hotadd-nt/samples/fixtures/percpu.sys");

const LIMIT: Duration = Duration::from_secs(5);

pub(crate) fn all() -> Result<(), Box<dyn Error>> {
    // `cargo test` runs everything once.
    let measured = std::env::args().any(|arg| arg == "--bench");
    let times = |times: usize| if measured { times } else { 1 };
    let folder = tempfile::tempdir()?;
    let driver = build(folder.path())?;
    let warm = warm(&driver, times(1000))?;
    let cold = cold(&driver, times(50))?;
    let (mut files, mut windows, mut samples) = (Vec::new(), Vec::new(), Vec::new());
    // Alternating, so that other load affects both alike.
    for _ in 0..times(10) {
        files.extend(asked(&driver, times(1000))?);
        windows.extend(asked(WINDOWS, times(1000))?);
        samples.extend(asked("sample:isolated", times(1000))?);
    }
    let (file, windows, sample) = (median(files), median(windows), median(samples));
    if measured {
        println!(
            "load to DriverEntry returned, in a process that is there: {warm:?} (target: 1 ms)"
        );
        println!(
            "the same with its process and sandbox, to registered:     {cold:?} (target: 5 ms)"
        );
        println!("asking a Rust driver in a process of its own:             {sample:?}");
        println!("asking a driver's file in one:                            {file:?}");
        println!("asking percpu.sys in one:                                 {windows:?}");
        for (name, asked) in [("the file", file), ("percpu.sys", windows)] {
            let ratio = asked.as_secs_f64() / sample.as_secs_f64();
            println!("ratio of {name} to the Rust driver (target: at most 1.5): {ratio:.2}");
        }
    }
    Ok(())
}

fn build(folder: &Path) -> Result<String, Box<dyn Error>> {
    let (source, driver) = (folder.join("idle.c"), folder.join("idle.so"));
    std::fs::write(&source, SOURCE)?;
    let mut cc = Command::new("cc");
    let built = cc.args(["-O2", "-shared", "-fPIC", "-o"]).arg(&driver).arg(&source).status()?;
    if !built.success() {
        return Err("the driver was not built".into());
    }
    Ok(driver.to_str().ok_or("a path of UTF-8")?.to_owned())
}

fn median(mut samples: Vec<Duration>) -> Duration {
    samples.sort_unstable();
    samples[samples.len() / 2]
}

struct Silent;

impl Console for Silent {
    fn print(&self, _: &str) {}

    fn breach(&self, breach: &Breach) {
        eprintln!("breach: {breach}");
    }

    fn fault(&self, fault: &Fault) {
        eprintln!("fault: {fault}");
    }
}

/// Loads in this process.
fn warm(driver: &str, times: usize) -> Result<Duration, Box<dyn Error>> {
    let world = World {
        partition: Partition::simulated(&Simulated::new(1, 1)?)?,
        name: "idle".to_owned(),
        time_limit: LIMIT,
        level: 0,
        real: false,
        console: Box::new(Silent),
    };
    world.begin().map_err(|_| "there is no other world in this process")?;
    let mut samples = Vec::new();
    for _ in 0..times {
        let began = Instant::now();
        let driver = File::read(Path::new(driver))?.load(Options::default())?.begin()?;
        samples.push(began.elapsed());
        driver.unload().map_err(|(_, stays)| stays)?;
    }
    Ok(median(samples))
}

/// Starts a process and registers a driver.
fn cold(driver: &str, times: usize) -> Result<Duration, Box<dyn Error>> {
    let partition = Partition::simulated(&Simulated::new(1, 1)?)?;
    let service = Arc::new(Service::new(&partition, "bench", Arc::new(|_| ()))?);
    let mut samples = Vec::new();
    for _ in 0..times {
        let began = Instant::now();
        let host = host(&partition, &service, driver)?;
        samples.push(began.elapsed());
        drop(host);
    }
    Ok(median(samples))
}

/// One round trip: a rehearsal asks, and then tells AddFailure.
fn asked(driver: &str, times: usize) -> Result<Vec<Duration>, Box<dyn Error>> {
    let partition = Partition::simulated(&Simulated::new(1, 1)?)?;
    let service = Arc::new(Service::new(&partition, "bench", Arc::new(|_| ()))?);
    let host = host(&partition, &service, driver)?;
    let mut samples = Vec::new();
    for _ in 0..times {
        let began = Instant::now();
        let rehearsal = partition.rehearse(HardwareId(1))?;
        samples.push(began.elapsed() / 2);
        if !rehearsal.is_agreed() {
            return Err(format!("{driver} does not agree").into());
        }
    }
    drop(host);
    Ok(samples)
}

fn host(
    partition: &Partition,
    service: &Arc<Service>,
    driver: &str,
) -> Result<Host, Box<dyn Error>> {
    let named = format!("{driver},name=idle");
    let args = ["host", "--time-limit", "5000", &named].map(Into::into).to_vec();
    let spec = HostSpec {
        name: "idle".to_owned(),
        program: env!("CARGO_BIN_EXE_hotadd").into(),
        args,
        start: None,
        restarts: 0,
        level: 0,
        time_limit: LIMIT,
        grace: LIMIT,
        loads: driver != "sample:isolated",
        on_output: None,
        required: None,
    };
    Ok(Host::start(partition, service, spec)?)
}
