/*
 * Raises the IRQL to stay on one processor while it looks which one that is, and does not lower it. The next driver is
 * called at DISPATCH_LEVEL, where it may not wait.
 */
#include "zoo.h"

static VOID Complete(PCHANGE Change)
{
    KIRQL old;

    ZooComplete(Change);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    DbgPrint("zoo: processor %lu joined, seen on %lu\n", Change->NtNumber, KeGetCurrentProcessorNumberEx(NULL));
    /* The fault: KeLowerIrql(old) is missing. */
}

ZOO_CALLBACK(ZooStart, Complete, ZooFailure)
ZOO_DRIVER(ZooLoad, ZooUnload)
