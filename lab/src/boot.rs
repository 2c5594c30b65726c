//! The description of a guest, and booting it or restoring its saved state.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use crate::agent::Agent;
use crate::cache::Cache;
use crate::console::Console;
use crate::debian::sum;
use crate::guest::lock;
use crate::initramfs::{Archive, FOLDERS};
use crate::process::Process;
use crate::qemu::{Lists, Qemu};
use crate::qmp::Qmp;
use crate::saved::Saved;
use crate::shared::SharedMemory;
use crate::wire::MEMORY;
use crate::{Error, Guest, Kernel, binaries, debian, within};

/// The time limit of a boot, which takes three to five seconds when nothing else runs.
const LIMIT: Duration = Duration::from_secs(180);

/// The number of tries to boot a guest whose clock goes at the right speed.
const BOOTS: u32 = 5;

/// Without these, the kernel spends seconds measuring clocks, waiting for timers that an emulated machine does not have, and testing
/// ciphers that nothing uses.
const KERNEL_LINE: &str = "console=ttyS0 quiet panic=-1 rdinit=/init tsc=reliable lpj=5192000 \
                           no_timer_check nowatchdog rcupdate.rcu_expedited=1 \
                           cryptomgr.notests";

/// The description of a guest. Everything that it needs is present.
#[derive(Clone, Debug)]
pub struct Lab {
    kernel: Kernel,
    image: PathBuf,
    qemu: Qemu,
    busybox: PathBuf,
    /// An archive of Debian's userland, which is used instead of busybox.
    debian: Option<PathBuf>,
    init: PathBuf,
    /// What the project's programs need, which has the same paths in the guest. Debian's userland has its own.
    libraries: BTreeSet<PathBuf>,
    files: Vec<(PathBuf, String)>,
    at_boot: u32,
    most: u32,
    threads: u32,
    memory: u32,
    line: String,
}

impl Lab {
    /// Finds, fetches or builds what guests with this kernel need.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if this machine cannot run guests.
    pub fn new(kernel: Kernel) -> Result<Lab, Error> {
        if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            let here = format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH);
            return Err(Error::Unavailable(format!(
                "it needs Linux on x86-64, but this is {here}"
            )));
        }
        let cache = Cache::open()?;
        let mut lists = Lists::new()?;
        let qemu = Qemu::find(&cache, &mut lists)?;
        let image = kernel.image(&cache, &mut lists)?;
        let busybox = busybox(&cache, &mut lists)?;
        drop(cache);
        let init = binaries::binary("lab-init")?;
        let libraries = binaries::libraries()?;
        let files = Vec::new();
        let (at_boot, most, threads, memory) = (1, 8, 1, 512);
        let line = KERNEL_LINE.to_owned();
        let debian = None;
        Ok(Lab {
            kernel,
            image,
            qemu,
            busybox,
            debian,
            init,
            libraries,
            files,
            at_boot,
            most,
            threads,
            memory,
            line,
        })
    }

    /// Gives the guest Debian's userland, with systemd as its first process, udev, a system bus, polkit, and Python with GLib;
    /// and at least 1.5 GiB of memory. The boot then ends when systemd has started everything.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the packages cannot be fetched.
    pub fn debian(mut self) -> Result<Lab, Error> {
        self.debian = Some(debian::archive(&Cache::open()?, &mut Lists::new()?)?);
        let memory = self.memory.max(debian::MEMORY);
        Ok(self.memory(memory))
    }

    /// Sets how many processors there are at boot, and how many there can be; the default is 1 and 8.
    #[must_use]
    pub fn cpus(mut self, at_boot: u32, most: u32) -> Lab {
        (self.at_boot, self.most) = (at_boot, most);
        self
    }

    /// Sets how many processors are threads of one core. `most` must be a multiple of it.
    #[must_use]
    pub fn threads_per_core(mut self, threads: u32) -> Lab {
        self.threads = threads;
        self
    }

    /// Sets its memory in MiB; the default is 512. The included files are in memory too.
    #[must_use]
    pub fn memory(mut self, mib: u32) -> Lab {
        self.memory = mib;
        self
    }

    /// Adds to the kernel's command line.
    #[must_use]
    pub fn kernel_line(mut self, more: &str) -> Lab {
        self.line.push(' ');
        self.line.push_str(more);
        self
    }

    /// Includes a file of this machine.
    #[must_use]
    pub fn file(mut self, from: &Path, to: &str) -> Lab {
        self.files.push((from.to_owned(), to.to_owned()));
        self
    }

    /// Includes a program of this project as `/bin/NAME`, built from the current source.
    ///
    /// # Errors
    /// If the program does not compile.
    pub fn program(self, name: &str) -> Result<Lab, Error> {
        let built = binaries::binary(name)?;
        Ok(self.file(&built, &format!("/bin/{name}")))
    }

    /// Boots the guest, and waits until it is up. If such a guest was booted before, its saved state is restored
    /// instead. Then the included files are copied into it.
    ///
    /// # Errors
    /// If the guest does not come up.
    pub fn boot(&self) -> Result<Guest, Error> {
        let whole = self.threads > 0 && self.most.is_multiple_of(self.threads);
        if !whole || self.at_boot == 0 || self.at_boot > self.most {
            let Lab { at_boot, most, threads, .. } = self;
            let what = format!("{at_boot} of {most} processors, {threads} to a core");
            return Err(Error::here(what)(io::ErrorKind::InvalidInput.into()));
        }
        let began = Instant::now();
        let saved = Saved::find(&self.recipe()?)?;
        let mut guest = None;
        if let Some(state) = saved.state() {
            let console = saved.console();
            match self.start(Some(&console)).and_then(|guest| guest.restored(&state)) {
                Ok(restored) => guest = Some(restored),
                Err(e) => {
                    eprintln!("lab: a saved guest cannot be restored, and is booted again: {e}");
                }
            }
        }
        let mut guest = match guest {
            Some(guest) => guest,
            None => self.fresh(&saved)?,
        };
        drop(saved);
        for (from, to) in &self.files {
            guest.copy(from, to, true)?;
        }
        guest.times = (began, began.elapsed(), guest.process.used());
        Ok(guest)
    }

    /// Boots a guest, and saves its state.
    fn fresh(&self, saved: &Saved) -> Result<Guest, Error> {
        for _ in 0..BOOTS {
            let until = Instant::now() + LIMIT;
            let guest = self.start(None)?;
            lock(&guest.agent).is_ready(until)?;
            if !guest.keeps_time()? {
                eprintln!("lab: the guest's clock goes at a wrong speed; it is booted again");
                continue;
            }
            if self.debian.is_some() {
                debian::is_up(&guest, until)?;
            }
            saved.keep(&guest)?;
            return Ok(guest);
        }
        let what =
            format!("booted {BOOTS} times with a clock of a wrong speed; this machine is too busy");
        Err(Error::Lost { what, console: String::new() })
    }

    /// Starts QEMU, which boots the guest. If there is a console of an earlier guest, QEMU waits for its state instead.
    fn start(&self, earlier: Option<&Path>) -> Result<Guest, Error> {
        let until = Instant::now() + LIMIT;
        let prepare = || -> io::Result<_> {
            let dir = tempfile::Builder::new().prefix("hotadd-lab-").tempdir()?;
            self.archive(&dir.path().join("initramfs"))?;
            if let Some(console) = earlier {
                fs::copy(console, dir.path().join("console"))?;
            }
            let agent = UnixListener::bind(dir.path().join("agent"))?;
            let qmp = UnixListener::bind(dir.path().join("qmp"))?;
            let shared = SharedMemory::create(&dir.path().join("shared"))?;
            Ok((dir, agent, qmp, shared))
        };
        let (dir, agent, qmp, shared) = prepare().map_err(Error::here("preparing a guest"))?;
        let console = Console::at(dir.path().join("console"));
        let said = dir.path().join("qemu");
        let output = File::create(&said).map_err(Error::here("a file for what QEMU says"))?;
        let mut command = self.command(dir.path(), &console);
        if earlier.is_some() {
            command.args(["-incoming", "defer"]);
        }
        command.stdin(Stdio::null()).stderr(output).stdout(Stdio::null());
        let process = Process::spawn(command).map_err(Error::here("starting QEMU"))?;
        let lost = |_| Error::Lost {
            what: format!("could not be started: QEMU said {:?}", fs::read_to_string(&said)),
            console: console.tail(),
        };
        let port = process.connects(&agent, until).map_err(lost)?;
        let control = process.connects(&qmp, until).map_err(lost)?;
        Ok(Guest {
            qmp: Qmp::meet(control, console.clone(), said)?,
            agent: Mutex::new(Agent::new(port, shared, console.clone())),
            process,
            times: (Instant::now(), Duration::ZERO, Duration::ZERO),
            console,
            kernel: self.kernel,
            made: AtomicU32::new(self.at_boot),
            most: self.most,
            _dir: dir,
        })
    }

    /// Everything that makes guests differ when they are up: the programs and files that they boot from, and QEMU's arguments.
    fn recipe(&self) -> Result<String, Error> {
        let recipe = || -> io::Result<_> {
            let mut recipe = format!("lab-init {}\n", sum(&self.init)?);
            // These come from the cache or from packages, and are not changed in place.
            let program = PathBuf::from(self.qemu.command().get_program());
            let fixed = [&program, &self.image, &self.busybox];
            for path in fixed.into_iter().chain(&self.debian).chain(&self.libraries) {
                let found = fs::metadata(path).map(|data| (data.len(), data.modified().ok()));
                recipe += &format!("{} {:?}\n", path.display(), found.ok());
            }
            let command = self.command(Path::new("."), &Console::at("console".into()));
            recipe += &format!("{FOLDERS:?}\n{command:?}\n");
            Ok(recipe)
        };
        recipe().map_err(Error::here("reading what a guest boots from"))
    }

    fn archive(&self, path: &Path) -> io::Result<()> {
        let mut file = File::create(path)?;
        if let Some(debian) = &self.debian {
            // The kernel unpacks consecutive archives, each over the previous ones.
            io::copy(&mut File::open(debian)?, &mut file)?;
        }
        let mut archive = Archive::new(BufWriter::new(file));
        if self.debian.is_some() {
            debian::FOLDERS.iter().for_each(|folder| archive.known(folder));
            archive.file(debian::AGENT, &self.init)?;
        } else {
            for folder in FOLDERS {
                archive.folder(Path::new(folder))?;
            }
            archive.file("/init", &self.init)?;
            archive.file("/bin/busybox", &self.busybox)?;
            for library in &self.libraries {
                archive.file(&library.to_string_lossy(), library)?;
            }
            for name in applets(&self.busybox)? {
                archive.link(&format!("/bin/{name}"), "busybox")?;
            }
        }
        archive.finish()?.flush()
    }

    fn command(&self, dir: &Path, console: &Console) -> Command {
        let mut qemu = self.qemu.command();
        qemu.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
        // With one thread for all processors, removing one aborts QEMU. Adding one also aborts it when it has no room left for
        // translated code, of which it has 2 GiB at most.
        qemu.args(["-accel", "tcg,thread=multi,tb-size=2048"]);
        // Linux 6.12 offers no slots for hot-plug on an emulated machine, unless it detects one of VMware's.
        qemu.args(["-machine", "q35,vmport=on"]);
        // Linux 6.1 detects threads of a core only on Intel's processors. Others start faster, without the mitigations for
        // Intel's.
        let vendor = if self.threads > 1 { ",vendor=GenuineIntel" } else { "" };
        qemu.arg("-cpu").arg(format!("max,-hypervisor{vendor}"));
        qemu.args(["-smbios", "type=1,serial=VMware-42"]);
        let threads = self.threads;
        let (at_boot, most, sockets) = (self.at_boot, self.most, self.most / threads.max(1));
        let smp = format!("{at_boot},maxcpus={most},sockets={sockets},cores=1,threads={threads}");
        qemu.arg("-smp").arg(smp).arg("-m").arg(format!("{}M", self.memory));
        qemu.arg("-kernel").arg(&self.image).arg("-initrd").arg(dir.join("initramfs"));
        qemu.arg("-append").arg(&self.line);
        let path = |name: &str| dir.join(name).display().to_string();
        // The first serial port is the console, the second is the agent's.
        let file = format!("file,id=console,path={},append=on", console.path().display());
        qemu.arg("-chardev").arg(file).args(["-serial", "chardev:console"]);
        qemu.arg("-chardev").arg(format!("socket,id=agent,path={}", path("agent")));
        qemu.args(["-serial", "chardev:agent"]);
        qemu.arg("-chardev").arg(format!("socket,id=qmp,path={}", path("qmp")));
        qemu.args(["-mon", "chardev=qmp,mode=control"]);
        let memory = format!("size={MEMORY},mem-path={},share=on", path("shared"));
        qemu.arg("-object").arg(format!("memory-backend-file,id=shared,{memory}"));
        // A guest with this device can be saved only as the memory's master.
        qemu.args(["-device", "ivshmem-plain,memdev=shared,master=on"]);
        qemu
    }
}

/// Busybox: small programs in one, statically linked, which include a shell.
fn busybox(cache: &Cache, lists: &mut Lists) -> Result<PathBuf, Error> {
    let good =
        |part: &Path| applets(&part.join("bin/busybox")).map(drop).map_err(|e| e.to_string());
    let part = cache
        .part("busybox", good, |part| lists.get()?.unpack(&["busybox-static".to_owned()], part))?;
    Ok(part.join("bin/busybox"))
}

/// The names of its programs.
fn applets(busybox: &Path) -> io::Result<Vec<String>> {
    let output = within::output(Command::new(busybox).arg("--list"), Duration::from_secs(30))?;
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    let names: Vec<_> =
        names.lines().filter(|name| *name != "busybox").map(str::to_owned).collect();
    if names.iter().any(|name| name == "sh") {
        Ok(names)
    } else {
        Err(io::Error::other("no shell"))
    }
}
