/*
 * Gives its DPC an importance that does not exist. What the system makes of it is not documented.
 */
#include "zoo.h"

static NTSTATUS Start(PCHANGE Change)
{
    NTSTATUS status = ZooStart(Change);

    /* The fault: LowImportance to MediumHighImportance are 0 to 3. */
    if (NT_SUCCESS(status))
        KeSetImportanceDpc(&Blocks[Change->NtNumber]->Dpc, (KDPC_IMPORTANCE)7);
    return status;
}

ZOO_CALLBACK(Start, ZooComplete, ZooFailure)
ZOO_DRIVER(ZooLoad, ZooUnload)
