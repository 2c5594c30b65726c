//! Agents of hypervisors, clouds and containers: their names, what each does with processors, and how that is switched off. Each
//! entry names its source.

use std::path::Path;

use crate::programs;
use crate::tree::Tree;

/// What an agent does with processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It brings processors online that are plugged in.
    Brings,
    /// It does what a host or a cloud says, which may include that.
    Obeys,
}

/// One agent.
pub(crate) struct Agent {
    pub(crate) name: &'static str,
    /// Its programs, in the usual folders or with their full path.
    pub(crate) programs: &'static [&'static str],
    pub(crate) units: &'static [&'static str],
    pub(crate) effect: Effect,
    /// What it does. Continues a sentence that begins with its name.
    pub(crate) does: &'static str,
    pub(crate) off: &'static str,
    /// Words of its command line that switch this off. One of them is enough.
    pub(crate) options: &'static [&'static str],
    /// Whether settings switch this off.
    pub(crate) is_off: fn(&Tree) -> bool,
}

/// Whether a file is the program of an agent, in a folder in which agents are looked for.
pub(crate) fn is_known(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let named = AGENTS.iter().flat_map(|agent| agent.programs);
    let additions = path.to_string_lossy().starts_with("/opt/VBoxGuestAdditions");
    let usual = programs::FOLDERS.iter().any(|folder| path.parent() == Some(Path::new(folder)));
    let mut named = named.filter(|program| programs::base(program) == name);
    named.any(|program| usual || additions || path == Path::new(program))
}

fn never(_: &Tree) -> bool {
    false
}

pub(crate) const AGENTS: [Agent; 11] = [
    // qga/commands-linux.c of QEMU: qmp_guest_set_vcpus writes to /sys/devices/system/cpu/cpuN/online.
    Agent {
        name: "the QEMU guest agent",
        programs: &["qemu-ga"],
        units: &["qemu-guest-agent.service", "qemu-ga.service"],
        effect: Effect::Obeys,
        does: "brings processors online on the hypervisor's request (guest-set-vcpus, virsh setvcpus --guest)",
        off: "block guest-set-vcpus in /etc/qemu/qemu-ga.conf (block-rpcs, before QEMU 8.2 blacklist), or do not use virsh setvcpus --guest",
        options: &[],
        is_off: |tree| QEMU_SETTINGS.iter().any(|path| blocks(tree, path)),
    },
    // src/agent/src/rpc.rs of kata-containers: online_cpus, for the request OnlineCPUMem, writes 1 to cpu[0-9]+/online. The
    // runtime sends this request whenever it has plugged in processors. With static_sandbox_resource_mgmt it plugs in none.
    Agent {
        name: "the Kata Containers agent",
        programs: &["kata-agent"],
        units: &["kata-agent.service"],
        effect: Effect::Brings,
        does: "brings online each processor that the runtime on the host plugs in (OnlineCPUMem)",
        off: "static_sandbox_resource_mgmt = true in the runtime's configuration on the host, so that it \
         plugs in nothing",
        options: &[],
        is_off: never,
    },
    // VBoxServiceCpuHotPlug.cpp of VirtualBox: at a plug event it writes 1 to the processor's switch. VBoxService(8): the service
    // cpuhotplug is on by default. --disable-cpuhotplug switches it off; --only-NAME leaves one service.
    Agent {
        name: "VirtualBox's guest additions (VBoxService)",
        programs: &["VBoxService"],
        units: &[
            "vboxadd-service.service",
            "virtualbox-guest-utils.service",
            "vboxservice.service",
        ],
        effect: Effect::Brings,
        does: "brings online each processor that the host plugs in (its service cpuhotplug)",
        off: "start VBoxService with --disable-cpuhotplug",
        options: &[
            "--disable-cpuhotplug",
            "--only-timesync",
            "--only-control",
            "--only-vminfo",
            "--only-memballoon",
            "--only-vmstats",
            "--only-automount",
        ],
        is_off: never,
    },
    // cpuplugd/ of s390-tools, cpuplugd.conf(5): CPU_MIN, CPU_MAX, HOTPLUG, HOTUNPLUG.
    Agent {
        name: "cpuplugd of s390-tools",
        programs: &["cpuplugd"],
        units: &["cpuplugd.service"],
        effect: Effect::Brings,
        does: "brings processors online and takes them offline depending on the load, up to CPU_MAX in /etc/cpuplugd.conf",
        off: "systemctl disable --now cpuplugd",
        options: &[],
        is_off: never,
    },
    // open-vm-tools has no code for processors. Its plugin vix starts programs for users of the host who have a guest user's name
    // and password (StartProgramInGuest); disabled=true in [guestoperations] of tools.conf forbids that.
    Agent {
        name: "VMware's tools (vmtoolsd)",
        programs: &["vmtoolsd"],
        units: &["vmtoolsd.service", "open-vm-tools.service"],
        effect: Effect::Obeys,
        does: "brings nothing online by itself, but starts programs on the host's request (guest \
         operations)",
        off: "disabled=true in [guestoperations] of /etc/vmware-tools/tools.conf",
        options: &[],
        is_off: |tree| {
            setting(tree, "/etc/vmware-tools/tools.conf", Some("guestoperations"), "disabled")
                .is_some_and(|value| ["true", "1"].contains(&&*value.to_ascii_lowercase()))
        },
    },
    // config/waagent.conf of WALinuxAgent: extensions, Extensions.Enabled=y by default, are programs that Azure sends and root runs.
    Agent {
        name: "Azure's agent (waagent)",
        programs: &["waagent"],
        units: &["waagent.service", "walinuxagent.service"],
        effect: Effect::Obeys,
        does: "brings nothing online by itself, but runs the extensions that Azure sends",
        off: "Extensions.Enabled=n in /etc/waagent.conf, or check which extensions the machine has",
        options: &[],
        is_off: |tree| {
            setting(tree, "/etc/waagent.conf", None, "Extensions.Enabled")
                .is_some_and(|value| value.to_ascii_lowercase().starts_with('n'))
        },
    },
    // docs/howto of cloud-init: /etc/cloud/cloud-init.disabled, or cloud-init=disabled on the kernel's command line.
    Agent {
        name: "cloud-init",
        programs: &["cloud-init"],
        units: &["cloud-init.service", "cloud-init-main.service", "cloud-final.service"],
        effect: Effect::Obeys,
        does: "runs the machine's user data at boot (bootcmd, runcmd, scripts)",
        off: "check the user data (cloud-init query userdata); touch /etc/cloud/cloud-init.disabled switches it off",
        options: &[],
        is_off: |tree| {
            let line = tree.read(Path::new("/proc/cmdline")).unwrap_or_default();
            tree.kind(Path::new("/etc/cloud/cloud-init.disabled")).is_some()
                || String::from_utf8_lossy(&line)
                    .split_whitespace()
                    .any(|word| word == "cloud-init=disabled")
        },
    },
    // Google's guest-agent runs startup-script of the machine's metadata as root.
    Agent {
        name: "Google's guest agent",
        programs: &["google_guest_agent", "google_metadata_script_runner"],
        units: &["google-guest-agent.service", "google-startup-scripts.service"],
        effect: Effect::Obeys,
        does: "brings nothing online by itself, but runs the startup script from the machine's metadata",
        off: "check the startup script in the machine's metadata; systemctl mask google-startup-scripts",
        options: &[],
        is_off: never,
    },
    // amazon-ssm-agent runs documents of Systems Manager (Run Command) as root.
    Agent {
        name: "Amazon's agent (amazon-ssm-agent)",
        programs: &["amazon-ssm-agent", "/snap/amazon-ssm-agent/current/amazon-ssm-agent"],
        units: &["amazon-ssm-agent.service", "snap.amazon-ssm-agent.amazon-ssm-agent.service"],
        effect: Effect::Obeys,
        does: "brings nothing online by itself, but runs the commands that Systems Manager sends (Run \
         Command)",
        off: "check which commands are sent; systemctl mask --now amazon-ssm-agent",
        options: &[],
        is_off: never,
    },
    // drmgr of powerpc-utils: -c cpu -a adds and brings online, at the request of the management console over rsct (DRM).
    Agent {
        name: "the tools for dynamic logical partitioning (drmgr of powerpc-utils)",
        programs: &["drmgr"],
        units: &[],
        effect: Effect::Obeys,
        does: "brings online the processors that the management console adds",
        off: "do not add processors from the management console",
        options: &[],
        is_off: never,
    },
    // mpdecision of Qualcomm's Android switches cores by the load.
    Agent {
        name: "mpdecision",
        programs: &["mpdecision", "/vendor/bin/mpdecision", "/system/bin/mpdecision"],
        units: &["mpdecision.service"],
        effect: Effect::Brings,
        does: "brings processors online and takes them offline depending on the load",
        off: "stop mpdecision",
        options: &[],
        is_off: never,
    },
];

/// The settings files of the QEMU guest agent.
const QEMU_SETTINGS: [&str; 4] = [
    "/etc/qemu/qemu-ga.conf",
    "/etc/sysconfig/qemu-ga",
    "/etc/default/qemu-guest-agent",
    "/etc/qemu-ga.conf",
];

/// Whether a settings file forbids the agent to switch processors: by a list of forbidden commands, or by a list of allowed ones.
fn blocks(tree: &Tree, path: &str) -> bool {
    let text = tree.read(Path::new(path)).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).to_ascii_lowercase();
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
    lines.into_iter().any(|line| {
        let mut names = line.split(|char: char| !char.is_ascii_alphanumeric() && char != '-');
        let named = names.any(|name| name == "guest-set-vcpus");
        let allows = line.contains("allow-rpcs") || line.contains("allow_rpcs");
        let forbids = line.contains("block") || line.contains("black");
        (forbids && !allows && named) || (allows && !forbids && !named)
    })
}

/// `KEY=VALUE` in a file, in a section or outside of all sections; the last one takes effect.
fn setting(tree: &Tree, path: &str, section: Option<&str>, key: &str) -> Option<String> {
    let text = tree.read(Path::new(path))?;
    let text = String::from_utf8_lossy(&text);
    let (mut here, mut found) = (section.is_none(), None);
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[') {
            here = section.is_some_and(|section| name.trim_end_matches(']').trim() == section);
        } else if let Some((name, value)) = line.split_once('=')
            && here
            && name.trim() == key
        {
            let value = value.split('#').next().unwrap_or_default();
            found = Some(value.trim().trim_matches('"').to_owned());
        }
    }
    found
}
