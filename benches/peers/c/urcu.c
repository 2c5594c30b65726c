// liburcu's per-processor workers of call_rcu, for comparison. Reads a request a line from standard input and answers each with a
// line:
//
//     lookup TIMES    how long it takes to find the worker of the processor that the thread is on, in nanoseconds
//     setup           how long it takes to make a worker for each possible processor, in nanoseconds, and the number of workers
//
// Argument: the processor on which everything runs.

#define _GNU_SOURCE
#define _LGPL_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <urcu.h>

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1e9 + at.tv_nsec;
}

int main(int argc, char **argv) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(argc > 1 ? atoi(argv[1]) : 0, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) {
        perror("sched_setaffinity");
        return 1;
    }
    urcu_memb_register_thread();
    if (urcu_memb_create_all_cpu_call_rcu_data(0) != 0) {
        perror("create_all_cpu_call_rcu_data");
        return 1;
    }
    char what[16];
    while (scanf("%15s", what) == 1) {
        if (strcmp(what, "setup") == 0) {
            urcu_memb_free_all_cpu_call_rcu_data();
            double began = now();
            if (urcu_memb_create_all_cpu_call_rcu_data(0) != 0)
                return 1;
            printf("%.1f %ld\n", now() - began, sysconf(_SC_NPROCESSORS_CONF));
        } else {
            unsigned int times = 0;
            if (scanf("%u", &times) != 1 || times == 0)
                return 2;
            double began = now();
            for (unsigned int i = 0; i < times; i++) {
                struct call_rcu_data *found = urcu_memb_get_call_rcu_data();
                __asm__ volatile("" : : "r"(found) : "memory");
            }
            printf("%.3f\n", (now() - began) / times);
        }
        fflush(stdout);
    }
    return 0;
}
