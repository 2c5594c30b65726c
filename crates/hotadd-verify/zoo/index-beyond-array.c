/*
 * Has counters for 64 processors, and uses them without checking the index. On a larger machine it writes to what lies
 * behind them in its image, or beyond the image.
 */
#include "zoo.h"

typedef struct _COUNTERS {
    ULONG64 Joined;
    ULONG64 Unused[63]; /* so that processors do not share a cache line */
} COUNTERS;

/* The fault: there can be more processors. */
static COUNTERS Counters[64];

static VOID Complete(PCHANGE Change)
{
    ZooComplete(Change);
    Counters[Change->NtNumber].Joined++;
}

ZOO_CALLBACK(ZooStart, Complete, ZooFailure)
ZOO_DRIVER(ZooLoad, ZooUnload)
