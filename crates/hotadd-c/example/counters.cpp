// A sharded counter: a value for each processor, made before the processor joins, and a lambda that reports who came.
//
// Begins on cpu0, and adds the others. Each worker counts on the processor that it happens to run on.
#include <hotadd.hpp>

#include <atomic>
#include <cstdio>
#include <thread>
#include <vector>

struct shard {
    std::atomic<std::uint64_t> count{ 0 };
};

int main()
{
    try {
        auto processors = hotadd::partition::process("0");
        hotadd::per_processor<shard> shards(processors, "shards", [](auto) { return shard(); });
        hotadd::registration report(processors, "report", [](hotadd::notice &notice) {
            if (notice.state() == hotadd::state::add_complete)
                std::printf("cpu%u is here, with index %u\n", notice.id(), notice.index());
        });
        for (const auto id : processors.candidates())
            processors.add(id);

        std::vector<std::thread> workers;
        for (std::uint32_t nth = 0; nth < processors.count(); nth++)
            workers.emplace_back([&shards] {
                for (int times = 0; times < 100000; times++)
                    shards.local().count.fetch_add(1, std::memory_order_relaxed);
            });
        for (auto &worker : workers)
            worker.join();

        std::uint64_t sum = 0;
        shards.for_each([&sum](shard &one) { sum += one.count; });
        std::printf("%u workers counted %llu\n", processors.count(), static_cast<unsigned long long>(sum));
    } catch (const hotadd::error &failure) {
        std::fprintf(stderr, "counters: %s\n", failure.what());
        return 1;
    }
    return 0;
}
