/* The functions with Windows' names, for programs on Linux.
 *
 * Windows documents KeRegisterProcessorChangeCallback and the related queries for drivers. Here a program calls them.
 * They have no removal notices, no reasons and no descriptor: hotadd.h has these.
 *
 * The functions of this file act on one partition, that of the program: its own (hotadd_partition_process gives it to
 * the functions of hotadd.h), or the one of hotadd_connect. The first call makes the partition.
 *
 * All functions may be called from any thread. Inside a callback, registering, adding and removing are refused with
 * STATUS_POSSIBLE_DEADLOCK; queries and deregistering work. If a function fails for which
 * Windows has no error, the failure is printed to stderr. Not for use together with wdm.h.
 */
#ifndef HOTADD_KE_H
#define HOTADD_KE_H

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

/* A negative status is an error: STATUS_UNSUCCESSFUL, STATUS_INSUFFICIENT_RESOURCES and others from 0x80000000 on. */
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
    KeProcessorAddStartNotify = 0, /* It is about to join: prepare, or refuse. */
    KeProcessorAddCompleteNotify,  /* It has joined, and may already run this program. */
    KeProcessorAddFailureNotify    /* It did not join: undo. */
} KE_PROCESSOR_CHANGE_NOTIFY_STATE;

typedef struct _KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT {
    KE_PROCESSOR_CHANGE_NOTIFY_STATE State;
    ULONG NtNumber; /* The index. */
    NTSTATUS Status; /* In AddFailure, the cause. */
    PROCESSOR_NUMBER ProcNumber;
} KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT, *PKE_PROCESSOR_CHANGE_NOTIFY_CONTEXT;

/* In AddStart *OperationStatus is STATUS_SUCCESS; setting it to an error refuses the processor. */
typedef void PROCESSOR_CALLBACK_FUNCTION(PVOID CallbackContext, PKE_PROCESSOR_CHANGE_NOTIFY_CONTEXT ChangeContext,
                                         PNTSTATUS OperationStatus);
typedef PROCESSOR_CALLBACK_FUNCTION *PPROCESSOR_CALLBACK_FUNCTION;

/* The callback is also notified of every processor that is already active, before registering returns. Windows
 * defines no field that distinguishes these calls from those of an add, so there is none here. */
#define KE_PROCESSOR_CHANGE_ADD_EXISTING 1

/* Returns a handle, or NULL if the callback refused an active processor or could not be registered. */
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

/* Functions that Windows does not have, for the same partition. Each returns a status; hotadd_error has the message. */

/* Begins with these processors, a list such as "0-3,8", instead of all that the threads of this process may run on.
 * Call it before any other function here. */
NTSTATUS hotadd_start_on(const char *cpus);
/* Uses the partition that another process has under this name (`hotadd run --name NAME`), or at this path, instead of
 * this process's own. Call it before any other function here. */
NTSTATUS hotadd_connect(const char *name);
/* Adds cpuID, if every callback agrees. */
NTSTATUS hotadd_add(uint32_t id);
/* Removes cpuID. */
NTSTATUS hotadd_remove(uint32_t id);
/* Returns how many processors could be added now, and puts the first `length` of them into `ids`, which may be NULL.
 * Returns (size_t)-1 on an error; hotadd_error has the message. */
size_t hotadd_candidates(uint32_t *ids, size_t length);

#ifdef __cplusplus
}
#endif
#endif
