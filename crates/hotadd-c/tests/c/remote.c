/* Descriptor mode in another process's partition. Arguments: its name, the id to refuse, and the time limit in milliseconds.
 * Dispatches * until its stdin ends, or, if the time limit is short, not until then. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include <poll.h>
#include <pthread.h>

static pthread_t loop;

static void changed(hotadd_notice *notice, void *data)
{
    CHECK(pthread_equal(pthread_self(), loop));
    if (hotadd_notice_state(notice) == HOTADD_ADD_START && hotadd_notice_id(notice) == *(uint32_t *)data)
        CHECK(hotadd_notice_refuse(notice, HOTADD_INSUFFICIENT_RESOURCES, "no room here") == 0);
    printf("%s %u%s%s\n", hotadd_state_name(hotadd_notice_state(notice)), (unsigned)hotadd_notice_id(notice),
           hotadd_notice_reason(notice)[0] == '\0' ? "" : ": ", hotadd_notice_reason(notice));
    fflush(stdout);
}

int main(int count, char **arguments)
{
    uint32_t refused = count > 3 ? (uint32_t)atoi(arguments[2]) : 0, limit = count > 3 ? (uint32_t)atoi(arguments[3]) : 0;
    hotadd_partition *partition = count > 3 ? hotadd_partition_connect(arguments[1]) : NULL;
    hotadd_registration *registration;
    struct pollfd waits[2] = { { 0, POLLIN, 0 }, { 0, POLLIN, 0 } };

    CHECK(partition != NULL);
    loop = pthread_self();
    registration = hotadd_registration_new(partition, "remote", changed, &refused);
    CHECK(hotadd_registration_set_flags(registration, HOTADD_DESCRIPTOR | HOTADD_REMOVALS | HOTADD_NO_REPLAY) == 0);
    CHECK(hotadd_registration_set_time_limit(registration, limit) == 0);
    CHECK(hotadd_registration_start(registration) == 0);
    puts("registered");
    fflush(stdout);
    waits[1].fd = hotadd_registration_fd(registration);
    if (limit < 1000) {
        CHECK(poll(waits, 1, -1) == 1);
        FAILS(hotadd_dispatch(registration), HOTADD_IO_TIMEOUT, "L3");
        puts("late");
    }
    while (limit >= 1000 && poll(waits, 2, -1) > 0 && waits[0].revents == 0)
        CHECK(hotadd_dispatch(registration) >= 0);
    /* The loop's own requests: it is asked while it waits for the result. */
    if (limit >= 1000) {
        FAILS(hotadd_partition_add(partition, refused), HOTADD_INSUFFICIENT_RESOURCES, "remote refused to add processor");
        CHECK(hotadd_registration_stop(registration) == 0);
        CHECK(hotadd_partition_add(partition, refused) == 0);
    }
    CHECK(hotadd_registration_free(registration) == 0 && hotadd_partition_close(partition) == 0);
    puts("done");
    return 0;
}
