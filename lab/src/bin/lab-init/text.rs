//! Waits until a program has written something to a file.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
use rustix::io::Errno;

/// The first complete line of a file that contains `part`; `None` if it does not come in time.
pub(crate) fn wait(path: &str, part: &str, limit: Duration) -> io::Result<Option<String>> {
    let began = Instant::now();
    let notify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    // Before the file is read, so that no write in between is missed.
    add_watch(&notify, path, WatchFlags::MODIFY)?;
    loop {
        let bytes = fs::read(path)?;
        let text = String::from_utf8_lossy(&bytes);
        let mut whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        if let Some(line) = whole.find(|line| line.contains(part)) {
            return Ok(Some(line.to_owned()));
        }
        let Some(left) = limit.checked_sub(began.elapsed()) else { return Ok(None) };
        let left =
            Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&notify, PollFlags::IN)], Some(&left)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        // The notification's contents do not matter: the file is read again.
        match rustix::io::read(&notify, &mut [0; 4096]) {
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
