//! What a page promises its readers: they find every set that was published, whole, and learn of changes and of the end.
#![cfg(not(hotadd_loom))]

use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{env, fs, io, thread};

use hotadd_core::{ActiveSet, HardwareId, Processor, Transaction};
use hotadd_page::{PageError, PageWriter, SetPage};
use hotadd_testing::Need;
use tempfile::TempDir;

/// Longer than anything here takes. Only a test that fails waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

fn ids(ids: impl IntoIterator<Item = u32>) -> Vec<HardwareId> {
    ids.into_iter().map(HardwareId).collect()
}

fn page(set: &ActiveSet) -> (TempDir, PathBuf, PageWriter) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("demo.set");
    let writer = PageWriter::create(&path, None, set).unwrap();
    (folder, path, writer)
}

fn list(processors: impl Iterator<Item = Processor>) -> Vec<(u32, u32)> {
    processors.map(|p| (p.index.get(), p.id.0)).collect()
}

#[test]
fn a_reader_finds_the_set_that_was_published_last() {
    let set = ActiveSet::first(&ids([7, 3, 900]), 2048).unwrap();
    let (_folder, path, mut writer) = page(&set);
    let reader = SetPage::open(&path).unwrap();
    assert_eq!((reader.summary(), reader.maximum()), ((set.epoch(), 3), 2048));
    let mut snapshot = reader.snapshot().unwrap();
    assert_eq!(list(snapshot.iter()), [(0, 7), (1, 3), (2, 900)]);

    let mut adding = Transaction::add(&set, &ids([12])).unwrap();
    let proposed = adding.publish(&set);
    writer.publish(&proposed);
    reader.refresh(&mut snapshot).unwrap();
    assert_eq!(
        list(snapshot.proposed()),
        [(3, 12)],
        "A5: its names hold while the parties are asked"
    );
    assert_eq!((snapshot.count(), snapshot.epoch()), (3, set.epoch()), "but it is not active");

    let (smaller, _) = set.lose(&ids([3])).unwrap();
    let (intruded, _) = smaller.intrude(HardwareId(5)).unwrap();
    writer.publish(&intruded);
    reader.refresh(&mut snapshot).unwrap();
    assert_eq!(list(snapshot.iter()), [(0, 7), (2, 900), (3, 5)]);
    assert_eq!(list(snapshot.known()), [(0, 7), (1, 3), (2, 900), (3, 5)], "X3: an index is kept");
    let agreed: Vec<bool> = snapshot.iter().map(|p| snapshot.is_agreed(p.index)).collect();
    assert_eq!(agreed, [true, true, false], "Q3");
    assert_eq!(
        snapshot,
        reader.snapshot().unwrap(),
        "a snapshot brought up to date is like a new one"
    );
}

#[test]
fn a_page_holds_the_largest_set_and_the_largest_proposal() {
    let set = ActiveSet::first(&ids(0..1), 2048).unwrap();
    let (_folder, path, mut writer) = page(&set);
    let mut adding = Transaction::add(&set, &ids(1..2048)).unwrap();
    writer.publish(&adding.publish(&set));
    let reader = SetPage::open(&path).unwrap();
    assert_eq!(reader.snapshot().unwrap().proposed().count(), 2047);
    let all = ActiveSet::first(&ids(0..2048), 2048).unwrap();
    writer.publish(&all);
    let snapshot = reader.snapshot().unwrap();
    assert_eq!((snapshot.count(), snapshot.proposed().count()), (2048, 0));
    assert_eq!(snapshot.group_mask(31), u64::MAX);
}

#[test]
fn q1_readers_find_only_sets_that_were_in_force() {
    // The set has exactly the ids below 64 that have the epoch's parity, and epoch and summary agree with it.
    let set = ActiveSet::first(&ids(0..64), 64).unwrap();
    let (even, _) = set.lose(&ids((0..64).filter(|n| n % 2 == 1))).unwrap();
    let (_folder, path, mut writer) = page(&even);
    let reader = SetPage::open(&path).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let (mut seen, mut snapshot) = (0_u64, reader.snapshot().unwrap());
                    while !done.load(Ordering::Relaxed) {
                        let (epoch, _) = reader.summary();
                        reader.refresh(&mut snapshot).unwrap();
                        assert!(
                            snapshot.epoch() >= epoch,
                            "Q2: at least as new as the summary before it"
                        );
                        let mask = snapshot.group_mask(0);
                        let expected = if snapshot.epoch().0 % 2 == 0 {
                            0x5555_5555_5555_5555
                        } else {
                            u64::MAX
                        };
                        assert_eq!(mask, expected, "epoch {}", snapshot.epoch());
                        seen += 1;
                    }
                    seen
                })
            })
            .collect();
        let mut current = even;
        for _ in 0..20_000 {
            current = if current.epoch().0 % 2 == 0 {
                let odd = ids((0..64).filter(|n| n % 2 == 1));
                let mut adding = Transaction::add(&current, &odd).unwrap();
                drain(&mut adding, current)
            } else {
                current.lose(&ids((0..64).filter(|n| n % 2 == 1))).unwrap().0
            };
            writer.publish(&current);
        }
        done.store(true, Ordering::Relaxed);
        for reader in readers {
            assert!(reader.join().unwrap() > 0, "it read while the page changed");
        }
    });
}

/// The set after a transaction that no party takes part in.
fn drain(transaction: &mut Transaction, mut set: ActiveSet) -> ActiveSet {
    use hotadd_core::Step;
    loop {
        match transaction.step() {
            Step::Publish => set = transaction.publish(&set),
            Step::Start(_) | Step::Stop(_) => transaction.acted(Ok(())),
            Step::Call(_) => {
                transaction.call::<Nobody>(&mut [], || false, |never, _| match never.0 {});
            }
            Step::Done => return set,
        }
    }
}

/// There is no such party.
struct Nobody(std::convert::Infallible);

impl hotadd_core::Party for Nobody {
    fn id(&self) -> hotadd_core::PartyId {
        match self.0 {}
    }
    fn level(&self) -> hotadd_core::Level {
        match self.0 {}
    }
    fn departed(&self) -> bool {
        match self.0 {}
    }
    fn hears_removal(&self) -> bool {
        match self.0 {}
    }
    fn heard_of(&self, _: Processor) -> bool {
        match self.0 {}
    }
}

#[test]
fn a_waiting_reader_is_woken_by_a_change_and_by_the_end() {
    let set = ActiveSet::first(&ids(0..2), 8).unwrap();
    let (_folder, path, mut writer) = page(&set);
    let reader = SetPage::open(&path).unwrap();
    assert_eq!(reader.wait(set.epoch(), Some(Duration::ZERO)).unwrap(), None, "nothing changed");
    let (less, _) = set.lose(&ids([1])).unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| reader.wait(set.epoch(), Some(PATIENCE)).unwrap());
        writer.publish(&less);
        assert_eq!(
            waiting.join().unwrap(),
            Some(less.epoch()),
            "whether it waits already or comes later"
        );
        let waiting = scope.spawn(|| reader.wait(less.epoch(), Some(PATIENCE)));
        drop(writer);
        let end = waiting.join().unwrap();
        assert!(matches!(end, Err(PageError::Ended)), "{end:?}");
    });
    assert!(reader.is_ended());
    assert!(!path.exists(), "the page is removed");
    assert_eq!(reader.count(), 1, "what was read last can still be read");
}

#[test]
fn a_wait_whose_time_limit_passes_says_so_while_the_partition_lives() {
    let set = ActiveSet::first(&ids(0..2), 8).unwrap();
    let (_folder, path, _writer) = page(&set);
    let reader = SetPage::open(&path).unwrap();
    // When the kernel ends a wait, the reader also checks whether the partition has ended.
    let waited = reader.wait(set.epoch(), Some(Duration::from_millis(20)));
    assert_eq!(waited.unwrap(), None, "nothing has changed, and the partition lives");
}

#[test]
fn a_page_without_a_path_is_in_no_place() {
    let set = ActiveSet::first(&ids(0..2), 8).unwrap();
    let writer = PageWriter::sealed(&set).unwrap();
    assert!(!writer.is_in_place(), "there is no path at which somebody finds it");
    let reader = SetPage::from_descriptor(writer.descriptor().unwrap()).unwrap();
    assert_eq!(reader.count(), 2, "a descriptor leads to it");
}

const CHILD: &str = "HOTADD_PAGE_OF_A_CHILD";

#[test]
fn a_reader_learns_that_the_partition_was_killed() {
    if let Some(path) = env::var_os(CHILD) {
        let set = ActiveSet::first(&ids(0..2), 8).unwrap();
        let _writer = PageWriter::create(Path::new(&path), None, &set).unwrap();
        println!("ready");
        let _ = io::stdin().read_line(&mut String::new());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("demo.set");
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "a_reader_learns_that_the_partition_was_killed", "--nocapture"])
        .env(CHILD, &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = io::BufReader::new(child.stdout.take().unwrap());
    let ready = io::BufRead::lines(said).map(Result::unwrap).any(|line| line.contains("ready"));
    assert!(ready, "the child has made its page");
    let reader = SetPage::open(&path).unwrap();
    // The file opened and closed elsewhere in this process must not count.
    drop(fs::File::open(&path).unwrap());
    assert!(!reader.is_ended());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(reader.is_ended());
    let end = reader.wait(reader.epoch(), Some(PATIENCE));
    assert!(matches!(end, Err(PageError::Ended)), "{end:?}");
}

#[test]
fn a_new_partition_does_not_disturb_readers_of_the_page_before() {
    let set = ActiveSet::first(&ids(0..2), 8).unwrap();
    let (_folder, path, writer) = page(&set);
    let reader = SetPage::open(&path).unwrap();
    let next = PageWriter::create(&path, None, &ActiveSet::first(&ids(0..5), 8).unwrap()).unwrap();
    assert!(!writer.is_in_place() && next.is_in_place());
    assert_eq!((reader.count(), SetPage::open(&path).unwrap().count()), (2, 5));
    drop(writer);
    assert!(reader.is_ended() && path.exists(), "the one that ended removes only its own file");
    fs::remove_file(&path).unwrap();
    assert!(!next.is_in_place(), "it was deleted");
}

#[test]
fn what_is_no_page_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("demo.set");
    let refused = |says: &str| {
        let error = SetPage::open(&path).unwrap_err().to_string();
        assert!(error.contains(says), "{error:?} says {says:?}");
    };
    refused("cannot open");
    fs::write(&path, b"hotadd\0\0").unwrap();
    refused("cannot map");
    fs::write(&path, vec![0; 65_536]).unwrap();
    refused("does not begin with");
    let mut other = vec![0; 65_536];
    other[..8].copy_from_slice(b"hotadd\0\0");
    other[8] = 9;
    fs::write(&path, other).unwrap();
    refused("it has version 9");
    let link = folder.path().join("link.set");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(
        SetPage::open(&link).unwrap_err().to_string().contains("cannot open"),
        "links are not followed"
    );
}

#[test]
fn a_page_of_another_user_is_not_mapped() {
    if !Need::Root.is_met("pages of other users") {
        return;
    }
    let set = ActiveSet::first(&ids(0..2), 8).unwrap();
    let (_folder, path, _writer) = page(&set);
    std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
    let error = SetPage::open(&path).unwrap_err();
    assert!(matches!(error, PageError::Owner { owner: 65_534, .. }), "{error}");
}

#[test]
fn a_user_can_read_its_own_pages_and_those_of_root() {
    if !Need::Root.is_met("pages of other users") {
        return;
    }
    const NOBODY: u32 = 65_534;
    let set = ActiveSet::first(&ids(0..2), 8).unwrap();
    let (folder, path, _writer) = page(&set);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    for owner in [0, NOBODY] {
        std::os::unix::fs::chown(&path, Some(owner), None).unwrap();
        let read = || {
            let user = rustix::process::Uid::from_raw(NOBODY);
            rustix::thread::set_thread_res_uid(user, user, user).unwrap();
            SetPage::open(&path).map(|page| page.count())
        };
        let read = thread::scope(|scope| scope.spawn(read).join().unwrap());
        assert_eq!(read.unwrap(), 2, "a page of user {owner}");
    }
}

#[test]
fn a_page_that_lies_is_read_within_its_bounds() {
    let set = ActiveSet::first(&ids(0..2), 8).unwrap();
    let (_folder, path, writer) = page(&set);
    let reader = SetPage::open(&path).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    // Everything behind the sequence.
    file.write_all_at(&[0xFF; 25_000], 72).unwrap();
    let snapshot = reader.snapshot().unwrap();
    assert_eq!((snapshot.known().count(), snapshot.count()), (2048, 2048));
    assert!(snapshot.proposed().count() < 32, "no index is beyond the maximum");
    file.write_all_at(&1_u32.to_ne_bytes(), 64).unwrap();
    assert!(matches!(reader.snapshot(), Err(PageError::Stuck)), "a change that does not end");
    drop(writer);
    assert!(matches!(reader.snapshot(), Err(PageError::Ended)));
}
