/*
 * Deregisters twice at its unload. The second time the handle is closed: the system stops, or another driver that got
 * the same handle meanwhile is not told of processors any more.
 */
#include "zoo.h"

static VOID Unload(VOID)
{
    KeDeregisterProcessorChangeCallback(Registration);
    /* The fault: this deregisters too. */
    ZooUnload();
}

ZOO_CALLBACK(ZooStart, ZooComplete, ZooFailure)
ZOO_DRIVER(ZooLoad, Unload)
