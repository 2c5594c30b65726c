/* Which arenas jemalloc, which is preloaded, gives to threads before and after a processor has joined, and when it was told. */
#include "mask.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

typedef int mallctl_type(const char *, void *, size_t *, void *, size_t);

static mallctl_type *mallctl;

static unsigned number(const char *name)
{
    unsigned value = 0;
    size_t length = sizeof value;
    if (mallctl(name, &value, &length, NULL, 0))
        exit(1);
    return value;
}

static const char *text(const char *name)
{
    const char *value = NULL;
    size_t length = sizeof value;
    if (mallctl(name, &value, &length, NULL, 0))
        exit(1);
    return value;
}

/* The arena of a new thread on this processor. */
static void *allocate(void *processor)
{
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(*(int *)processor, &only);
    sched_setaffinity(0, sizeof only, &only);
    for (int i = 0; i < 1000; i++) {
        void *volatile memory = malloc(20000);
        free(memory);
    }
    return (void *)(size_t)number("thread.arena");
}

static int arena_on(int processor)
{
    pthread_t thread;
    void *arena;
    pthread_create(&thread, NULL, allocate, &processor);
    pthread_join(thread, &arena);
    return (int)(size_t)arena;
}

/* The arena of huge allocations. */
static int huge(void)
{
    void *volatile memory = malloc(16 << 20);
    void *argument = memory;
    unsigned arena = 0;
    size_t length = sizeof arena;
    if (mallctl("arenas.lookup", &arena, &length, &argument, sizeof argument))
        exit(1);
    free(memory);
    return (int)arena;
}

static void say(const char *word, int processor)
{
    int major = 0, minor = 0;
    sscanf(text("version"), "%d.%d", &major, &minor);
    int percpu = text("opt.percpu_arena")[0] == 'p';
    /* The huge arena is created when it is first needed. */
    int there = arena_on(processor);
    printf("%s version=%d percpu=%d opt=%u arenas=%u arena=%d huge=%d\n", word, major * 100 + minor, percpu,
           number("opt.narenas"), number("arenas.narenas"), there, huge());
    fflush(stdout);
}

/* Gives an arena of its own to the calling thread. */
static void *own_arena(void *unused)
{
    unsigned arena = 0;
    size_t length = sizeof arena;
    if (mallctl("arenas.create", &arena, &length, NULL, 0) || mallctl("thread.arena", NULL, NULL, &arena, length))
        exit(1);
    printf("told arenas=%u arena=%u\n", number("arenas.narenas"), number("thread.arena"));
    return unused;
}

int main(void)
{
    mallctl = (mallctl_type *)dlsym(RTLD_DEFAULT, "mallctl");
    if (!mallctl)
        return 1;
    say("start", sched_getcpu());
    say("joined", joined());
    pthread_t thread;
    pthread_create(&thread, NULL, own_arena, NULL);
    return pthread_join(thread, NULL);
}
