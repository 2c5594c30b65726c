// What oneTBB sees when it starts, once its mask has grown, and when it was told.
#include <atomic>
#include <cstdio>
#include <sched.h>
#include <tbb/global_control.h>
#include <tbb/info.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>
#include <unistd.h>

static int mask()
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) ? 0 : CPU_COUNT(&set);
}

// The most tasks that are under way at once. They wait for each other a little, so that two are if they can be.
static int at_once(tbb::task_arena &arena)
{
    std::atomic<int> now{0}, most{0};
    arena.execute([&] {
        tbb::parallel_for(0, 400, [&](int) {
            int under_way = ++now;
            for (int seen = most; under_way > seen && !most.compare_exchange_weak(seen, under_way);)
                ;
            usleep(5000);
            --now;
        });
    });
    return most;
}

static void say(const char *word, tbb::task_arena &arena)
{
    int most = at_once(arena);
    printf("%s default_concurrency=%d max_concurrency=%d at_once=%d\n", word, tbb::info::default_concurrency(),
           arena.max_concurrency(), most);
    fflush(stdout);
}

int main()
{
    tbb::task_arena arena;
    say("start", arena);
    while (mask() == 1)
        usleep(10000);
    tbb::task_arena later;
    say("joined", later);
    tbb::global_control limit(tbb::global_control::max_allowed_parallelism, 2);
    tbb::task_arena two(2);
    say("told", two);
}
