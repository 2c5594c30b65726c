/*
 * Has a table for the processors of group 0, and refuses all others.
 */
#include "zoo.h"

static NTSTATUS Start(PCHANGE Change)
{
    if (Change->NtNumber >= Maximum)
        return STATUS_NOT_SUPPORTED;
    return ZooStart(Change);
}

static NTSTATUS Load(VOID)
{
    /* The fault: without a group as argument, this means group 0. */
    return ZooLoadWith(KeQueryMaximumProcessorCount(), KE_PROCESSOR_CHANGE_ADD_EXISTING);
}

static VOID Failure(PCHANGE Change)
{
    if (Change->NtNumber < Maximum)
        ZooFailure(Change);
}

ZOO_CALLBACK(Start, ZooComplete, Failure)
ZOO_DRIVER(Load, ZooUnload)
