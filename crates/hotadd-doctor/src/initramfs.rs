//! Images for early boot. They have their own udev and rules, copied when the image was made; later changes in
//! `/etc/udev/rules.d` do not affect them.

mod image;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use self::image::Member;
use super::command::{Does, Follower};
use super::finding::{Finding, Level};
use super::script::{self, Subject};
use super::told::{WHY, WHY_UNCLEAR};
use super::tree::{Content, Tree};
use super::udev;

/// The folders of images, and how many levels of folders below each are searched.
const FOLDERS: [(&str, usize); 5] = [
    // A folder for each machine, with a folder for each kernel in it (the boot loader specification).
    ("/boot", 2),
    ("/efi", 2),
    ("/boot/efi/EFI/Linux", 0),
    ("/boot/EFI/Linux", 0),
    ("/efi/EFI/Linux", 0),
];
/// The most images that are read.
const IMAGES: usize = 12;

/// Examines all images.
pub(crate) fn check(tree: &Tree, follower: &Follower<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    let paths = FOLDERS.iter().flat_map(|(folder, depth)| below(tree, Path::new(folder), *depth));
    for path in paths.filter(|path| is_image(path)) {
        if tree.id(&path).is_none_or(|id| !seen.insert(id)) {
            continue;
        }
        if seen.len() > IMAGES {
            findings.push(unclear(
                tree,
                &path,
                &format!("there are more than {IMAGES} initramfs images"),
            ));
            break;
        }
        match tree.look_into(&path) {
            Content::Binary(file) => match image::members(&file) {
                Ok(members) => findings.extend(inside(tree, follower, &path, &members)),
                Err(why) => findings.push(unclear(tree, &path, &why)),
            },
            Content::Text(text) => {
                let result = image::members_of(&text);
                match result {
                    Ok(members) => findings.extend(inside(tree, follower, &path, &members)),
                    Err(why) => findings.push(unclear(tree, &path, &why)),
                }
            }
            Content::Unread(why) => findings.push(unclear(tree, &path, &why)),
            Content::Missing | Content::Folder | Content::Special => {}
        }
    }
    if seen.is_empty()
        && let Some(place) = apart(tree)
    {
        findings.push(unclear(
            tree,
            place,
            "it is a separate file system, on which no image was found",
        ));
    }
    findings
}

/// The folder of images, if fstab says that it is a mount point.
fn apart(tree: &Tree) -> Option<&'static Path> {
    let text = tree.read(Path::new("/etc/fstab"))?;
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let mut places = lines.filter_map(|line| line.split_whitespace().nth(1));
    places
        .find_map(|place| ["/boot", "/efi"].into_iter().find(|wanted| *wanted == place))
        .map(Path::new)
}

/// The files in a folder and in the folders below it.
fn below(tree: &Tree, folder: &Path, depth: usize) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for name in tree.list(folder) {
        let path = folder.join(name);
        if depth > 0 && matches!(tree.look_into(&path), Content::Folder) {
            found.extend(below(tree, &path, depth - 1));
        } else {
            found.push(path);
        }
    }
    found
}

fn is_image(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    // Images of kdump run after a crash, when no processors are awaited.
    let image =
        name.starts_with("initramfs") || name.starts_with("initrd") || name.starts_with("uinitrd");
    let image =
        image || [".img", ".initrd", ".cpio", ".cpio.gz"].iter().any(|end| name.ends_with(end));
    let unified = name.ends_with(".efi") && path.to_string_lossy().contains("EFI/Linux");
    (image || unified) && !name.contains("kdump") && !name.ends_with(".old-dkms")
}

/// What in an image brings processors online.
fn inside(tree: &Tree, follower: &Follower<'_>, path: &Path, members: &[Member]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut rules: BTreeMap<OsString, Vec<&Member>> = BTreeMap::new();
    for member in members {
        if udev::rank(&member.path).is_some() {
            let name = member.path.file_name().unwrap_or_default().to_owned();
            rules.entry(name).or_default().push(member);
        } else if let Some(hit) = script::scan(&member.text, Subject::Named).first() {
            findings.push(problem(tree, path, &member.path, hit.line));
        }
    }
    for members in rules.values() {
        let Some(first) = members.iter().min_by_key(|member| udev::rank(&member.path)) else {
            continue;
        };
        let file = udev::judge(tree, follower, &first.path, &first.text);
        if let Some(line) = file.online_line() {
            findings.push(problem(tree, path, &first.path, line));
            continue;
        }
        let doubts = file.offences.iter().filter_map(|offence| match &offence.does {
            Does::Unclear(doubts) => Some(doubts.clone()),
            Does::Online(_) | Does::Else => None,
        });
        for doubt in follower.news(doubts.flatten().collect()) {
            let what = format!(
                "{} in it runs a command that cannot be analysed: {}",
                first.path.display(),
                doubt.what
            );
            findings.push(unclear(tree, path, &what));
        }
    }
    findings
}

fn problem(tree: &Tree, image: &Path, member: &Path, line: usize) -> Finding {
    let what = format!(
        "the initramfs brings processors online in line {line} of its copy of {}",
        member.display()
    );
    let age = older(tree, image, member.file_name().unwrap_or_default().to_string_lossy().as_ref());
    Finding::new(Level::Problem, what)
        .at(image, None)
        .why(format!(
            "{WHY}; changes in /etc/udev/rules.d take effect there only after the image is \
         rebuilt{age}"
        ))
        .fix(format!("hotadd doctor --shadow /etc/udev/rules.d, then {}", rebuild(tree)))
}

fn unclear(tree: &Tree, image: &Path, why: &str) -> Finding {
    let what = format!("the contents of an initramfs cannot be read: {why}");
    let age =
        shadows(tree).into_iter().map(|name| older(tree, image, &name)).find(|age| !age.is_empty());
    let name = image.display();
    Finding::new(Level::CannotTell, what)
        .at(image, None)
        .why(format!(
            "{WHY_UNCLEAR}: an initramfs has its own udev rules{}",
            age.unwrap_or_default()
        ))
        .fix(format!(
            "{} | grep rules.d, and check whether a rule there sets online; if so, {}",
            list(tree, &name.to_string()),
            rebuild(tree)
        ))
}

/// The names of the shadows that `hotadd doctor` has written.
fn shadows(tree: &Tree) -> Vec<String> {
    let folder = Path::new(udev::FOLDERS[0]);
    let names = tree.list(folder).into_iter();
    let shadows = names.filter(|name| udev::is_shadow(tree, &folder.join(name)));
    shadows.map(|name| name.to_string_lossy().into_owned()).collect()
}

/// A remark if an image was made before a shadow was written.
fn older(tree: &Tree, image: &Path, name: &str) -> String {
    let shadow = Path::new(udev::FOLDERS[0]).join(name);
    match (tree.changed(image), tree.changed(&shadow)) {
        (Some(image), Some(written)) if image < written => {
            format!("; it is older than {}", shadow.display())
        }
        _ => String::new(),
    }
}

/// The tool that makes images on this system.
fn maker(tree: &Tree) -> &'static str {
    let tools = ["dracut", "update-initramfs", "mkinitcpio", "mkinitfs"];
    let is_there = |tool: &str| {
        ["/usr/bin", "/usr/sbin", "/bin", "/sbin"]
            .iter()
            .any(|folder| tree.kind(&Path::new(folder).join(tool)).is_some())
    };
    tools.into_iter().find(|tool| is_there(tool)).unwrap_or("")
}

/// The command that makes all images again.
fn rebuild(tree: &Tree) -> &'static str {
    match maker(tree) {
        "dracut" => "dracut --force --regenerate-all",
        "update-initramfs" => "update-initramfs -u -k all",
        "mkinitcpio" => "mkinitcpio -P",
        "mkinitfs" => "mkinitfs",
        _ => {
            "rebuild it (dracut --force --regenerate-all, update-initramfs -u -k all, or mkinitcpio -P)"
        }
    }
}

/// The command that lists an image's files.
fn list(tree: &Tree, image: &str) -> String {
    match maker(tree) {
        "dracut" => format!("lsinitrd {image}"),
        "update-initramfs" => format!("lsinitramfs {image}"),
        "mkinitcpio" => format!("lsinitcpio {image}"),
        _ => format!("list it (lsinitrd, lsinitramfs or lsinitcpio {image})"),
    }
}
