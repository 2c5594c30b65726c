/*
 * Formats a line about each processor by a recursion, one call for each processor. With seven processors it needs more
 * than the 24 KB of a kernel thread's stack, and the system stops with a double fault.
 */
#include "zoo.h"

/* Not inline, and the line is used after the call, so that the compiler makes no loop of it. */
static __attribute__((noinline)) ULONG Count(ULONG Index)
{
    volatile CHAR line[4000];

    line[Index % sizeof(line)] = Blocks[Index] != NULL;
    /* The fault: a loop needs no stack. */
    return (Index == 0 ? 0 : Count(Index - 1)) + line[Index % sizeof(line)];
}

static VOID Complete(PCHANGE Change)
{
    ZooComplete(Change);
    DbgPrint("zoo: %lu blocks\n", Count(Change->NtNumber));
}

ZOO_CALLBACK(ZooStart, Complete, ZooFailure)
ZOO_DRIVER(ZooLoad, ZooUnload)
