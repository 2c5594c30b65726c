/* Registers in another process's partition, and stays until its stdin ends. */
#include <hotadd.h>
#include <stdio.h>

static void changed(PVOID context, PKE_PROCESSOR_CHANGE_NOTIFY_CONTEXT change, PNTSTATUS status)
{
    PROCESSOR_NUMBER number;
    NTSTATUS named = KeGetProcessorNumberFromIndex(change->NtNumber, &number);
    PVOID inside = KeRegisterProcessorChangeCallback(changed, context, 0);

    if (change->State == KeProcessorAddStartNotify && change->NtNumber == 66)
        *status = STATUS_UNSUCCESSFUL;
    printf("%d %u %u:%u %s of %u%s\n", (int)change->State, change->NtNumber, number.Group, number.Number,
           NT_SUCCESS(named) ? "named" : "unnamed", KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS),
           inside == NULL ? "" : " and registered inside");
    fflush(stdout);
}

int main(int count, char **arguments)
{
    PVOID handle;

    if (count != 2 || !NT_SUCCESS(hotadd_connect(arguments[1]))) {
        printf("not connected: %s\n", hotadd_error());
        return 1;
    }
    if (NT_SUCCESS(hotadd_connect(arguments[1])))
        printf("connected twice\n");
    handle = KeRegisterProcessorChangeCallback(changed, NULL, 0);
    printf("%s\n", handle == NULL ? "not registered" : "registered");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    KeDeregisterProcessorChangeCallback(handle);
    KeDeregisterProcessorChangeCallback(handle);
    return 0;
}
