/* A block of memory for each processor, ready before the processor is. */
#include <hotadd.h>
#include <stdio.h>
#include <stdlib.h>

#define BLOCK 4096
#define MOST 2048

static void *blocks[MOST];
static ULONG refused = INVALID_PROCESSOR_INDEX;

static void changed(PVOID context, PKE_PROCESSOR_CHANGE_NOTIFY_CONTEXT change, PNTSTATUS status)
{
    ULONG index = change->NtNumber;
    (void)context;
    switch (change->State) {
    case KeProcessorAddStartNotify:
        blocks[index] = index == refused ? NULL : malloc(BLOCK);
        if (blocks[index] == NULL)
            *status = STATUS_INSUFFICIENT_RESOURCES;
        printf("processor %u is coming: %s\n", index, blocks[index] == NULL ? "no" : "yes");
        break;
    case KeProcessorAddCompleteNotify:
        printf("processor %u is here, one of %u\n", index, KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS));
        break;
    case KeProcessorAddFailureNotify:
        printf("processor %u did not come (0x%08X)\n", index, (unsigned)change->Status);
        free(blocks[index]);
        blocks[index] = NULL;
        break;
    }
}

/* Begins on cpu0, and adds every other processor there is. An argument is the index of one to refuse. */
int main(int count, char **arguments)
{
    uint32_t ids[MOST];
    size_t found;
    PVOID handle;

    if (count > 1)
        refused = (ULONG)strtoul(arguments[1], NULL, 10);
    if (!NT_SUCCESS(hotadd_start_on("0"))) {
        fprintf(stderr, "no partition: %s\n", hotadd_error());
        return 1;
    }
    handle = KeRegisterProcessorChangeCallback(changed, NULL, KE_PROCESSOR_CHANGE_ADD_EXISTING);
    if (handle == NULL) {
        fprintf(stderr, "the callback was not registered\n");
        return 1;
    }
    found = hotadd_candidates(ids, MOST);
    for (size_t i = 0; i < found && i < MOST; i++)
        if (!NT_SUCCESS(hotadd_add(ids[i])))
            printf("cpu%u: %s\n", ids[i], hotadd_error());
    KeDeregisterProcessorChangeCallback(handle);
    return 0;
}
