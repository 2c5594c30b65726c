/*
 * Has a table for the processors that are active when it is loaded, and checks the index. No memory is damaged, but every
 * processor that is added later lies beyond the table and is refused.
 */
#include "zoo.h"

static NTSTATUS Start(PCHANGE Change)
{
    if (Change->NtNumber >= Maximum)
        return STATUS_INVALID_PARAMETER;
    return ZooStart(Change);
}

static NTSTATUS Load(VOID)
{
    /* The fault: the table must have room for the processors to come. */
    return ZooLoadWith(KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS), KE_PROCESSOR_CHANGE_ADD_EXISTING);
}

static VOID Complete(PCHANGE Change)
{
    if (Change->NtNumber < Maximum)
        ZooComplete(Change);
}

static VOID Failure(PCHANGE Change)
{
    if (Change->NtNumber < Maximum)
        ZooFailure(Change);
}

ZOO_CALLBACK(Start, Complete, Failure)
ZOO_DRIVER(Load, ZooUnload)
