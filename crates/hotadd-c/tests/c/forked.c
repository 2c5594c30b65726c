/* A child that was forked cannot use the library, and is told so. Its parent goes on. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include <sys/wait.h>
#include <unistd.h>

static void changed(hotadd_notice *notice, void *data)
{
    (void)notice;
    ++*(int *)data;
}

int main(void)
{
    hotadd_partition *partition = hotadd_partition_simulated(1, 1);
    int heard = 0, status = -1;
    hotadd_registration *registration = hotadd_registration_new(partition, "parent", changed, &heard);
    pid_t child;

    CHECK(hotadd_registration_start(registration) == 0 && heard == 2);
    child = fork();
    if (child == 0) {
        FAILS(hotadd_partition_add(partition, 1), HOTADD_INVALID_DEVICE_STATE, "forked");
        FAILS(hotadd_registration_stop(registration), HOTADD_INVALID_DEVICE_STATE, "forked");
        FAILS(hotadd_registration_free(registration), HOTADD_INVALID_DEVICE_STATE, "forked");
        CHECK(hotadd_partition_simulated(1, 1) == NULL);
        FAILS(hotadd_add(1), HOTADD_INVALID_DEVICE_STATE, "forked");
        CHECK(KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS) == 0 && heard == 2);
        _exit(0);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    CHECK(hotadd_partition_add(partition, 1) == 0 && heard == 4);
    CHECK(hotadd_registration_free(registration) == 0 && hotadd_partition_close(partition) == 0);
    puts("done");
    return 0;
}
