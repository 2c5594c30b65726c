/* An event loop that follows its processors: a worker for each, started and stopped by the loop itself.
 *
 * Names a partition (`hotadd run --name NAME`) as its argument, or begins on cpu0 and adds the others one after the other. No
 * thread of the library calls this program: callbacks run inside of hotadd_dispatch. */
#include <hotadd.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define MOST 2048

struct pool {
    char worker[MOST];
    unsigned workers;
};

static void changed(hotadd_notice *notice, void *data)
{
    struct pool *pool = data;
    uint32_t index = hotadd_notice_index(notice);

    switch (hotadd_notice_state(notice)) {
    case HOTADD_ADD_START:
        if (index >= MOST)
            hotadd_notice_refuse(notice, HOTADD_INSUFFICIENT_RESOURCES, "the pool has no room for it");
        return;
    case HOTADD_ADD_COMPLETE:
        pool->worker[index] = 1;
        pool->workers++;
        break;
    case HOTADD_ADD_FAILURE:
        printf("cpu%u did not join: %s\n", hotadd_notice_id(notice), hotadd_notice_reason(notice));
        return;
    case HOTADD_REMOVE_COMPLETE:
        pool->worker[index] = 0;
        pool->workers--;
        break;
    default:
        return;
    }
    printf("cpu%u: %s, workers: %u\n", hotadd_notice_id(notice), hotadd_state_name(hotadd_notice_state(notice)),
           pool->workers);
    fflush(stdout);
}

int main(int count, char **arguments)
{
    static struct pool pool;
    hotadd_partition *partition = count > 1 ? hotadd_partition_connect(arguments[1]) : hotadd_partition_process("0");
    hotadd_registration *registration = hotadd_registration_new(partition, "poll", changed, &pool);
    struct pollfd waits[2] = { { 0, POLLIN, 0 }, { 0, POLLIN, 0 } };
    uint32_t ids[MOST];
    size_t found;

    if (registration == NULL || hotadd_registration_set_flags(registration, HOTADD_DESCRIPTOR | HOTADD_REMOVALS) < 0 ||
        hotadd_registration_start(registration) < 0) {
        fprintf(stderr, "poll: %s\n", hotadd_error());
        return 1;
    }
    if (count == 1) {
        found = hotadd_partition_candidates(partition, ids, MOST);
        for (size_t nth = 0; found != (size_t)-1 && nth < found && nth < MOST; nth++)
            if (hotadd_partition_add(partition, ids[nth]) < 0)
                printf("cpu%u: %s\n", ids[nth], hotadd_error());
    }
    /* Until the end of the standard input. */
    waits[1].fd = hotadd_registration_fd(registration);
    while (poll(waits, 2, -1) > 0 && waits[0].revents == 0) {
        if (hotadd_dispatch(registration) < 0) {
            fprintf(stderr, "poll: %s\n", hotadd_error());
            break;
        }
    }
    hotadd_registration_free(registration);
    hotadd_partition_close(partition);
    return 0;
}
