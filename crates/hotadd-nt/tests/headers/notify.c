/* Processors and their notification, as on the pages of KeRegisterProcessorChangeCallback and about groups. */
#include <ntddk.h>

extern PROCESSOR_CALLBACK_FUNCTION Callback;
extern PVOID Handle;
extern NTSTATUS Query(VOID);
extern NTSTATUS Relations(VOID);
extern VOID OnEach(VOID);
extern ULONG_PTR NTAPI Broadcast(ULONG_PTR Argument);
extern NTSTATUS Register(VOID);

PVOID Handle;

VOID NTAPI Callback(PVOID CallbackContext, PKE_PROCESSOR_CHANGE_NOTIFY_CONTEXT ChangeContext,
                    PNTSTATUS OperationStatus)
{
    PULONG seen = (PULONG)CallbackContext;

    switch (ChangeContext->State) {
    case KeProcessorAddStartNotify:
        if (ChangeContext->NtNumber > 63 || ChangeContext->ProcNumber.Group > 0)
            *OperationStatus = STATUS_NOT_SUPPORTED;
        break;
    case KeProcessorAddCompleteNotify:
        seen[ChangeContext->NtNumber] = ChangeContext->ProcNumber.Number;
        break;
    case KeProcessorAddFailureNotify:
        if (!NT_SUCCESS(ChangeContext->Status))
            seen[ChangeContext->NtNumber] = 0;
        break;
    default:
        break;
    }
}

NTSTATUS Register(VOID)
{
    static ULONG context[64];
    UNICODE_STRING name;
    PVOID routine;

    RtlInitUnicodeString(&name, L"KeRegisterProcessorChangeCallback");
    routine = MmGetSystemRoutineAddress(&name);
    if (routine == NULL)
        return STATUS_NOT_IMPLEMENTED;
    Handle = KeRegisterProcessorChangeCallback(Callback, context, KE_PROCESSOR_CHANGE_ADD_EXISTING);
    if (Handle == NULL)
        return STATUS_UNSUCCESSFUL;
    KeDeregisterProcessorChangeCallback(Handle);
    return STATUS_SUCCESS;
}

NTSTATUS Query(VOID)
{
    PROCESSOR_NUMBER number = {0, 0, 0};
    GROUP_AFFINITY affinity, previous;
    KAFFINITY active;
    USHORT group, count;
    ULONG i;
    ULONG total = KeQueryActiveProcessorCount(&active) + KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS) +
                  KeQueryMaximumProcessorCount() + KeQueryMaximumProcessorCountEx(0);

    for (group = 0; group < KeQueryActiveGroupCount() && group < KeQueryMaximumGroupCount(); group++)
        active |= KeQueryGroupAffinity(group) & KeQueryActiveProcessors();
    for (i = 0; i < total; i++) {
        NTSTATUS status = KeGetProcessorNumberFromIndex(i, &number);

        if (!NT_SUCCESS(status))
            return status;
        if (KeGetProcessorIndexFromNumber(&number) == INVALID_PROCESSOR_INDEX)
            return STATUS_INVALID_PARAMETER;
        RtlZeroMemory(&affinity, sizeof(affinity));
        affinity.Group = number.Group;
        affinity.Mask = (KAFFINITY)1 << number.Number;
        KeSetSystemGroupAffinityThread(&affinity, &previous);
        if (KeGetCurrentProcessorNumberEx(&number) != i || KeGetCurrentProcessorNumber() != i)
            total--;
        KeRevertToUserGroupAffinityThread(&previous);
        KeSetSystemAffinityThread(active);
        KeRevertToUserAffinityThread();
        KeRevertToUserAffinityThreadEx(KeSetSystemAffinityThreadEx(active));
    }
    for (group = 0; group <= KeQueryHighestNodeNumber(); group++)
        KeQueryNodeActiveAffinity(group, &affinity, &count);
    return STATUS_SUCCESS;
}

NTSTATUS Relations(VOID)
{
    PSYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX information, next;
    ULONG length = 0, cores = 0, threads = 0, offset;
    NTSTATUS status = KeQueryLogicalProcessorRelationship(NULL, RelationAll, NULL, &length);

    if (status != STATUS_INFO_LENGTH_MISMATCH)
        return STATUS_UNSUCCESSFUL;
    information = (PSYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX)ExAllocatePoolWithTag(PagedPool, length, 'leR ');
    if (information == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    status = KeQueryLogicalProcessorRelationship(NULL, RelationAll, information, &length);
    for (offset = 0; NT_SUCCESS(status) && offset < length; offset += next->Size) {
        next = (PSYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX)((PUCHAR)information + offset);
        switch (next->Relationship) {
        case RelationProcessorCore:
            cores++;
            if (next->Processor.Flags == LTP_PC_SMT)
                threads += next->Processor.GroupCount;
            break;
        case RelationCache:
            threads += next->Cache.Level == 3 && next->Cache.GroupMask.Mask != 0;
            break;
        case RelationNumaNode:
            cores += next->NumaNode.NodeNumber;
            break;
        case RelationGroup:
            cores += next->Group.GroupInfo[0].ActiveProcessorCount;
            break;
        default:
            break;
        }
    }
    ExFreePoolWithTag(information, 'leR ');
    return cores + threads ? status : STATUS_NOT_FOUND;
}

ULONG_PTR NTAPI Broadcast(ULONG_PTR Argument)
{
    return Argument + 1;
}

VOID OnEach(VOID)
{
    KeStallExecutionProcessor((ULONG)KeIpiGenericCall(Broadcast, 1));
}
