/* An OpenMP program that uses as many threads as the partition has processors: openmp PAGE (docs/runtimes.md) */
#include <fcntl.h>
#include <omp.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static double work(int number)
{
    double sum = number;
    for (int i = 1; i < 2000000; i++)
        sum += 1.0 / i;
    return sum;
}

int main(int argc, char **argv)
{
    int file = open(argc > 1 ? argv[1] : "/run/hotadd/system.set", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    const char *page = mmap(NULL, 25216, PROT_READ, MAP_SHARED, file, 0);
    if (page == MAP_FAILED || memcmp(page, "hotadd\0", 8) || *(const uint32_t *)(page + 8) != 1) {
        fprintf(stderr, "openmp: no page of version 1\n");
        return 1;
    }
    const _Atomic uint64_t *summary = (const _Atomic uint64_t *)(page + 16);
    const _Atomic uint32_t *wait = (const _Atomic uint32_t *)(page + 24);
    double sum = 0;
    for (int size = 0; !(atomic_load(wait) & 1);) {
        int count = atomic_load(summary) & 0xffff;
        if (count != size) {
            omp_set_num_threads(size = count);
            printf("workers %d\n", omp_get_max_threads());
            fflush(stdout);
        }
#pragma omp parallel for schedule(dynamic) reduction(+ : sum)
        for (int i = 0; i < 64; i++)
            sum += work(i);
    }
    return sum < 0;
}
