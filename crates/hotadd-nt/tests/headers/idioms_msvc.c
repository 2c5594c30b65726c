/* What drivers write for Microsoft's compiler: declspecs, pragmas, macros without their semicolon. */
#include <ntddk.h>
#include <initguid.h>
#include <poclass.h>
#include <wdmguid.h>

#define INIT_FUNCTION __declspec(code_seg("INIT"))
#define LOG(format, ...) DbgPrint("driver: " format "\n", ##__VA_ARGS__)
#define TAG 'gaTD'
#ifdef __cplusplus
#define SAME(a, b) IsEqualGUID(a, b)
#else
#define SAME(a, b) IsEqualGUID(&(a), &(b))
#endif

#pragma warning(push)
#pragma warning(disable : 4100 4201 4214)
#pragma warning(suppress : 28157)
#pragma prefast(disable : 28146, "a word why")
__pragma(warning(push)) __pragma(warning(disable : 4127))

#include <pshpack1.h>
typedef struct _PACKED {
    UCHAR Byte;
    ULONG Number;
} PACKED;
#include <poppack.h>
#include <pshpack2.h>
typedef struct _PACKED2 {
    UCHAR Byte;
    ULONG Number;
} PACKED2;
#include <poppack.h>

static_assert(sizeof(PACKED) == 5 && sizeof(PACKED2) == 6, "packed");
static_assert(sizeof(ULONG) == 4, "static_assert without assert.h");
C_ASSERT(_countof("abc") == 4);

typedef __declspec(align(64)) struct _ALIGNED {
    LONG Value;
} ALIGNED;
__declspec(selectany) ULONG Once = 1;
__declspec(noinline) VOID NotInlined(VOID);
__declspec(noreturn) VOID Never(VOID);
__declspec(dllexport) VOID Exported(VOID);
static __forceinline ULONG Inlined(ULONG a) { return a; }
FORCEINLINE ULONG Inlined2(ULONG a);
FORCEINLINE ULONG Inlined2(ULONG a) { return a + 1; }

EXTERN_C DRIVER_INITIALIZE DriverEntry;
EXTERN_C VOID Pageable(_In_ const ULONG Number);
EXTERN_C INIT_FUNCTION VOID Initial(VOID);
#ifdef ALLOC_PRAGMA
#pragma alloc_text(INIT, DriverEntry)
#pragma alloc_text(PAGE, Pageable)
#endif

DECLARE_CONST_UNICODE_STRING(DeviceName, L"\\Device\\Sample");
static const UNICODE_STRING LinkName = RTL_CONSTANT_STRING(L"\\DosDevices\\Sample");
static ANSI_STRING Narrow = RTL_CONSTANT_STRING("narrow");

#pragma code_seg(push, "PAGE")
VOID Pageable(_In_ const ULONG Number)
{
    ULONG unused;

    PAGED_CODE()
    UNREFERENCED_PARAMETER(Number);
    UNREFERENCED_LOCAL_VARIABLE(unused = 1);
    LOG("no argument");
    LOG("%lu and %ws", Inlined(1), LinkName.Buffer);
}
#pragma code_seg(pop)

VOID NotInlined(VOID)
{
    PAGED_CODE();
    KdPrint(("%Z\n", &Narrow));
    UNREFERENCED_PARAMETER(Narrow);
    KdPrintEx((DPFLTR_IHVDRIVER_ID, DPFLTR_ERROR_LEVEL, "%u\n", 1));
}

VOID Never(VOID)
{
    KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, (ULONG_PTR)Once, 0, 0, 0);
}

VOID Exported(VOID)
{
    __noop("dropped", 1);
    __assume(Once != 0);
}

VOID Initial(VOID)
{
    if (SAME(GUID_DEVICE_PROCESSOR, GUID_DEVICE_MEMORY) ||
        SAME(GUID_DEVICE_INTERFACE_ARRIVAL, GUID_DEVICE_INTERFACE_REMOVAL))
        Never();
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PVOID block = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(ALIGNED), TAG);
    UNICODE_STRING path = *RegistryPath;

    UNREFERENCED_PARAMETER(DriverObject);
    if (!block)
        return STATUS_INSUFFICIENT_RESOURCES;
    ExFreePoolWithTag(block, TAG);
    Initial();
    Pageable(path.Length);
    NotInlined();
    Exported();
    return RtlEqualUnicodeString(&DeviceName, &path, TRUE) ? STATUS_SUCCESS : STATUS_NOT_FOUND;
}
__pragma(warning(pop))
#pragma warning(pop)
