/* Descriptor mode: every callback runs on the thread that dispatches, and an answer that is late ends the registration (L3). */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include <poll.h>
#include <pthread.h>

static pthread_t loop;
static hotadd_partition *partition;
static int heard[6], refuses, adds;

static void changed(hotadd_notice *notice, void *data)
{
    (void)data;
    CHECK(pthread_equal(pthread_self(), loop));
    heard[hotadd_notice_state(notice)]++;
    if (refuses && hotadd_notice_state(notice) == HOTADD_ADD_START)
        CHECK(hotadd_notice_refuse(notice, HOTADD_INSUFFICIENT_RESOURCES, "the loop is busy") == 0);
}

/* Adds on another thread while the main thread polls. */
static void *adder(void *data)
{
    hotadd_status status = hotadd_partition_add(partition, (uint32_t)adds);

    *(hotadd_status *)data = status;
    if (status < 0 && refuses)
        CHECK(strstr(hotadd_error(), "poller refused to add processor 5: the loop is busy") != NULL);
    return NULL;
}

static hotadd_registration *start(const char *name, uint32_t limit, uint32_t flags)
{
    hotadd_registration *registration = hotadd_registration_new(partition, name, changed, NULL);

    CHECK(hotadd_registration_set_flags(registration, HOTADD_DESCRIPTOR | flags) == 0);
    CHECK(hotadd_registration_set_time_limit(registration, limit) == 0);
    CHECK(hotadd_registration_start(registration) == 0);
    return registration;
}

static int readable(hotadd_registration *registration, int milliseconds)
{
    struct pollfd waits = { hotadd_registration_fd(registration), POLLIN, 0 };

    CHECK(waits.fd >= 0);
    return poll(&waits, 1, milliseconds);
}

int main(void)
{
    hotadd_registration *registration, *late;
    hotadd_status status = 1;
    pthread_t thread;

    loop = pthread_self();
    partition = hotadd_partition_simulated(3, 5);
    registration = start("poller", 60000, HOTADD_REMOVALS);
    CHECK(heard[HOTADD_ADD_START] == 3 && heard[HOTADD_ADD_COMPLETE] == 3);
    CHECK(readable(registration, 0) == 0 && hotadd_dispatch(registration) == 0);

    /* The loop's own requests call the callbacks at once. */
    CHECK(hotadd_partition_add(partition, 3) == 0 && heard[HOTADD_ADD_COMPLETE] == 4);
    CHECK(hotadd_partition_remove(partition, 3) == 0 && heard[HOTADD_REMOVE_COMPLETE] == 1);

    /* Another thread's request waits for the loop. */
    adds = 4;
    CHECK(pthread_create(&thread, NULL, adder, &status) == 0);
    while (heard[HOTADD_ADD_COMPLETE] < 5) {
        CHECK(readable(registration, -1) == 1);
        CHECK(hotadd_dispatch(registration) >= 1);
    }
    CHECK(pthread_join(thread, NULL) == 0 && status == 0);

    adds = 5;
    refuses = 1;
    CHECK(pthread_create(&thread, NULL, adder, &status) == 0);
    CHECK(readable(registration, -1) == 1 && hotadd_dispatch(registration) == 1);
    CHECK(pthread_join(thread, NULL) == 0 && status == HOTADD_INSUFFICIENT_RESOURCES);
    refuses = 0;

    /* Nobody dispatches the second one in time: a veto by name, and its end. The first one is asked and told as ever. */
    late = start("late", 1, HOTADD_NO_REPLAY);
    adds = 6;
    status = 1;
    CHECK(pthread_create(&thread, NULL, adder, &status) == 0);
    while (heard[HOTADD_ADD_FAILURE] == 0) {
        CHECK(readable(registration, -1) == 1);
        CHECK(hotadd_dispatch(registration) >= 1);
    }
    CHECK(pthread_join(thread, NULL) == 0 && status == HOTADD_IO_TIMEOUT);
    CHECK(readable(late, -1) == 1);
    FAILS(hotadd_dispatch(late), HOTADD_IO_TIMEOUT, "L3");
    CHECK(hotadd_registration_is_registered(late) == 0 && hotadd_registration_is_registered(registration) == 1);
    CHECK(hotadd_partition_add(partition, 6) == 0);
    CHECK(hotadd_registration_free(late) == 0 && hotadd_registration_free(registration) == 0);

    /* A registration that is stopped while a notice waits for it holds nobody up. */
    registration = start("leaves", 60000, HOTADD_NO_REPLAY);
    adds = 7;
    CHECK(pthread_create(&thread, NULL, adder, &status) == 0);
    CHECK(readable(registration, -1) == 1);
    CHECK(hotadd_registration_stop(registration) == 0);
    CHECK(pthread_join(thread, NULL) == 0 && status == 0);
    CHECK(hotadd_registration_free(registration) == 0 && hotadd_partition_close(partition) == 0);
    puts("done");
    return 0;
}
