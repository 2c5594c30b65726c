//! The kit for building drivers: `hotadd kit` writes it, and drivers that are built with it run here.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

#[path = "../common/mod.rs"]
mod common;

mod soak;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::live::Live;
use common::{hotadd, of, output, stderr, stdout};

/// A folder with a kit in it.
struct Kit {
    folder: tempfile::TempDir,
}

impl Kit {
    fn new() -> Self {
        let kit = Self { folder: tempfile::tempdir().unwrap() };
        let path = kit.path("kit");
        let written = output(&["kit", path.to_str().unwrap()]);
        assert!(written.status.success(), "{}", stderr(&written));
        kit
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file in the folder.
    fn file(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// Runs a program in the folder, which must succeed without a warning.
    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(program);
        let done = command.current_dir(self.folder.path()).args(arguments).output();
        let done = done.unwrap_or_else(|error| panic!("{program}: {error}"));
        let said = format!("{}{}", stdout(&done), stderr(&done));
        assert!(done.status.success(), "{program} {arguments:?}: {said}");
        assert!(!said.contains("warning:"), "{program} {arguments:?}: {said}");
    }

    fn compile(&self, compiler: &str, arguments: &[&str]) {
        self.run(self.path("kit/bin").join(compiler).to_str().unwrap(), arguments);
    }
}

fn sample(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hotadd-nt/samples").join(name);
    fs::canonicalize(path).unwrap().to_str().unwrap().to_owned()
}

/// Runs a driver while two processors are added. Returns the events.
fn agrees(driver: &Path) -> Vec<serde_json::Value> {
    let driver = driver.to_str().unwrap();
    let done = output(&["run", "--simulate", "2+2", "--json", "--driver", driver]);
    assert!(done.status.success(), "{driver}: {}", stderr(&done));
    let events = common::events(&stdout(&done));
    let completed = of(&events, "add-complete");
    assert_eq!(completed.len(), 4, "told of two that were there and two that joined: {events:#?}");
    assert_eq!(of(&events, "breach").len(), 0, "{events:#?}");
    events
}

#[test]
fn a_driver_built_by_one_command_runs_as_sys_and_as_so() {
    let kit = Kit::new();
    // In a folder whose name has a space.
    let spaced = kit.path("my kit");
    assert!(output(&["kit", spaced.to_str().unwrap()]).status.success());
    let compiler = spaced.join("bin/sys-cc");
    kit.run(compiler.to_str().unwrap(), &["-O2", &sample("percpu.c"), "-o", "spaced.sys"]);
    for (compiler, form) in [("sys-cc", "sys"), ("so-cc", "so")] {
        let driver = format!("percpu.{form}");
        kit.compile(compiler, &["-O2", "-Wall", "-Wextra", &sample("percpu.c"), "-o", &driver]);
        agrees(&kit.path(&driver));
    }
    assert!(kit.path("percpu.pdb").is_file(), "the symbols of the .sys are beside it");
}

#[test]
fn make_builds_a_driver_whose_makefile_knows_nothing_of_the_kit() {
    let kit = Kit::new();
    kit.file(
        "Makefile",
        "CFLAGS ?= -O2\n\ndriver: main.o part.o\n\t$(CC) $(LDFLAGS) -o $@ $^\n\nclean:\n\trm -f driver *.o\n",
    );
    kit.file("part.h", "#include <ntddk.h>\nextern ULONG Count;\nDRIVER_UNLOAD Unload;\n");
    kit.file(
        "main.c",
        r#"#include "part.h"
static PVOID Handle;

static VOID Changed(PVOID Context, PKE_PROCESSOR_CHANGE_NOTIFY_CONTEXT Change, PNTSTATUS Status)
{
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Status);
    if (Change->State == KeProcessorAddCompleteNotify)
        Count++;
}

VOID Unload(PDRIVER_OBJECT Driver)
{
    UNREFERENCED_PARAMETER(Driver);
    KeDeregisterProcessorChangeCallback(Handle);
    DbgPrint("%u processors, %d in the variable\n", Count, (int)KeNumberProcessors);
}

NTSTATUS DriverEntry(PDRIVER_OBJECT Driver, PUNICODE_STRING Path)
{
    UNREFERENCED_PARAMETER(Path);
    Driver->DriverUnload = Unload;
    Handle = KeRegisterProcessorChangeCallback(Changed, NULL, KE_PROCESSOR_CHANGE_ADD_EXISTING);
    return Handle ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
}
"#,
    );
    kit.file("part.c", "#include \"part.h\"\nULONG Count;\n");
    for compiler in ["sys-cc", "so-cc"] {
        let compiler = format!("CC={}", kit.path("kit/bin").join(compiler).display());
        kit.run("make", &["clean"]);
        kit.run("make", &[&compiler]);
        let events = agrees(&kit.path("driver"));
        let said: Vec<_> = of(&events, "said").iter().map(|one| one["text"].clone()).collect();
        assert_eq!(said, ["4 processors, 4 in the variable"], "a variable is imported too");
    }
}

/// The example of "Registering for Asynchronous Driver Notification", with its GUID and prototypes.
#[test]
fn a_driver_is_notified_asynchronously_after_a_processor_has_joined() {
    let kit = Kit::new();
    kit.file(
        "later.c",
        r#"#include <initguid.h>
#include <wdm.h>
#include <wdmguid.h>
#include <poclass.h>

static PVOID Entry, Sync;
static volatile LONG Completed;

static NTSTATUS Told(PVOID NotificationStructure, PVOID Context)
{
    PDEVICE_INTERFACE_CHANGE_NOTIFICATION change = (PDEVICE_INTERFACE_CHANGE_NOTIFICATION)NotificationStructure;

    UNREFERENCED_PARAMETER(Context);
    DbgPrint("%s %wZ after %d\n", IsEqualGUID(&change->Event, &GUID_DEVICE_INTERFACE_ARRIVAL) ? "arrived" : "?",
             change->SymbolicLinkName, Completed);
    return STATUS_SUCCESS;
}

static VOID Changed(PVOID Context, PKE_PROCESSOR_CHANGE_NOTIFY_CONTEXT Change, PNTSTATUS Status)
{
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Status);
    if (Change->State == KeProcessorAddCompleteNotify)
        Completed++;
}

static VOID Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    IoUnregisterPlugPlayNotificationEx(Entry);
    KeDeregisterProcessorChangeCallback(Sync);
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = Unload;
    Sync = KeRegisterProcessorChangeCallback(Changed, NULL, 0);
    return IoRegisterPlugPlayNotification(EventCategoryDeviceInterfaceChange,
                                          PNPNOTIFY_DEVICE_INTERFACE_INCLUDE_EXISTING_INTERFACES,
                                          (PVOID)&GUID_DEVICE_PROCESSOR, DriverObject, Told, NULL, &Entry);
}
"#,
    );
    for (compiler, form) in [("sys-cc", "sys"), ("so-cc", "so")] {
        let driver = format!("later.{form}");
        kit.compile(compiler, &["-O2", "-Wall", "later.c", "-o", &driver]);
        let path = kit.path(&driver);
        let path = path.to_str().unwrap();
        let mut live = Live::start(&["--driver", path]);
        // One that is there, and two that are added.
        let said: Vec<String> =
            (0..3).map(|_| live.until("said")["text"].as_str().unwrap().to_owned()).collect();
        let events = live.end();
        for (id, said) in said.iter().enumerate() {
            let arrived = format!(
                "arrived \\??\\ACPI#Processor#{id}#{{97FADB10-4E33-40AE-359C-8BEF029DBDD0}} after "
            );
            let after = said.strip_prefix(&arrived).and_then(|after| after.parse::<usize>().ok());
            // It may be told late, but never before AddComplete.
            assert!(after.is_some_and(|after| after >= id), "{driver}: {said}: {events:#?}");
        }
    }
}

#[test]
fn cmake_builds_a_driver_in_both_forms_with_and_without_find_package() {
    let kit = Kit::new();
    let source = sample("hello.c");
    kit.file(
        "CMakeLists.txt",
        &format!(
            "cmake_minimum_required(VERSION 3.20)\nproject(drivers C CXX)\nfind_package(WDK REQUIRED)\n\
             wdk_add_library(part STATIC WINVER 0x0601 part.c)\nwdk_add_driver(first WINVER 0x0601 {source})\n\
             target_link_libraries(first part)\nadd_executable(second second.cpp)\n"
        ),
    );
    kit.file("part.c", "#include <wdm.h>\nULONG Part(VOID);\nULONG Part(VOID) { return 1; }\n");
    kit.file(
        "second.cpp",
        "#include <ntddk.h>\nclass Two { public: NTSTATUS Enter() { return STATUS_SUCCESS; } };\n\
         extern \"C\" NTSTATUS DriverEntry(PDRIVER_OBJECT, PUNICODE_STRING) { return Two().Enter(); }\n",
    );
    for form in ["sys", "so"] {
        let toolchain = kit.path("kit/cmake").join(format!("{form}.cmake"));
        let toolchain = format!("-DCMAKE_TOOLCHAIN_FILE={}", toolchain.display());
        kit.run("cmake", &["-B", form, &toolchain, "-DCMAKE_BUILD_TYPE=Release"]);
        kit.run("cmake", &["--build", form]);
        for driver in ["first", "second"] {
            let driver = kit.path(form).join(format!("{driver}.{form}"));
            let done = output(&["run", "--simulate", "1+1", "--driver", driver.to_str().unwrap()]);
            assert!(done.status.success(), "{}: {}", driver.display(), stderr(&done));
        }
    }
}

#[test]
fn the_commands_of_the_kits_page_work_as_printed() {
    let kit = Kit::new();
    fs::copy(sample("percpu.c"), kit.path("driver.c")).unwrap();
    kit.file("Makefile", "driver.sys: driver.c\n\t$(CC) -O2 -o $@ $<\n");
    kit.file(
        "CMakeLists.txt",
        "cmake_minimum_required(VERSION 3.20)\nproject(driver C)\nadd_executable(driver driver.c)\n",
    );
    let page = fs::read_to_string(kit.path("kit/README.md")).unwrap();
    let all = common::commands(&page);
    assert!(all.len() >= 5, "{all:?}");
    let program = Path::new(env!("CARGO_BIN_EXE_hotadd")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    for (command, _) in all {
        let mut shell = Command::new("sh");
        let done = shell.args(["-c", &command]).current_dir(kit.folder.path()).env("PATH", &path);
        let done = done.output().unwrap();
        assert!(done.status.success(), "{command}: {}", stderr(&done));
    }
    assert!(kit.path("build/driver.sys").is_file(), "CMake makes a .sys");
}

#[test]
fn an_existing_folder_is_not_written_to_unless_it_is_a_kit() {
    let kit = Kit::new();
    fs::write(kit.path("kit/include/wdm.h"), "old").unwrap();
    let again = output(&["kit", kit.path("kit").to_str().unwrap()]);
    assert!(again.status.success(), "an earlier kit is replaced: {}", stderr(&again));
    assert_ne!(fs::read(kit.path("kit/include/wdm.h")).unwrap(), b"old");

    fs::create_dir(kit.path("mine")).unwrap();
    kit.file("mine/driver.c", "mine");
    let refused = output(&["kit", kit.path("mine").to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("exists, and is not a kit: name a new folder"),
        "{refused:?}"
    );
    assert_eq!(fs::read_dir(kit.path("mine")).unwrap().count(), 1, "nothing was written");
    let mut nameless = hotadd(&["kit", ""]);
    let refused = nameless.current_dir(kit.path("mine")).output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert_eq!(fs::read_dir(kit.path("mine")).unwrap().count(), 1, "an empty name is not here");
    let no_folder = kit.file("file", "");
    let refused = output(&["kit", no_folder.to_str().unwrap()]);
    assert!(stderr(&refused).contains("Not a directory"), "{refused:?}");
}

#[test]
fn a_missing_compiler_is_named_with_the_package_that_has_it() {
    let kit = Kit::new();
    let mut command = Command::new(kit.path("kit/bin/sys-cc"));
    let done = command.env("CLANG", "no-such-compiler").arg("x.c").output().unwrap();
    assert!(!done.status.success());
    let said = stderr(&done);
    assert_eq!(
        said,
        "sys-cc: no-such-compiler is not installed. On Debian: apt install clang lld\n"
    );
}

/// Builds a driver that imports `function` from `module`.
fn importing(kit: &Kit, module: &str, function: &str) -> PathBuf {
    kit.file("other.def", &format!("LIBRARY {module}\nEXPORTS\n{function}\n"));
    kit.run("x86_64-w64-mingw32-dlltool", &["-d", "other.def", "-l", "other.lib"]);
    kit.file(
        "other.c",
        &format!(
            "#include <ntddk.h>\nDECLSPEC_IMPORT NTSTATUS {function}(PVOID);\n\
             NTSTATUS DriverEntry(PDRIVER_OBJECT Driver, PUNICODE_STRING Path)\n\
             {{ UNREFERENCED_PARAMETER(Path); return {function}(Driver); }}\n"
        ),
    );
    kit.compile("sys-cc", &["-O2", "other.c", "other.lib", "-o", "other.sys"]);
    kit.path("other.sys")
}

#[test]
fn a_driver_for_kmdf_is_refused_by_name_before_it_runs() {
    let kit = Kit::new();
    let driver = importing(&kit, "WDFLDR.SYS", "WdfVersionBind");
    let driver = driver.to_str().unwrap();
    let said =
        "is for KMDF, the Kernel-Mode Driver Framework, which is not hosted here: that would need";
    for arguments in
        [&["run", "--simulate", "1+1", "--driver", driver] as &[_], &["inspect", driver]]
    {
        let done = hotadd(arguments).output().unwrap();
        let text = format!("{}{}", stdout(&done), stderr(&done));
        if arguments[0] == "run" {
            assert_eq!(done.status.code(), Some(1), "{text}");
            assert!(text.contains(said), "{text}");
        } else {
            assert!(
                text.contains(
                    "it is for KMDF, the Kernel-Mode Driver Framework, which hotadd does not host"
                ),
                "{text}"
            );
            assert!(text.contains("it cannot be loaded"), "{text}");
        }
    }
    let json = output(&["inspect", "--json", driver]);
    let json: serde_json::Value = serde_json::from_str(&stdout(&json)).unwrap();
    assert_eq!(json["loadable"], false);
    assert_eq!(json["frameworks"][0], "KMDF, the Kernel-Mode Driver Framework");
}

#[test]
fn a_call_to_another_framework_says_that_it_is_not_hosted() {
    let kit = Kit::new();
    for (module, function, name) in [
        ("NDIS.SYS", "NdisMRegisterMiniportDriver", "NDIS, for network drivers"),
        ("FLTMGR.SYS", "FltRegisterFilter", "the Filter Manager, for file-system filters"),
        ("storport.sys", "StorPortInitialize", "a port driver for storage"),
    ] {
        let driver = importing(&kit, module, function);
        let driver = driver.to_str().unwrap();
        let inspected = stdout(&output(&["inspect", driver]));
        let said = format!("it is for {name}, which hotadd does not host: that would need");
        assert!(inspected.contains(&said), "{inspected}");
        let done = output(&["run", "--simulate", "1+1", "--driver", driver]);
        let said = format!(
            "{module}!{function}, which is not provided, because hotadd does not host {name},"
        );
        assert!(stderr(&done).contains(&said), "{}", stderr(&done));
        assert_eq!(done.status.code(), Some(1));
    }
}

#[test]
fn a_null_pointer_is_reported_with_the_function_that_got_it() {
    let kit = Kit::new();
    kit.file(
        "null.c",
        "#include <ntddk.h>\nNTSTATUS DriverEntry(PDRIVER_OBJECT Driver, PUNICODE_STRING Path)\n\
         { UNREFERENCED_PARAMETER(Driver); UNREFERENCED_PARAMETER(Path); CALL; return 0; }\n",
    );
    for (function, arguments) in [
        ("KeInitializeDpc", "NULL, NULL, NULL"),
        ("KeSetEvent", "NULL, 0, FALSE"),
        ("KeReleaseMutex", "NULL, FALSE"),
        ("RtlInitializeGenericTable", "NULL, NULL, NULL, NULL, NULL"),
        ("KeGetProcessorIndexFromNumber", "NULL"),
    ] {
        for (compiler, form) in [("sys-cc", "sys"), ("so-cc", "so")] {
            let (driver, call) =
                (format!("null.{form}"), format!("-DCALL={function}({arguments})"));
            kit.compile(compiler, &["-O2", &call, "null.c", "-o", &driver]);
            let path = kit.path(&driver);
            let done = output(&["run", "--simulate", "1+0", "--driver", path.to_str().unwrap()]);
            let said = format!("passes NULL to {function}, which does not allow it at {driver}+0x");
            assert!(stderr(&done).contains(&said), "{driver}: {}", stderr(&done));
        }
    }
}

/// What sources that were written for Microsoft's compiler do, with all warnings as errors.
#[test]
fn sources_written_for_microsofts_compiler_build_unchanged_and_run() {
    let kit = Kit::new();
    kit.file(
        "idioms.c",
        r#"#include <fltKernel.h>
#include <Ntddk.h>
#include <NtStrSafe.h>
#include <Poclass.h>

typedef VOID (*STEP)(VOID);
static ULONG Steps;
static VOID First(VOID) { Steps = Steps * 10 + 1; }
static VOID Second(VOID) { Steps = Steps * 10 + 2; }

#pragma section(".CRT$XCA", read)
#pragma section(".CRT$XCM", read)
#pragma section(".CRT$XCN", read)
#pragma section(".CRT$XCZ", read)
/* Volatile, so that the compiler does not know what lies between the markers. */
__declspec(allocate(".CRT$XCZ")) volatile STEP End = NULL;
__declspec(allocate(".CRT$XCN")) volatile STEP Later = Second;
__declspec(allocate(".CRT$XCM")) volatile STEP Sooner = First;
__declspec(allocate(".CRT$XCA")) volatile STEP Begin = NULL;

#define TELL(format, ...) DbgPrint("told: " format "\n", __VA_ARGS__)

DRIVER_INITIALIZE DriverEntry;
DRIVER_UNLOAD Unload;
#ifdef ALLOC_PRAGMA
#pragma alloc_text(INIT, DriverEntry)
#endif

VOID Unload(PDRIVER_OBJECT Driver)
{
    UNREFERENCED_PARAMETER(Driver);
    PAGED_CODE()
}

NTSTATUS DriverEntry(PDRIVER_OBJECT Driver, PUNICODE_STRING Path)
{
    OBJECT_ATTRIBUTES attributes;
    volatile STEP *step;

    InitializeObjectAttributes(&attributes, Path, OBJ_KERNEL_HANDLE, NULL, NULL)
    for (step = &Begin; step <= &End; step++)
        if (*step)
            (*step)();
    TELL("nothing");
    TELL("%u", Steps);
    DbgPrint("in " __FUNCTION__ "\n");
    Driver->DriverUnload = Unload;
    return attributes.Length == sizeof attributes ? STATUS_SUCCESS : STATUS_HV_NOT_PRESENT;
}
"#,
    );
    for (compiler, form) in [("sys-cc", "sys"), ("so-cc", "so")] {
        let driver = format!("idioms.{form}");
        kit.compile(compiler, &["-O2", "-Wall", "-Werror", "idioms.c", "-o", &driver]);
        let path = kit.path(&driver);
        let path = path.to_str().unwrap();
        let done = output(&["run", "--simulate", "1+0", "--json", "--driver", path]);
        assert!(done.status.success(), "{driver}: {}", stderr(&done));
        let events = common::events(&stdout(&done));
        let said: Vec<_> = of(&events, "said").iter().map(|one| one["text"].clone()).collect();
        assert_eq!(said[..2], ["told: nothing", "told: 12"], "{driver}: {events:#?}");
        // Clang before version 19 has no function's name here.
        let last = said[2].as_str().unwrap();
        assert!(["in DriverEntry", "in idioms.c"].contains(&last), "{driver}: {last}");
    }
}

#[test]
fn a_function_without_a_declaration_does_not_compile() {
    let kit = Kit::new();
    kit.file(
        "undeclared.c",
        "#include <ntddk.h>\nNTSTATUS DriverEntry(PDRIVER_OBJECT Driver, PUNICODE_STRING Path)\n\
         { UNREFERENCED_PARAMETER(Driver); UNREFERENCED_PARAMETER(Path); return KeNobodyDeclaresThis(); }\n",
    );
    for compiler in ["sys-cc", "so-cc"] {
        let mut command = Command::new(kit.path("kit/bin").join(compiler));
        let done =
            command.current_dir(kit.folder.path()).args(["-c", "undeclared.c"]).output().unwrap();
        assert!(!done.status.success(), "{compiler}");
        assert!(stderr(&done).contains("KeNobodyDeclaresThis"), "{compiler}: {}", stderr(&done));
    }
}
