/*
 * Does not check whether there was memory for its table. The system stops while it starts.
 */
#include "zoo.h"

static NTSTATUS Load(VOID)
{
    SIZE_T size;

    Maximum = ZooMaximum();
    size = Maximum * sizeof(PBLOCK);
    Blocks = (PBLOCK *)ZooAllocate(size);
    /* The fault: Blocks may be NULL. */
    RtlZeroMemory(Blocks, size);
    if (NT_SUCCESS(ZooRegister(KE_PROCESSOR_CHANGE_ADD_EXISTING)))
        return STATUS_SUCCESS;
    ZooFreeTable();
    return Refusal;
}

ZOO_CALLBACK(ZooStart, ZooComplete, ZooFailure)
ZOO_DRIVER(Load, ZooUnload)
