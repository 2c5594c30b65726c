/* Refuses processors in another process's partition, each time with the next status of its stdin, and says what became of it. */
#include <hotadd.h>
#include <stdio.h>
#include <stdlib.h>

static NTSTATUS next;

static void changed(PVOID context, PKE_PROCESSOR_CHANGE_NOTIFY_CONTEXT change, PNTSTATUS status)
{
    (void)context;
    if (change->State == KeProcessorAddStartNotify)
        *status = next;
}

int main(int count, char **arguments)
{
    uint32_t id = count == 3 ? (uint32_t)atoi(arguments[2]) : 0;
    unsigned status;

    if (id == 0 || !NT_SUCCESS(hotadd_connect(arguments[1])))
        return 1;
    if (KeRegisterProcessorChangeCallback(changed, NULL, 0) == NULL)
        return 1;
    while (scanf("%x", &status) == 1) {
        NTSTATUS added;

        next = (NTSTATUS)status;
        added = hotadd_add(id);
        printf("%08X %08X\n", status, (unsigned)added);
        if (NT_SUCCESS(added))
            hotadd_remove(id);
    }
    return 0;
}
