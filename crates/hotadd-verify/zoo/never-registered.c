/*
 * Makes its table and does not register. The new processors of a machine that grows run this driver's code without
 * having a block.
 */
#include "zoo.h"

static NTSTATUS Load(VOID)
{
    /* The fault: no ZooRegister. */
    return ZooMakeTable(ZooMaximum());
}

ZOO_CALLBACK(ZooStart, ZooComplete, ZooFailure)
ZOO_DRIVER(Load, ZooFreeTable)
