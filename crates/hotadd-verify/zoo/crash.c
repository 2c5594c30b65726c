/*
 * Divides by the number of processors that a group had when the driver was loaded. For the first processor of a new
 * group this is a division by zero, and the system stops.
 */
#include "zoo.h"

#define MEMORY (64 * 1024 * 1024)

static PULONG Active; /* by group */

static NTSTATUS Start(PCHANGE Change)
{
    /* The fault: the count may be 0. */
    ULONG share = MEMORY / Active[Change->ProcNumber.Group];

    DbgPrint("zoo: processor %lu may use %lu bytes\n", Change->NtNumber, share);
    return ZooStart(Change);
}

static NTSTATUS Load(VOID)
{
    USHORT groups = KeQueryMaximumGroupCount(), group;
    NTSTATUS status;

    Active = (PULONG)ZooAllocate(groups * sizeof(*Active));
    if (Active == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    for (group = 0; group < groups; group++)
        Active[group] = KeQueryActiveProcessorCountEx(group);
    status = ZooLoad();
    if (!NT_SUCCESS(status))
        ZooFree(Active);
    return status;
}

static VOID Unload(VOID)
{
    ZooUnload();
    ZooFree(Active);
}

ZOO_CALLBACK(Start, ZooComplete, ZooFailure)
ZOO_DRIVER(Load, Unload)
