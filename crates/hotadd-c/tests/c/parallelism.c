/* The number of threads that a pool should have: at once, by a callback, and by a descriptor. Simulated processors, and this
 * process. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include <poll.h>
#include <unistd.h>

static uint32_t told;

static void changed(uint32_t number, void *data)
{
    told = number;
    /* It may come in the middle of an add. */
    CHECK(hotadd_partition_add(data, 3) == HOTADD_POSSIBLE_DEADLOCK);
}

int main(void)
{
    hotadd_partition *partition = hotadd_partition_simulated(2, 2);
    hotadd_parallelism *parallelism = hotadd_parallelism_new(partition, changed, partition);
    struct pollfd changes = { hotadd_parallelism_fd(parallelism), POLLIN, 0 };
    uint64_t times;

    CHECK(hotadd_parallelism_new(NULL, NULL, NULL) == NULL && hotadd_error_status() == HOTADD_INVALID_HANDLE);
    CHECK(hotadd_parallelism_get(NULL) == 0 && hotadd_parallelism_fd(NULL) == -1);
    hotadd_parallelism_free(NULL);

    CHECK(parallelism != NULL && hotadd_parallelism_get(parallelism) == 2 && told == 0);
    CHECK(poll(&changes, 1, 0) == 0);
    CHECK(hotadd_partition_add(partition, 2) == 0);
    CHECK(hotadd_parallelism_get(parallelism) == 3 && told == 3);
    CHECK(poll(&changes, 1, 0) == 1 && read(changes.fd, &times, sizeof times) == sizeof times);
    CHECK(poll(&changes, 1, 0) == 0);
    CHECK(hotadd_partition_remove(partition, 0) == 0 && told == 2 && poll(&changes, 1, 0) == 1);
    hotadd_parallelism_free(parallelism);
    CHECK(hotadd_partition_add(partition, 0) == 0 && told == 2);

    /* It does not need the handle of the partition. */
    parallelism = hotadd_parallelism_new(partition, NULL, NULL);
    CHECK(hotadd_partition_close(partition) == 0 && hotadd_parallelism_get(parallelism) == 3);
    hotadd_parallelism_free(parallelism);

    partition = hotadd_partition_process(NULL);
    parallelism = hotadd_parallelism_new(partition, NULL, NULL);
    CHECK(parallelism != NULL && hotadd_parallelism_get(parallelism) >= 1);
    CHECK(hotadd_parallelism_get(parallelism) <= hotadd_partition_count(partition, NULL));
    hotadd_parallelism_free(parallelism);
    CHECK(hotadd_partition_close(partition) == 0);
    puts("done");
    return 0;
}
