/*
 * Assumes that a processor that was announced always joins, and stops the system otherwise.
 */
#include "zoo.h"

static VOID Failure(PCHANGE Change)
{
    /* The fault: AddFailure is an ordinary outcome. */
    KeBugCheckEx(MANUALLY_INITIATED_CRASH, Change->NtNumber, (ULONG_PTR)Change->Status, 0, 0);
}

ZOO_CALLBACK(ZooStart, ZooComplete, Failure)
ZOO_DRIVER(ZooLoad, ZooUnload)
