/*
 * Registers with a flag that does not exist. Windows ignores it today. A later Windows may refuse it or give it a meaning.
 */
#include "zoo.h"

/* The fault: no header has such a flag. */
#define TELL_OF_REMOVALS 2

static NTSTATUS Load(VOID)
{
    return ZooLoadWith(ZooMaximum(), KE_PROCESSOR_CHANGE_ADD_EXISTING | TELL_OF_REMOVALS);
}

ZOO_CALLBACK(ZooStart, ZooComplete, ZooFailure)
ZOO_DRIVER(Load, ZooUnload)
