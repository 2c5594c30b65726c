/* What a callback hears and says, with callbacks on the library's threads (A1-A6, X1, X4). Simulated processors. */
#include "check.h"

struct listener {
    const char *name;
    uint32_t refuses_add, refuses_removal;
    char heard[2048];
};

static void changed(hotadd_notice *notice, void *data)
{
    struct listener *listener = data;
    int state = hotadd_notice_state(notice);
    uint32_t id = hotadd_notice_id(notice);
    size_t at = strlen(listener->heard);
    const char *party = hotadd_notice_party(notice);

    CHECK(hotadd_notice_index(notice) == id && hotadd_notice_group(notice) == id / 64 && hotadd_notice_number(notice) == id % 64);
    CHECK(hotadd_notice_epoch(notice) > 0 && hotadd_notice_is_surprise(notice) == 0);
    snprintf(listener->heard + at, sizeof listener->heard - at, "%s %u%s%s%s%s%s\n", hotadd_state_name(state), (unsigned)id,
             hotadd_notice_is_replay(notice) == 1 ? " replay" : "", party == NULL ? "" : " by ", party == NULL ? "" : party,
             hotadd_notice_reason(notice)[0] == '\0' ? "" : ": ", hotadd_notice_reason(notice));
    if (state == HOTADD_ADD_START && id == listener->refuses_add) {
        CHECK(hotadd_notice_refuse(notice, HOTADD_UNSUCCESSFUL, "not this one") == 0);
        CHECK(hotadd_notice_refuse(notice, HOTADD_INSUFFICIENT_RESOURCES, "no memory for its block") == 0);
    } else if (state == HOTADD_REMOVE_START && id == listener->refuses_removal) {
        CHECK(hotadd_notice_refuse(notice, 1, NULL) == 0);
    } else if (state != HOTADD_ADD_START && state != HOTADD_REMOVE_START) {
        FAILS(hotadd_notice_refuse(notice, HOTADD_UNSUCCESSFUL, "too late"), HOTADD_INVALID_DEVICE_STATE, "A6");
    }
}

static hotadd_registration *listen(hotadd_partition *partition, struct listener *listener, int32_t level, uint32_t flags)
{
    hotadd_registration *registration = hotadd_registration_new(partition, listener->name, changed, listener);

    CHECK(registration != NULL);
    CHECK(hotadd_registration_set_level(registration, level) == 0);
    CHECK(hotadd_registration_set_flags(registration, flags) == 0);
    CHECK(hotadd_registration_is_registered(registration) == 0);
    CHECK(hotadd_registration_start(registration) == 0);
    CHECK(hotadd_registration_is_registered(registration) == 1);
    return registration;
}

static void heard(struct listener *listener, const char *expected)
{
    if (strcmp(listener->heard, expected) != 0) {
        fprintf(stderr, "%s heard:\n%sand not:\n%s", listener->name, listener->heard, expected);
        exit(1);
    }
    listener->heard[0] = '\0';
}

int main(void)
{
    hotadd_partition *partition = hotadd_partition_simulated(2, 3);
    struct listener first = { "first", 9, 9, "" }, second = { "second", 3, 1, "" }, late = { "late", 1, 9, "" };
    uint32_t ids[8] = { 0 };
    uint64_t epoch = 0;
    hotadd_registration *a, *b, *c;

    CHECK(partition != NULL);
    /* The second listener has the lower level, and is asked first. */
    a = listen(partition, &first, 7, HOTADD_REMOVALS);
    b = listen(partition, &second, -7, HOTADD_REMOVALS | HOTADD_NO_REPLAY);
    heard(&first, "AddStart 0 replay\nAddStart 1 replay\nAddComplete 0 replay\nAddComplete 1 replay\n");
    heard(&second, "");

    CHECK(hotadd_partition_add(partition, 2) == 0);
    heard(&first, "AddStart 2\nAddComplete 2\n");
    heard(&second, "AddStart 2\nAddComplete 2\n");

    /* A refusal by the one that is asked first ends the asking. */
    FAILS(hotadd_partition_add(partition, 3), HOTADD_INSUFFICIENT_RESOURCES,
          "second refused to add processor 3: no memory for its block");
    heard(&first, "");
    heard(&second, "AddStart 3\n");

    second.refuses_add = 9;
    first.refuses_add = 3;
    FAILS(hotadd_partition_add(partition, 3), HOTADD_INSUFFICIENT_RESOURCES, "first refused");
    heard(&first, "AddStart 3\n");
    heard(&second, "AddStart 3\nAddFailure 3 by first: no memory for its block\n");

    CHECK(hotadd_partition_count(partition, &epoch) == 3 && epoch == 2);
    CHECK(hotadd_partition_members(partition, ids, 8, &epoch) == 3 && ids[0] == 0 && ids[1] == 1 && ids[2] == 2);
    CHECK(hotadd_partition_candidates(partition, ids, 1) == 2 && ids[0] == 3 && ids[1] == 1);
    CHECK(hotadd_partition_candidates(partition, NULL, 8) == 2);
    CHECK(hotadd_partition_current(partition) == HOTADD_NONE);
    CHECK(hotadd_partition_is_connected(partition) == 1);

    CHECK(hotadd_partition_remove(partition, 2) == 0);
    heard(&first, "RemoveStart 2\nRemoveComplete 2\n");
    heard(&second, "RemoveStart 2\nRemoveComplete 2\n");
    CHECK(hotadd_partition_add(partition, 2) == 0);
    first.heard[0] = second.heard[0] = '\0';
    /* Removals go in the other direction. */
    second.refuses_removal = 2;
    FAILS(hotadd_partition_remove(partition, 2), HOTADD_UNSUCCESSFUL, "second refused to remove processor 2");
    heard(&first, "RemoveStart 2\nRemoveFailure 2 by second: the operation failed for an unknown reason\n");
    heard(&second, "RemoveStart 2\n");
    second.refuses_removal = 9;

    /* A registration whose callback refuses an active processor fails (R4), and can be started again. */
    c = hotadd_registration_new(partition, late.name, changed, &late);
    FAILS(hotadd_registration_start(c), HOTADD_INSUFFICIENT_RESOURCES, "late refused processor 1");
    heard(&late, "AddStart 0 replay\nAddStart 1 replay\nAddFailure 0 replay by late: no memory for its block\n");
    late.refuses_add = 9;
    CHECK(hotadd_registration_start(c) == 0);
    heard(&late, "AddStart 0 replay\nAddStart 1 replay\nAddStart 2 replay\n"
                 "AddComplete 0 replay\nAddComplete 1 replay\nAddComplete 2 replay\n");

    /* When it has stopped, a callback is not called again (D1). The partition lasts as long as its registrations. */
    CHECK(hotadd_registration_stop(a) == 0);
    CHECK(hotadd_registration_is_registered(a) == 0);
    CHECK(hotadd_partition_remove(partition, 2) == 0);
    heard(&first, "");
    CHECK(hotadd_partition_close(partition) == 0);
    CHECK(hotadd_registration_free(a) == 0 && hotadd_registration_free(b) == 0 && hotadd_registration_free(c) == 0);
    puts("done");
    return 0;
}
