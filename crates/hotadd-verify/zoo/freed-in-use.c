/*
 * Sets a timer in AddStart, which reports a processor that takes too long, and cancels it only if the processor joins. If
 * it does not, the block is freed with the timer in it: the system's list of timers leads into freed memory.
 */
#define BLOCK_HAS KTIMER Timer; KDPC Late;
#include "zoo.h"

static KDEFERRED_ROUTINE TooLate;

static VOID NTAPI TooLate(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    DbgPrint("zoo: processor %lu takes too long\n", ((PBLOCK)Context)->Index);
}

static NTSTATUS Start(PCHANGE Change)
{
    NTSTATUS status = ZooStart(Change);
    PBLOCK block = Blocks[Change->NtNumber];

    if (!NT_SUCCESS(status))
        return status;
    KeInitializeTimer(&block->Timer);
    KeInitializeDpc(&block->Late, TooLate, block);
    KeSetTimer(&block->Timer, ZooMilliseconds(60000), &block->Late);
    return STATUS_SUCCESS;
}

static VOID Complete(PCHANGE Change)
{
    KeCancelTimer(&Blocks[Change->NtNumber]->Timer);
    ZooComplete(Change);
}

/* The fault: ZooFailure frees the block, and the timer is still set. */
ZOO_CALLBACK(Start, Complete, ZooFailure)
ZOO_DRIVER(ZooLoad, ZooUnload)
