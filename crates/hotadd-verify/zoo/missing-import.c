/*
 * Calls a function that no version of the system has, and has it as an import. Windows does not load such a driver.
 */
#include "zoo.h"

/* The fault: ../../hotadd-nt/samples/import.def has it as a function of ntoskrnl.exe. */
extern VOID NTAPI KeNobodyProvidesThis(VOID);

static NTSTATUS Start(PCHANGE Change)
{
    KeNobodyProvidesThis();
    return ZooStart(Change);
}

ZOO_CALLBACK(Start, ZooComplete, ZooFailure)
ZOO_DRIVER(ZooLoad, ZooUnload)
