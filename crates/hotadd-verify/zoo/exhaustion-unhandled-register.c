/*
 * Is loaded although its registration failed. It is never told of a processor, and has no blocks for the existing ones
 * either.
 */
#include "zoo.h"

static NTSTATUS Load(VOID)
{
    NTSTATUS status = ZooMakeTable(ZooMaximum());

    if (!NT_SUCCESS(status))
        return status;
    if (!NT_SUCCESS(ZooRegister(KE_PROCESSOR_CHANGE_ADD_EXISTING)))
        DbgPrint("zoo: not registered\n");
    /* The fault: the table must be freed, and the error returned. */
    return STATUS_SUCCESS;
}

static VOID Unload(VOID)
{
    if (Registration != NULL)
        KeDeregisterProcessorChangeCallback(Registration);
    ZooFreeTable();
}

ZOO_CALLBACK(ZooStart, ZooComplete, ZooFailure)
ZOO_DRIVER(Load, Unload)
