/*
 * Frees the blocks at its unload, but not the table that has their addresses. Each time that the driver is replaced by a
 * newer one, the machine loses a table.
 */
#include "zoo.h"

static VOID Unload(VOID)
{
    KeDeregisterProcessorChangeCallback(Registration);
    /* The fault: not ZooFreeTable. */
    ZooFreeBlocks();
}

ZOO_CALLBACK(ZooStart, ZooComplete, ZooFailure)
ZOO_DRIVER(ZooLoad, Unload)
