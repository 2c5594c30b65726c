/*
 * Waits in AddFailure for the DPC of the processor that did not join, so as not to free its block too early. The DPC was
 * never queued. No processor is added any more.
 */
#include "zoo.h"

static VOID Failure(PCHANGE Change)
{
    /* The fault: AddComplete queues the DPC, and it did not come. */
    if (Blocks[Change->NtNumber] != NULL)
        KeWaitForSingleObject(&Blocks[Change->NtNumber]->Ran, Executive, KernelMode, FALSE, NULL);
    ZooFailure(Change);
}

ZOO_CALLBACK(ZooStart, ZooComplete, Failure)
ZOO_DRIVER(ZooLoad, ZooUnload)
