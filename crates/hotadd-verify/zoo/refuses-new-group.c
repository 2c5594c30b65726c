/*
 * Accepts processors only of the groups that had processors when it was loaded. A machine that was started with 64
 * processors can never have a 65th.
 */
#include "zoo.h"

static USHORT Groups;

static NTSTATUS Start(PCHANGE Change)
{
    /* The fault: a group may get its first processor later. */
    if (Change->ProcNumber.Group >= Groups)
        return STATUS_NOT_SUPPORTED;
    return ZooStart(Change);
}

static NTSTATUS Load(VOID)
{
    Groups = KeQueryActiveGroupCount();
    return ZooLoad();
}

ZOO_CALLBACK(Start, ZooComplete, ZooFailure)
ZOO_DRIVER(Load, ZooUnload)
