//! The program's one partition, which the functions with Windows' names use: that of this process, or one that it connected to.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use hotadd::hardware::{Affinity, Tree};
use hotadd::{CpuList, Error, Follow, Partition, Status};

use crate::failure::Failure;
use crate::member::Member;

static PROGRAM: OnceLock<Program> = OnceLock::new();

/// Held while the partition is made, because that narrows the mask of every thread.
static MAKING: Mutex<()> = Mutex::new(());

struct Program {
    member: Arc<Member>,
    /// Whether it is the partition of this process.
    own: bool,
}

/// Makes the program's partition, unless there is one.
fn begin(
    own: bool,
    make: impl FnOnce() -> Result<Member, Failure>,
) -> Result<(&'static Program, bool), Failure> {
    let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(program) = PROGRAM.get() {
        return Ok((program, false));
    }
    let member = Arc::new(make()?);
    Ok((PROGRAM.get_or_init(|| Program { member, own }), true))
}

fn late(begun: bool) -> Result<(), Failure> {
    let late = "this program already has a partition; call this function before all others";
    if begun { Ok(()) } else { Err(Failure::new(Status::INVALID_DEVICE_STATE, late)) }
}

fn of_process(cpus: Option<&str>) -> Result<Member, Failure> {
    let list = cpus.map(str::parse::<CpuList>).transpose();
    let list = list.map_err(|error| Failure::invalid(error.to_string()))?;
    let affinity = Affinity::new(Tree::Current, list.as_ref()).map_err(Error::Affinity)?;
    Member::local(Partition::from_hardware_following(Arc::new(affinity), Follow::Ask)?)
}

/// Begins with only these processors.
pub(crate) fn start_on(cpus: &str) -> Result<(), Failure> {
    late(begin(true, || of_process(Some(cpus)))?.1)
}

/// Begins with the partition of another process.
pub(crate) fn connect(name: &str) -> Result<(), Failure> {
    late(begin(false, || Member::connected(name))?.1)
}

/// The program's partition. If there is none yet, that of this process.
pub(crate) fn current() -> Result<&'static Arc<Member>, Failure> {
    if let Some(program) = PROGRAM.get() {
        return Ok(&program.member);
    }
    Ok(&begin(true, || of_process(None))?.0.member)
}

/// The partition of this process: with these processors if it is made now, or the one that there is.
pub(crate) fn process(cpus: Option<&str>) -> Result<Arc<Member>, Failure> {
    let (program, begun) = begin(true, || of_process(cpus))?;
    if !program.own {
        let other = "this program uses the partition of another process, by hotadd_connect";
        return Err(Failure::new(Status::INVALID_DEVICE_STATE, other));
    }
    if cpus.is_some() {
        late(begun)?;
    }
    Ok(Arc::clone(&program.member))
}
