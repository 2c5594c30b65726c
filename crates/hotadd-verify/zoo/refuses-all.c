/*
 * Has no code for new processors, and refuses each of them. While it is loaded, the machine cannot grow.
 */
#include "zoo.h"

static NTSTATUS Start(PCHANGE Change)
{
    UNREFERENCED_PARAMETER(Change);
    /* The fault: this is so for every processor. */
    return STATUS_NOT_SUPPORTED;
}

/* The existing processors are not announced: it would refuse them too. */
static NTSTATUS Load(VOID)
{
    return ZooLoadWith(ZooMaximum(), 0);
}

ZOO_CALLBACK(Start, ZooComplete, ZooFailure)
ZOO_DRIVER(Load, ZooUnload)
