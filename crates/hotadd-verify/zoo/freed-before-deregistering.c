/*
 * Frees its table first and deregisters afterwards. If a processor is added between the two, the callback writes to freed
 * memory. This happens once in a thousand unloads, and never in a test.
 */
#include "zoo.h"

static VOID Unload(VOID)
{
    /* The fault: the wrong order. */
    ZooFreeTable();
    KeDeregisterProcessorChangeCallback(Registration);
}

ZOO_CALLBACK(ZooStart, ZooComplete, ZooFailure)
ZOO_DRIVER(ZooLoad, Unload)
