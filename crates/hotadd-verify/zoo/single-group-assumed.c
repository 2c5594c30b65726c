/*
 * Divides its memory by the number of processors of group 0. On a machine with 256 processors each gets four times its
 * share.
 */
#include "zoo.h"

#define MEMORY (64 * 1024 * 1024)

static ULONG Share;

static VOID Complete(PCHANGE Change)
{
    ZooComplete(Change);
    DbgPrint("zoo: processor %lu may use %lu bytes\n", Change->NtNumber, Share);
}

static NTSTATUS Load(VOID)
{
    /* The fault: without a group as argument, this means group 0. */
    Share = MEMORY / KeQueryMaximumProcessorCount();
    return ZooLoad();
}

ZOO_CALLBACK(ZooStart, Complete, ZooFailure)
ZOO_DRIVER(Load, ZooUnload)
