/* A block for each processor: made before it joins, found by the thread that is on it, kept (X3). Simulated processors, and
 * cpu0. */
#define _GNU_SOURCE
#include "check.h"
#include <sched.h>
#include <stdint.h>

struct block {
    uint32_t index;
    char rest[100];
};

static uint32_t refuses = 99, refuses_by_reason = 99;
static int inits, finis, spares;
static hotadd_per_processor *table;

static hotadd_status init(void *block, uint32_t index, hotadd_notice *notice, void *data)
{
    static const struct block zeros;

    CHECK(data == &inits && memcmp(block, &zeros, sizeof zeros) == 0);
    CHECK(index == HOTADD_NONE ? notice == NULL : hotadd_notice_index(notice) == index);
    ((struct block *)block)->index = index;
    if (index == refuses)
        return HOTADD_INSUFFICIENT_RESOURCES;
    if (index == refuses_by_reason)
        return hotadd_notice_refuse(notice, HOTADD_UNSUCCESSFUL, "no room at the node");
    inits++;
    if (index == HOTADD_NONE)
        spares++;
    else
        CHECK(hotadd_per_processor_free(table) == (table == NULL ? HOTADD_SUCCESS : HOTADD_POSSIBLE_DEADLOCK));
    return 0;
}

static void fini(void *block, uint32_t index, void *data)
{
    CHECK(data == &inits && ((struct block *)block)->index == index);
    finis++;
}

static struct block *at(uint32_t index)
{
    return hotadd_per_processor_at(table, index);
}

int main(void)
{
    hotadd_partition *partition = hotadd_partition_simulated(2, 2);
    struct block *third;
    cpu_set_t first;

    CHECK(hotadd_per_processor_new(NULL, "blocks", 1, 0, NULL, NULL, NULL) == NULL);
    CHECK(hotadd_per_processor_new(partition, NULL, 1, 0, NULL, NULL, NULL) == NULL);
    CHECK(hotadd_per_processor_new(partition, "blocks", 0, 0, NULL, NULL, NULL) == NULL);
    CHECK(hotadd_per_processor_new(partition, "blocks", SIZE_MAX, 0, NULL, NULL, NULL) == NULL);
    CHECK(hotadd_per_processor_new(partition, "blocks", 8, 3, NULL, NULL, NULL) == NULL);
    CHECK(hotadd_per_processor_new(partition, "blocks", 8, 8192, NULL, NULL, NULL) == NULL);
    CHECK(hotadd_per_processor_free(NULL) == 0 && hotadd_per_processor_local(NULL) == NULL);
    CHECK(hotadd_per_processor_at(NULL, 0) == NULL && hotadd_per_processor_spare_uses(NULL) == 0);

    /* An init that refuses an active processor, and one that refuses the spare: no table, and nothing is left. */
    refuses = 1;
    CHECK(hotadd_per_processor_new(partition, "blocks", sizeof(struct block), 0, init, fini, &inits) == NULL);
    CHECK(strstr(hotadd_error(), "blocks refused processor 1") != NULL && inits == 2 && finis == 2);
    refuses = HOTADD_NONE;
    CHECK(hotadd_per_processor_new(partition, "blocks", sizeof(struct block), 0, init, fini, &inits) == NULL && inits == 2);
    refuses = 99;

    table = hotadd_per_processor_new(partition, "blocks", sizeof(struct block), 512, init, fini, &inits);
    CHECK(table != NULL && inits == 5 && finis == 2 && spares == 2);
    for (uint32_t index = 0; index < 2; index++)
        CHECK(at(index)->index == index && (uintptr_t)at(index) % 512 == 0);
    CHECK(at(2) == NULL && at(4000) == NULL && at(HOTADD_NONE)->index == HOTADD_NONE);
    /* No thread runs on a simulated processor. */
    CHECK(hotadd_per_processor_local(table) == at(HOTADD_NONE) && hotadd_per_processor_spare_uses(table) == 1);

    refuses = 2;
    FAILS(hotadd_partition_add(partition, 2), HOTADD_INSUFFICIENT_RESOURCES, "blocks refused to add processor 2");
    refuses = 99;
    refuses_by_reason = 2;
    FAILS(hotadd_partition_add(partition, 2), HOTADD_UNSUCCESSFUL, "no room at the node");
    CHECK(inits == 5 && finis == 3 && at(2) == NULL);
    refuses_by_reason = 99;
    CHECK(hotadd_partition_add(partition, 2) == 0 && inits == 6);
    third = at(2);
    CHECK(third != NULL && third->index == 2);
    CHECK(hotadd_partition_remove(partition, 2) == 0 && at(2) == third && finis == 3);
    CHECK(hotadd_partition_add(partition, 2) == 0 && at(2) == third && inits == 6);
    CHECK(hotadd_per_processor_free(table) == 0 && finis == 7);
    CHECK(hotadd_partition_close(partition) == 0);
    table = NULL;

    /* Real processors. A thread that is on cpu0 finds the block of cpu0. */
    partition = hotadd_partition_process(NULL);
    CHECK(partition != NULL);
    table = hotadd_per_processor_new(partition, "blocks", 8, 8, NULL, NULL, NULL);
    CHECK(table != NULL);
    CPU_ZERO(&first);
    CPU_SET(0, &first);
    if (sched_setaffinity(0, sizeof first, &first) == 0) {
        uint32_t index = hotadd_partition_current(partition);

        CHECK(index != HOTADD_NONE && hotadd_per_processor_local(table) == hotadd_per_processor_at(table, index));
        CHECK(hotadd_per_processor_spare_uses(table) == 0);
    } else {
        CHECK(hotadd_per_processor_local(table) != NULL);
    }
    CHECK(hotadd_per_processor_free(table) == 0 && hotadd_partition_close(partition) == 0);
    puts("done");
    return 0;
}
