/* What OpenMP sees when it starts, once its mask has grown, and when it was told. */
#define _GNU_SOURCE
#include <omp.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

static void say(const char *word)
{
    int team = 0;
#pragma omp parallel
#pragma omp single
    team = omp_get_num_threads();
    printf("%s num_procs=%d max_threads=%d team=%d\n", word, omp_get_num_procs(),
           omp_get_max_threads(), team);
    fflush(stdout);
}

static int mask(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) ? 0 : CPU_COUNT(&set);
}

int main(void)
{
    say("start");
    while (mask() == 1)
        usleep(10000);
    say("joined");
    omp_set_num_threads(mask());
    say("told");
    return 0;
}
