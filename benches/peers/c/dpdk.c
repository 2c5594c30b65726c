// DPDK's lcores and their callbacks, for comparison. Reads a request a line from standard input and answers each with a line:
//
//     register CALLBACKS LCORES TIMES    registers CALLBACKS callbacks one after the other, with LCORES lcores
//     add CALLBACKS LCORES TIMES         a thread becomes lcore number LCORES + 1, and all callbacks agree
//     veto CALLBACKS LCORES TIMES        the same, but the last callback refuses
//
// The answer is the median time in nanoseconds, and how often callbacks were called in one of them. What is undone between two of
// them is not timed, and neither is the making of threads.
//
// Argument: the processor on which everything runs.

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>

enum { MAX_CALLBACKS = 4096, MAX_TIMES = 100000 };

// What a callback is called with. Each is an allocation of its own, like the drivers of hotadd.
struct state {
    bool refuses;
};

static unsigned long calls;
static struct state *states[MAX_CALLBACKS];
static char names[MAX_CALLBACKS][16];
static void *handles[MAX_CALLBACKS];
static double times[MAX_TIMES];

static void fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, rte_strerror(rte_errno));
    exit(1);
}

// Keeps the compiler from knowing that a callback does nothing.
static inline void use(void *state) {
    __asm__ volatile("" : : "r"(state) : "memory");
}

static int agree(unsigned int lcore, void *arg) {
    (void)lcore;
    use(arg);
    return 0;
}

static int refuse(unsigned int lcore, void *arg) {
    (void)lcore;
    use(arg);
    return ((struct state *)arg)->refuses ? -1 : 0;
}

static void unwind(unsigned int lcore, void *arg) {
    (void)lcore;
    use(arg);
}

// The same, with a count. These are not timed.
static int count_agree(unsigned int lcore, void *arg) {
    calls++;
    return agree(lcore, arg);
}

static int count_refuse(unsigned int lcore, void *arg) {
    calls++;
    return refuse(lcore, arg);
}

static void count_unwind(unsigned int lcore, void *arg) {
    calls++;
    unwind(lcore, arg);
}

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1e9 + at.tv_nsec;
}

// Threads that are lcores, and do nothing else. The main thread is one more.
static struct lcore {
    pthread_t thread;
    sem_t end;
} others[RTE_MAX_LCORE];
static unsigned int number_of_others;
static sem_t registered;

static void *be_lcore(void *end) {
    if (rte_thread_register() != 0)
        fail("making a thread an lcore");
    sem_post(&registered);
    sem_wait(end);
    rte_thread_unregister();
    return NULL;
}

static void set_lcores(unsigned int lcores) {
    for (; number_of_others + 1 < lcores; number_of_others++) {
        struct lcore *other = &others[number_of_others];
        sem_init(&other->end, 0, 0);
        if (pthread_create(&other->thread, NULL, be_lcore, &other->end) != 0)
            fail("making a thread");
        sem_wait(&registered);
    }
    while (number_of_others + 1 > lcores) {
        struct lcore *other = &others[--number_of_others];
        sem_post(&other->end);
        pthread_join(other->thread, NULL);
    }
}

// Registers the callbacks, and returns the time that it took.
static double register_all(unsigned int callbacks, bool counted) {
    for (unsigned int i = 0; i < callbacks; i++) {
        snprintf(names[i], sizeof names[i], "driver-%05u", i);
        if (states[i] == NULL && (states[i] = calloc(1, sizeof *states[i])) == NULL)
            fail("allocating");
    }
    double began = now();
    for (unsigned int i = 0; i < callbacks; i++) {
        bool last = i + 1 == callbacks;
        handles[i] = counted ? rte_lcore_callback_register(names[i], last ? count_refuse : count_agree, count_unwind, states[i])
                             : rte_lcore_callback_register(names[i], last ? refuse : agree, unwind, states[i]);
        if (handles[i] == NULL)
            fail("registering a callback");
    }
    return now() - began;
}

static void unregister_all(unsigned int callbacks) {
    while (callbacks > 0)
        rte_lcore_callback_unregister(handles[--callbacks]);
}

// A request, for the thread that runs it: a thread that is not an lcore yet.
struct request {
    char what[16];
    unsigned int callbacks, lcores, times;
    // Whether callbacks are counted in a single one, instead of timed.
    bool counted;
};

// One of them. Returns the time that it took.
static double once(const struct request *request) {
    if (strcmp(request->what, "register") == 0) {
        double took = register_all(request->callbacks, request->counted);
        unsigned long counted = calls;
        unregister_all(request->callbacks);
        calls = counted;
        return took;
    }
    bool vetoed = strcmp(request->what, "veto") == 0;
    states[request->callbacks - 1]->refuses = vetoed;
    double began = now();
    int result = rte_thread_register();
    double took = now() - began;
    states[request->callbacks - 1]->refuses = false;
    if ((result != 0) != vetoed)
        fail("an lcore did not become what was expected");
    unsigned long counted = calls;
    if (result == 0)
        rte_thread_unregister();
    calls = counted;
    return took;
}

static void *run(void *arg) {
    struct request *request = arg;
    bool adds = strcmp(request->what, "register") != 0;
    if (adds)
        register_all(request->callbacks, request->counted);
    calls = 0;
    for (unsigned int i = 0; i < request->times; i++)
        times[i] = once(request);
    unsigned long counted = calls;
    if (adds)
        unregister_all(request->callbacks);
    calls = counted;
    return NULL;
}

static void on_a_thread(struct request *request) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, request) != 0)
        fail("making a thread");
    pthread_join(thread, NULL);
}

static int ascending(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: dpdk PROCESSOR\n");
        return 2;
    }
    char lcores[32];
    snprintf(lcores, sizeof lcores, "--lcores=0@%s", argv[1]);
    char *arguments[] = {argv[0], lcores, "--no-huge", "--no-pci", "--no-telemetry", "--no-shconf", NULL};
    if (rte_eal_init((int)(sizeof arguments / sizeof *arguments) - 1, arguments) < 0)
        fail("starting DPDK");
    sem_init(&registered, 0, 0);
    struct request request;
    while (scanf("%15s %u %u %u", request.what, &request.callbacks, &request.lcores, &request.times) == 4) {
        if (request.callbacks == 0 || request.callbacks > MAX_CALLBACKS || request.times == 0 || request.times > MAX_TIMES ||
            request.lcores == 0 || request.lcores > RTE_MAX_LCORE) {
            fprintf(stderr, "a number is out of range\n");
            return 2;
        }
        set_lcores(request.lcores);
        request.counted = false;
        on_a_thread(&request);
        qsort(times, request.times, sizeof *times, ascending);
        double median = times[request.times / 2];
        request.counted = true;
        request.times = 1;
        on_a_thread(&request);
        printf("%.1f %lu\n", median, calls);
        fflush(stdout);
    }
    // The other lcores are asleep, and end with the process.
    return 0;
}
