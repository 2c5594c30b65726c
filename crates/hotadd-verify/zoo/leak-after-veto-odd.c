/*
 * Does not want the second thread of a core, which has an odd number, and finds that out when it has already prepared
 * for the processor. The block stays in the table, and the next attempt puts another in its place.
 */
#include "zoo.h"

static NTSTATUS Start(PCHANGE Change)
{
    NTSTATUS status = ZooStart(Change);

    /* The fault: the block must be freed first. */
    if (NT_SUCCESS(status) && Change->ProcNumber.Number % 2 != 0)
        status = STATUS_NOT_SUPPORTED;
    return status;
}

/* The existing processors are not announced: it would refuse half of them. */
static NTSTATUS Load(VOID)
{
    return ZooLoadWith(ZooMaximum(), 0);
}

ZOO_CALLBACK(Start, ZooComplete, ZooFailure)
ZOO_DRIVER(Load, ZooUnload)
