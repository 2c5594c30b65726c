/* Wrong arguments and calls at wrong times are errors, and nothing else happens (D2, R7). Simulated processors. */
#include "check.h"

static hotadd_notice *stale;
static int destroyed;

static void changed(hotadd_notice *notice, void *data)
{
    (void)data;
    stale = notice;
    CHECK(hotadd_notice_state(NULL) == -1);
    CHECK(hotadd_notice_refuse(NULL, HOTADD_UNSUCCESSFUL, "no notice") == HOTADD_INVALID_HANDLE);
}

static void destroy(void *data)
{
    CHECK(data == &destroyed);
    destroyed++;
}

int main(void)
{
    hotadd_partition *partition = hotadd_partition_simulated(1, 1), *gone = hotadd_partition_simulated(1, 0);
    hotadd_registration *registration;
    char longest[66];
    uint32_t id = 0;
    uint64_t epoch = 0;

    /* The statuses are those of the public headers. */
    CHECK((uint32_t)HOTADD_UNSUCCESSFUL == 0xC0000001u && (uint32_t)HOTADD_INVALID_HANDLE == 0xC0000008u);
    CHECK((uint32_t)HOTADD_INVALID_PARAMETER == 0xC000000Du && (uint32_t)HOTADD_ACCESS_DENIED == 0xC0000022u);
    CHECK((uint32_t)HOTADD_NOT_FOUND == 0xC0000034u && (uint32_t)HOTADD_INSUFFICIENT_RESOURCES == 0xC000009Au);
    CHECK((uint32_t)HOTADD_IO_TIMEOUT == 0xC00000B5u && (uint32_t)HOTADD_CANCELLED == 0xC0000120u);
    CHECK((uint32_t)HOTADD_INVALID_DEVICE_STATE == 0xC0000184u && (uint32_t)HOTADD_POSSIBLE_DEADLOCK == 0xC0000194u);
    CHECK((uint32_t)HOTADD_CONNECTION_RESET == 0xC000020Du);
    CHECK(hotadd_error_status() == 0 && hotadd_error()[0] == '\0');

    CHECK(partition != NULL && gone != NULL);
    CHECK(hotadd_partition_close(NULL) == 0 && hotadd_registration_free(NULL) == 0);
    CHECK(hotadd_partition_close(gone) == 0);
    FAILS(hotadd_partition_close(gone), HOTADD_INVALID_HANDLE, "D2");

    /* Partitions. */
    CHECK(hotadd_partition_simulated(0, 1) == NULL && hotadd_error_status() == HOTADD_INVALID_PARAMETER);
    CHECK(hotadd_partition_simulated(2048, 1) == NULL);
    CHECK(hotadd_partition_simulated(UINT32_MAX, UINT32_MAX) == NULL);
    CHECK(hotadd_partition_connect(NULL) == NULL && hotadd_error_status() == HOTADD_INVALID_PARAMETER);
    CHECK(hotadd_partition_connect("/nothing/is/here") == NULL && hotadd_error_status() == HOTADD_NOT_FOUND);
    CHECK(hotadd_partition_connect("\xff\xfe") == NULL && strstr(hotadd_error(), "UTF-8") != NULL);
    CHECK(hotadd_partition_process("1-") == NULL && hotadd_error_status() == HOTADD_INVALID_PARAMETER);
    FAILS(hotadd_partition_add(NULL, 1), HOTADD_INVALID_HANDLE, "NULL");
    FAILS(hotadd_partition_add(gone, 1), HOTADD_INVALID_HANDLE, "no longer");
    FAILS(hotadd_partition_remove(gone, 1), HOTADD_INVALID_HANDLE, "no longer");
    CHECK(hotadd_partition_add(partition, 77) < 0 && strstr(hotadd_error(), "77") != NULL);
    CHECK(hotadd_partition_add(partition, UINT32_MAX) < 0);
    CHECK(hotadd_partition_candidates(gone, &id, 1) == (size_t)-1 && hotadd_partition_candidates(NULL, NULL, 0) == (size_t)-1);
    CHECK(hotadd_partition_members(gone, &id, 1, &epoch) == (size_t)-1 && id == 0 && epoch == 0);
    CHECK(hotadd_partition_count(gone, NULL) == 0 && hotadd_partition_current(gone) == HOTADD_NONE);
    CHECK(hotadd_partition_is_connected(gone) == -1);

    /* Registrations. */
    memset(longest, 'x', 65);
    longest[65] = '\0';
    CHECK(hotadd_registration_new(gone, "name", changed, NULL) == NULL && hotadd_error_status() == HOTADD_INVALID_HANDLE);
    CHECK(hotadd_registration_new(partition, NULL, changed, NULL) == NULL);
    CHECK(hotadd_registration_new(partition, "name", NULL, NULL) == NULL && strstr(hotadd_error(), "R7") != NULL);
    registration = hotadd_registration_new(partition, longest, changed, NULL);
    FAILS(hotadd_registration_start(registration), HOTADD_INVALID_PARAMETER, "not a valid driver name");
    CHECK(hotadd_registration_free(registration) == 0);
    FAILS(hotadd_registration_start(registration), HOTADD_INVALID_HANDLE, "no longer");
    FAILS(hotadd_registration_start(NULL), HOTADD_INVALID_HANDLE, "NULL");

    registration = hotadd_registration_new(partition, "name", changed, &destroyed);
    FAILS(hotadd_registration_set_flags(registration, 0x8000), HOTADD_INVALID_PARAMETER, "0x8000");
    FAILS(hotadd_registration_set_time_limit(registration, 0), HOTADD_INVALID_PARAMETER, "time limit");
    FAILS(hotadd_registration_set_time_limit(registration, 600001), HOTADD_INVALID_PARAMETER, "time limit");
    CHECK(hotadd_registration_set_time_limit(registration, 600000) == 0);
    CHECK(hotadd_registration_set_destroy(registration, destroy) == 0);
    FAILS(hotadd_dispatch(registration), HOTADD_INVALID_DEVICE_STATE, "not started");
    CHECK(hotadd_registration_fd(registration) == -1);
    CHECK(hotadd_registration_start(registration) == 0 && stale != NULL);
    FAILS(hotadd_registration_start(registration), HOTADD_INVALID_DEVICE_STATE, "already started");
    FAILS(hotadd_registration_set_flags(registration, HOTADD_REMOVALS), HOTADD_INVALID_DEVICE_STATE, "was started");
    FAILS(hotadd_dispatch(registration), HOTADD_INVALID_DEVICE_STATE, "HOTADD_DESCRIPTOR");
    CHECK(hotadd_registration_fd(registration) == -1 && strstr(hotadd_error(), "HOTADD_DESCRIPTOR") != NULL);
    CHECK(destroyed == 0);
    CHECK(hotadd_registration_stop(registration) == 0 && destroyed == 1);
    FAILS(hotadd_registration_stop(registration), HOTADD_INVALID_HANDLE, "D2");
    FAILS(hotadd_registration_start(registration), HOTADD_INVALID_DEVICE_STATE, "make a new one");
    CHECK(hotadd_registration_free(registration) == 0 && destroyed == 1);
    FAILS(hotadd_registration_free(registration), HOTADD_INVALID_HANDLE, "no longer");

    /* One that was never started gives its data back too. */
    registration = hotadd_registration_new(partition, "name", changed, &destroyed);
    CHECK(hotadd_registration_set_destroy(registration, destroy) == 0);
    CHECK(hotadd_registration_free(registration) == 0 && destroyed == 2);

    /* A handle of another kind. */
    FAILS(hotadd_registration_start((hotadd_registration *)(void *)partition), HOTADD_INVALID_HANDLE, "not a registration");
    FAILS(hotadd_partition_add((hotadd_partition *)(void *)&id, 1), HOTADD_INVALID_HANDLE, "not a partition");

    /* A notice after its callback. */
    CHECK(hotadd_notice_state(stale) == -1 && hotadd_notice_index(stale) == HOTADD_NONE && hotadd_notice_id(stale) == HOTADD_NONE);
    CHECK(hotadd_notice_group(stale) == HOTADD_NONE && hotadd_notice_number(stale) == HOTADD_NONE);
    CHECK(hotadd_notice_reason(stale) == NULL && hotadd_notice_party(stale) == NULL && hotadd_notice_epoch(stale) == 0);
    CHECK(hotadd_notice_is_replay(stale) == -1 && hotadd_notice_is_surprise(stale) == -1);
    FAILS(hotadd_notice_status(stale), HOTADD_INVALID_HANDLE, "has returned");
    FAILS(hotadd_notice_refuse(stale, HOTADD_UNSUCCESSFUL, "late"), HOTADD_INVALID_HANDLE, "has returned");
    CHECK(hotadd_state_name(-1) == NULL && hotadd_state_name(6) == NULL && strcmp(hotadd_state_name(2), "AddFailure") == 0);

    CHECK(hotadd_partition_close(partition) == 0);
    puts("done");
    return 0;
}
