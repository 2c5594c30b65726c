/* No processor joins this program before the program is ready for it.
 *
 * KeRegisterProcessorChangeCallback and the queries around it, as Windows documents them for drivers, for programs on
 * Linux. A callback registers and hears of every processor; before one joins it is asked, and may refuse.
 *
 * The processors are those of this process and its children, beginning with those that its threads may run on together
 * (or with what hotadd_start_on says); or those of the partition that hotadd_connect names. From the first of these calls
 * on the process is held to its processors: the masks of its threads are set, and one that reaches outside is put back.
 * What comes later is asked for, and joins if every callback agrees. A processor is called by its index (dense, in the
 * order in which they joined), by group and number (64 to a group), and by Linux's own number, here `id`.
 *
 * All functions may be called from any thread. Inside a callback registering and adding are refused with
 * STATUS_POSSIBLE_DEADLOCK; queries and deregistering work.
 *
 * Link with -lhotadd (pkg-config: hotadd). x86-64 only. Not for use together with wdm.h.
 */
#ifndef HOTADD_H
#define HOTADD_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef void *PVOID;
typedef int32_t NTSTATUS, *PNTSTATUS;
typedef uint16_t USHORT;
typedef uint32_t ULONG;
typedef uint64_t KAFFINITY, *PKAFFINITY;

/* An error is what is negative: STATUS_UNSUCCESSFUL, STATUS_INSUFFICIENT_RESOURCES and others of 0xC0000000. */
#define NT_SUCCESS(status) ((NTSTATUS)(status) >= 0)
#define STATUS_SUCCESS ((NTSTATUS)0x00000000)
#define STATUS_UNSUCCESSFUL ((NTSTATUS)0xC0000001)
#define STATUS_INVALID_PARAMETER ((NTSTATUS)0xC000000D)
#define STATUS_INSUFFICIENT_RESOURCES ((NTSTATUS)0xC000009A)
#define STATUS_POSSIBLE_DEADLOCK ((NTSTATUS)0xC0000194)

typedef struct _PROCESSOR_NUMBER {
    uint16_t Group;
    uint8_t Number;
    uint8_t Reserved;
} PROCESSOR_NUMBER, *PPROCESSOR_NUMBER;

typedef enum _KE_PROCESSOR_CHANGE_NOTIFY_STATE {
    KeProcessorAddStartNotify = 0, /* It is coming: prepare, or refuse. */
    KeProcessorAddCompleteNotify,  /* It is here, and may run this program already. */
    KeProcessorAddFailureNotify    /* It did not come: undo. */
} KE_PROCESSOR_CHANGE_NOTIFY_STATE;

typedef struct _KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT {
    KE_PROCESSOR_CHANGE_NOTIFY_STATE State;
    ULONG NtNumber; /* The index. */
    NTSTATUS Status; /* In AddFailure, why. */
    PROCESSOR_NUMBER ProcNumber;
} KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT, *PKE_PROCESSOR_CHANGE_NOTIFY_CONTEXT;

/* In AddStart *OperationStatus is STATUS_SUCCESS; setting it to an error refuses the processor. */
typedef void PROCESSOR_CALLBACK_FUNCTION(PVOID CallbackContext, PKE_PROCESSOR_CHANGE_NOTIFY_CONTEXT ChangeContext,
                                         PNTSTATUS OperationStatus);
typedef PROCESSOR_CALLBACK_FUNCTION *PPROCESSOR_CALLBACK_FUNCTION;

/* The callback also hears of every processor that is active already, before registering returns. Windows defines no field that would
 * tell these calls from those about a processor that is being added, and so there is none. */
#define KE_PROCESSOR_CHANGE_ADD_EXISTING 1

/* A handle; or NULL, if the callback refused an active processor or could not be registered. */
PVOID KeRegisterProcessorChangeCallback(PPROCESSOR_CALLBACK_FUNCTION CallbackFunction, PVOID CallbackContext,
                                        ULONG Flags);
/* When it returns, the callback is not running and is not called again. */
void KeDeregisterProcessorChangeCallback(PVOID CallbackHandle);

#define ALL_PROCESSOR_GROUPS 0xffff
#define INVALID_PROCESSOR_INDEX 0xffffffffU

ULONG KeQueryActiveProcessorCountEx(USHORT GroupNumber);
ULONG KeQueryMaximumProcessorCountEx(USHORT GroupNumber);
USHORT KeQueryActiveGroupCount(void);
USHORT KeQueryMaximumGroupCount(void);
KAFFINITY KeQueryGroupAffinity(USHORT GroupNumber);
NTSTATUS KeGetProcessorNumberFromIndex(ULONG ProcIndex, PPROCESSOR_NUMBER ProcNumber);
ULONG KeGetProcessorIndexFromNumber(PPROCESSOR_NUMBER ProcNumber);
/* The index of the processor that this thread runs on, at this moment. ProcNumber may be NULL. */
ULONG KeGetCurrentProcessorNumberEx(PPROCESSOR_NUMBER ProcNumber);

/* What Windows leaves to the machine. Each returns a status; hotadd_error has the sentence. */

/* Begins with these processors of this process and its children, a list such as "0-3,8", instead of all that its
 * threads may run on. To be called before any other function here. */
NTSTATUS hotadd_start_on(const char *cpus);
/* Uses the partition that another process has under this name (`hotadd run --name NAME`), or at this path, instead of
 * this process's own. To be called before any other function here. */
NTSTATUS hotadd_connect(const char *name);
/* Lets cpuID join, if every callback agrees. */
NTSTATUS hotadd_add(uint32_t id);
/* Lets cpuID leave. */
NTSTATUS hotadd_remove(uint32_t id);
/* How many processors could be added now; the first `length` of them in `ids`, which may be NULL. (size_t)-1 if this
 * cannot be told; hotadd_error has the sentence. */
size_t hotadd_candidates(uint32_t *ids, size_t length);
/* Why the last of these failed on this thread: who refused, and the reason. Good until the next one fails. */
const char *hotadd_error(void);

#ifdef __cplusplus
}
#endif
#endif
