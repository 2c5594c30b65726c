/* The mask of the calling thread, for the programs beside this file. */
#define _GNU_SOURCE
#include <sched.h>
#include <unistd.h>

static cpu_set_t mask(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof set, &set);
    return set;
}

/* Waits until a second processor has joined, and returns its number. */
static int joined(void)
{
    cpu_set_t began = mask(), now;
    do {
        usleep(10000);
        now = mask();
    } while (CPU_EQUAL(&began, &now));
    CPU_XOR(&now, &now, &began);
    for (int processor = 0; processor < CPU_SETSIZE; processor++)
        if (CPU_ISSET(processor, &now))
            return processor;
    return -1;
}
