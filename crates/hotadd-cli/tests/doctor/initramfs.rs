//! Initramfs images, which have their own udev rules.

use std::fs::{self, File};
use std::io::Write;
use std::time::{Duration, SystemTime};

use crate::common::stdout;
use crate::kit::Root;
use crate::udev::REDHAT;

const RULES: &str = "usr/lib/udev/rules.d/40-redhat.rules";

/// A cpio archive in the newc format.
fn cpio(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = Vec::new();
    let mut add = |name: &str, mode: u32, text: &[u8]| {
        let fields = [1, mode, 0, 0, 1, 0, text.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
        archive.extend_from_slice(b"070701");
        fields.iter().for_each(|field| write!(archive, "{field:08X}").unwrap());
        for part in [[name.as_bytes(), b"\0"].concat(), text.to_vec()] {
            archive.extend_from_slice(&part);
            archive.resize(archive.len().next_multiple_of(4), 0);
        }
    };
    add(".", 0o040_755, b"");
    for (name, text) in files {
        add(name, 0o100_644, text.as_bytes());
    }
    add("TRAILER!!!", 0, b"");
    archive.resize(archive.len().next_multiple_of(512), 0);
    archive
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

#[test]
fn a_rule_in_an_image_is_a_problem_even_if_the_systems_rule_is_shadowed() {
    let microcode = cpio(&[("kernel/x86/microcode/GenuineIntel.bin", "\0\0")]);
    let main = cpio(&[("bin/sh", "\u{7f}ELF"), (RULES, REDHAT)]);
    for (name, image) in [
        ("boot/initramfs-6.1.0.img", main.clone()),
        ("boot/initrd.img-6.1.0-amd64", [&microcode[..], &zstd(&main)].concat()),
        ("boot/initramfs-linux.img", [&microcode[..], &gz(&main)].concat()),
        ("boot/0123/6.1.0/initrd", gz(&main)),
    ] {
        let root = Root::new();
        root.file(RULES, REDHAT);
        root.file("usr/bin/dracut", "#!/bin/sh\n");
        fs::create_dir_all(root.path("etc/udev/rules.d")).unwrap();
        root.bytes(name, &image);
        let written = SystemTime::now() - Duration::from_secs(1000);
        File::open(root.path(name)).unwrap().set_modified(written).unwrap();
        let folder = root.path("etc/udev/rules.d");
        let said = root.hotadd(&["--shadow", folder.to_str().unwrap()]);
        let text = stdout(&said);
        assert_eq!(said.status.code(), Some(1), "{name}: {text}");
        assert!(
            text.contains("line 2 of its copy of /usr/lib/udev/rules.d/40-redhat.rules"),
            "{name}: {text}"
        );
        assert!(
            text.contains("it is older than /etc/udev/rules.d/40-redhat.rules"),
            "{name}: {text}"
        );
        assert!(text.contains("dracut --force --regenerate-all"), "{name}: {text}");
        // A rebuilt image contains the shadow.
        let shadow = fs::read_to_string(folder.join("40-redhat.rules")).unwrap();
        let again = cpio(&[(RULES, REDHAT), ("etc/udev/rules.d/40-redhat.rules", &shadow)]);
        root.bytes(name, &gz(&again));
        root.clear();
    }
}

#[test]
fn a_script_in_an_image_is_examined() {
    let root = Root::new();
    let hook = "#!/bin/sh\necho 1 > /sys/devices/system/cpu/cpu1/online\n";
    root.bytes("boot/initrd.img-6", &zstd(&cpio(&[("scripts/init-top/cpus", hook)])));
    assert_eq!(root.problems(), ["/boot/initrd.img-6:null"]);
}

#[test]
fn images_on_a_file_system_that_is_not_mounted_cannot_be_told() {
    let root = Root::new();
    root.file("etc/fstab", "UUID=1 / ext4 defaults 0 1\n#UUID=2 /boot ext4 defaults 0 2\n");
    root.clear();
    root.file("etc/fstab", "UUID=1 / ext4 defaults 0 1\nUUID=2 /boot ext4 defaults 0 2\n");
    root.cannot_tell("on which no image was found");
    root.bytes("boot/initrd.img-6", &cpio(&[]));
    root.clear();
}

#[test]
fn an_unreadable_image_is_never_clear_and_the_command_to_read_it_is_named() {
    let good = cpio(&[(RULES, "KERNEL==\"x\", SYMLINK+=\"y\"\n")]);
    let cut = &good[..good.len() / 2];
    let mut late = good.clone();
    late.extend_from_slice(b"\xfd7zXZ\0rest");
    for (image, why) in [
        (&b"\xfd7zXZ\0\0\0"[..], "compressed with xz"),
        (&b"\x02\x21\x4c\x18\0\0"[..], "compressed with lz4"),
        (&b"MZ\0\0"[..], "a unified kernel image"),
        (&b"070707old form"[..], ""),
        (&b"nothing of the kind"[..], "its format is unknown"),
        (&b""[..], "it contains no archive"),
        (&gz(cut)[..], "it is truncated"),
        (&zstd(&good)[..20], ""),
        (&late[..], "compressed with xz"),
    ] {
        let root = Root::new();
        root.bytes("boot/initrd.img-6.1.0", image);
        root.file("usr/sbin/update-initramfs", "#!/bin/sh\n");
        root.cannot_tell("the contents of an initramfs cannot be read");
        root.cannot_tell(why);
        let told = root.seen().findings[0]["do"].as_str().unwrap().to_owned();
        for command in ["lsinitramfs /boot/initrd.img-6.1.0", "update-initramfs -u -k all"] {
            assert!(told.contains(command), "{told}");
        }
        root.bytes("boot/initrd.img-6.1.0", &good);
        root.clear();
    }
}
