//! The frameworks and port drivers that are not hosted. A driver for one imports functions from the framework's own file.

/// A framework that is not hosted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framework {
    /// Its files, in lower case. A driver for it imports from one of them.
    files: &'static [&'static str],
    /// Its name.
    pub name: &'static str,
    /// What a host would need.
    pub needs: &'static str,
    /// Whether a driver for it cannot begin without it.
    pub at_start: bool,
}

const ALL: &[Framework] = &[
    Framework {
        files: &["wdfldr.sys", "wdf01000.sys"],
        name: "KMDF, the Kernel-Mode Driver Framework",
        needs: "the framework's own functions, which its loader hands to the driver in a table",
        at_start: true,
    },
    Framework {
        files: &["ndis.sys"],
        name: "NDIS, for network drivers",
        needs: "a network stack above and adapters below",
        at_start: false,
    },
    Framework {
        files: &["fltmgr.sys"],
        name: "the Filter Manager, for file-system filters",
        needs: "file systems, and requests to them",
        at_start: false,
    },
    Framework {
        files: &["storport.sys", "scsiport.sys", "ataport.sys", "classpnp.sys"],
        name: "a port driver for storage",
        needs: "storage devices",
        at_start: false,
    },
    Framework {
        files: &[
            "ks.sys",
            "portcls.sys",
            "hidclass.sys",
            "hidparse.sys",
            "usbd.sys",
            "videoprt.sys",
            "dxgkrnl.sys",
        ],
        name: "a port or class driver for devices",
        needs: "such devices",
        at_start: false,
    },
];

/// The framework that a file belongs to, if it is one that is not hosted. The name is compared without case, as Windows
/// compares it.
pub(crate) fn of(file: &str) -> Option<&'static Framework> {
    ALL.iter().find(|one| one.files.iter().any(|name| file.eq_ignore_ascii_case(name)))
}

/// The frameworks of these files, each once.
pub(crate) fn among<'a>(files: impl Iterator<Item = &'a str>) -> Vec<&'static Framework> {
    let mut found: Vec<&'static Framework> = Vec::new();
    for framework in files.filter_map(of) {
        if !found.contains(&framework) {
            found.push(framework);
        }
    }
    found
}
