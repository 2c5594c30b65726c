/* How many arenas the C library's malloc gives to 40 threads before and after a processor has joined, and when it was told. With an
 * argument it creates only as many threads at first. */
#include "mask.h"

#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

enum { THREADS = 40 };

static pthread_barrier_t all;

static void *allocate(void *unused)
{
    void *volatile memory = malloc(100);
    pthread_barrier_wait(&all);
    pthread_barrier_wait(&all);
    free(memory);
    return unused;
}

static int arenas(void)
{
    char *text = NULL;
    size_t length = 0;
    FILE *file = open_memstream(&text, &length);
    malloc_info(0, file);
    fclose(file);
    int count = 0;
    for (const char *at = text; (at = strstr(at, "<heap nr=")); at++)
        count++;
    free(text);
    return count;
}

static void say(const char *word, int threads)
{
    pthread_t thread[THREADS];
    pthread_barrier_init(&all, NULL, (unsigned)threads + 1);
    for (int i = 0; i < threads; i++)
        pthread_create(&thread[i], NULL, allocate, NULL);
    pthread_barrier_wait(&all);
    int count = arenas();
    pthread_barrier_wait(&all);
    for (int i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
    pthread_barrier_destroy(&all);
    printf("%s online=%d arenas=%d\n", word, get_nprocs(), count);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    say("start", argc > 1 ? atoi(argv[1]) : THREADS);
    joined();
    if (argc > 1)
        mallopt(M_ARENA_MAX, THREADS);
    say("joined", THREADS);
    mallopt(M_ARENA_MAX, THREADS);
    say("told", THREADS);
    return 0;
}
