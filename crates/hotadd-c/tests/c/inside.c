/* What callbacks may do: stop and free registrations, their own too, in both modes; register and add nothing (D1, D3). */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include <poll.h>
#include <pthread.h>

static hotadd_partition *partition;

struct party {
    hotadd_registration *registration;
    struct party *stops;
    int frees_itself, heard, destroyed;
};

static void changed(hotadd_notice *notice, void *data)
{
    struct party *party = data;
    hotadd_registration *other = hotadd_registration_new(partition, "inside", changed, NULL);

    CHECK(party->destroyed == 0);
    party->heard++;
    FAILS(hotadd_registration_start(other), HOTADD_POSSIBLE_DEADLOCK, "D3");
    CHECK(hotadd_registration_free(other) == 0);
    FAILS(hotadd_partition_add(partition, 3), HOTADD_POSSIBLE_DEADLOCK, "D3");
    FAILS(hotadd_partition_remove(partition, 0), HOTADD_POSSIBLE_DEADLOCK, "D3");
    CHECK(hotadd_partition_candidates(partition, NULL, 0) == (size_t)-1);
    CHECK(hotadd_partition_connect("/nothing") == NULL && hotadd_error_status() == HOTADD_POSSIBLE_DEADLOCK);
    CHECK(hotadd_partition_count(partition, NULL) > 0);
    if (party->stops != NULL) {
        hotadd_registration *stopped = party->stops->registration;

        party->stops = NULL;
        CHECK(hotadd_registration_stop(stopped) == 0);
        if (party->frees_itself)
            CHECK(hotadd_registration_free(party->registration) == 0);
    }
    CHECK(hotadd_notice_state(notice) >= 0);
}

static void destroy(void *data)
{
    ((struct party *)data)->destroyed++;
}

static void start(struct party *party, uint32_t flags)
{
    party->registration = hotadd_registration_new(partition, "party", changed, party);
    CHECK(hotadd_registration_set_flags(party->registration, flags | HOTADD_NO_REPLAY | HOTADD_REMOVALS) == 0);
    CHECK(hotadd_registration_set_destroy(party->registration, destroy) == 0);
    CHECK(hotadd_registration_start(party->registration) == 0);
}

static void *add_on_another_thread(void *result)
{
    *(hotadd_status *)result = hotadd_partition_add(partition, 2);
    return NULL;
}

/* One party stops itself in AddStart, and one is stopped by another before it is asked. Neither hears more. */
static void run(uint32_t flags, int from_another_thread)
{
    struct party itself = { NULL, NULL, 1, 0, 0 }, other = { NULL, NULL, 0, 0, 0 }, stopped = { NULL, NULL, 0, 0, 0 };
    hotadd_status added = 1;

    itself.stops = &itself;
    other.stops = &stopped;
    partition = hotadd_partition_simulated(2, 2);
    start(&itself, flags);
    start(&other, flags);
    start(&stopped, flags);
    if (from_another_thread) {
        pthread_t thread;

        CHECK(pthread_create(&thread, NULL, add_on_another_thread, &added) == 0);
        /* This thread dispatches until the other one, which waits for it, is done. */
        while (other.heard < 2) {
            struct pollfd waits = { hotadd_registration_fd(other.registration), POLLIN, 0 };

            if (itself.destroyed == 0) {
                struct pollfd first = { hotadd_registration_fd(itself.registration), POLLIN, 0 };

                CHECK(poll(&first, 1, -1) == 1 && hotadd_dispatch(itself.registration) == 1);
            }
            CHECK(poll(&waits, 1, -1) == 1);
            CHECK(hotadd_dispatch(other.registration) >= 0);
        }
        CHECK(pthread_join(thread, NULL) == 0);
    } else {
        added = hotadd_partition_add(partition, 2);
    }
    CHECK(added == 0);
    CHECK(itself.heard == 1 && itself.destroyed == 1);
    CHECK(other.heard == 2 && other.destroyed == 0);
    CHECK(stopped.heard == 0 && stopped.destroyed == 1);
    CHECK(hotadd_registration_free(stopped.registration) == 0);
    CHECK(hotadd_partition_remove(partition, 2) == 0);
    CHECK(itself.heard == 1 && other.heard == 4 && stopped.heard == 0);
    CHECK(hotadd_registration_free(other.registration) == 0 && other.destroyed == 1);
    CHECK(hotadd_partition_close(partition) == 0);
}

/* A callback that stops its registration while it is being started. */
static void stops_at_once(hotadd_notice *notice, void *data)
{
    CHECK(hotadd_notice_is_replay(notice) == 1);
    CHECK(hotadd_registration_stop(*(hotadd_registration **)data) == 0);
}

int main(void)
{
    hotadd_registration *registration;

    run(0, 0);
    run(HOTADD_DESCRIPTOR, 0);
    run(HOTADD_DESCRIPTOR, 1);

    partition = hotadd_partition_simulated(2, 0);
    for (uint32_t flags = 0; flags <= HOTADD_DESCRIPTOR; flags += HOTADD_DESCRIPTOR) {
        registration = hotadd_registration_new(partition, "brief", stops_at_once, &registration);
        CHECK(hotadd_registration_set_flags(registration, flags) == 0);
        FAILS(hotadd_registration_start(registration), HOTADD_CANCELLED, "stopped while it was started");
        CHECK(hotadd_registration_free(registration) == 0);
    }
    CHECK(hotadd_partition_close(partition) == 0);
    puts("done");
    return 0;
}
