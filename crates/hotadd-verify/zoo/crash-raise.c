/*
 * Raises an exception in AddFailure, which nobody handles. The system stops with KMODE_EXCEPTION_NOT_HANDLED.
 */
#include "zoo.h"

static VOID Failure(PCHANGE Change)
{
    NTSTATUS reason = Change->Status;

    ZooFailure(Change);
    /* The fault: a callback must return. */
    ExRaiseStatus(reason);
}

ZOO_CALLBACK(ZooStart, ZooComplete, Failure)
ZOO_DRIVER(ZooLoad, ZooUnload)
