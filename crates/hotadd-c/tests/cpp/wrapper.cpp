// The classes of hotadd.hpp, on simulated processors: what they hold they give back, and no exception crosses into C.
#include <hotadd.hpp>

#include <poll.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            std::fprintf(stderr, "%s:%d: not true: %s (%s)\n", __FILE__, __LINE__, #condition, hotadd_error());        \
            std::exit(1);                                                                                              \
        }                                                                                                              \
    } while (0)

namespace {

template <typename Run> hotadd::error fails(Run run)
{
    try {
        run();
    } catch (const hotadd::error &failure) {
        return failure;
    }
    std::fprintf(stderr, "it did not fail\n");
    std::exit(1);
}

bool says(const hotadd::error &failure, const char *text) { return std::strstr(failure.what(), text) != nullptr; }

void exceptions_refuse()
{
    auto partition = hotadd::partition::simulated(2, 4);
    int heard = 0;
    std::string failed;
    hotadd::registration first(partition, "first", [&](hotadd::notice &notice) {
        heard++;
        if (notice.state() == hotadd::state::add_failure)
            failed = notice.party() + ": " + notice.reason();
    });
    CHECK(heard == 4 && first.is_registered());
    hotadd::options options;
    options.replay = false;
    options.level = 1;
    hotadd::registration second(partition, "second", [](hotadd::notice &notice) {
        if (notice.state() != hotadd::state::add_start)
            throw std::runtime_error("too late to refuse");
        switch (notice.id()) {
        case 2:
            throw std::runtime_error("no buffer");
        case 3:
            throw std::bad_alloc();
        case 4:
            throw hotadd::veto(HOTADD_ACCESS_DENIED, "not that one");
        default:
            break;
        }
    }, options);
    const auto refused = fails([&] { partition.add(2); });
    CHECK(refused.status() == HOTADD_UNSUCCESSFUL && says(refused, "second refused to add processor 2: no buffer"));
    CHECK(failed == "second: no buffer");
    CHECK(fails([&] { partition.add(3); }).status() == HOTADD_INSUFFICIENT_RESOURCES);
    const auto denied = fails([&] { partition.add(4); });
    CHECK(denied.status() == HOTADD_ACCESS_DENIED && says(denied, "not that one"));
    CHECK(!second.failure());
    partition.add(5);
    CHECK(second.failure() && partition.count() == 3);
    CHECK((partition.members() == std::vector<std::uint32_t>{ 0, 1, 5 }));
    CHECK((partition.candidates() == std::vector<std::uint32_t>{ 2, 3, 4 }));
    CHECK(!partition.current() && partition.is_connected());
    second.stop();
    CHECK(!second.is_registered());
    CHECK(fails([&] { second.stop(); }).status() == HOTADD_INVALID_HANDLE);
    CHECK(says(fails([&] { hotadd::registration(partition, "x", [](hotadd::notice &) { throw 1; }); }), "unknown type"));
    CHECK(fails([&] { hotadd::registration(partition, "", [](hotadd::notice &) {}); }).status() == HOTADD_INVALID_PARAMETER);
    CHECK(fails([] { hotadd::partition::connect("/nothing"); }).status() == HOTADD_NOT_FOUND);
    CHECK(fails([] { hotadd::page("/nothing"); }).status() < 0);
}

void callbacks_may_destroy_their_registration()
{
    auto partition = hotadd::partition::simulated(1, 1);
    auto held = std::make_shared<int>(0);
    std::optional<hotadd::registration> registration;
    hotadd::options options;
    options.replay = false;
    registration.emplace(partition, "brief", [&registration, held](hotadd::notice &) {
        ++*held;
        registration.reset();
        ++*held; // The lambda is still there.
    }, options);
    CHECK(held.use_count() == 2);
    partition.add(1);
    CHECK(*held == 2 && held.use_count() == 1);
}

void loops_dispatch()
{
    auto partition = hotadd::partition::simulated(1, 2);
    const auto loop = std::this_thread::get_id();
    hotadd::options options;
    options.descriptor = true;
    options.removals = true;
    options.replay = false;
    options.time_limit = std::chrono::minutes(1);
    int joined = 0, left = 0;
    hotadd::registration registration(partition, "loop", [&](hotadd::notice &notice) {
        CHECK(std::this_thread::get_id() == loop);
        joined += notice.state() == hotadd::state::add_complete;
        left += notice.state() == hotadd::state::remove_complete;
        if (notice.state() == hotadd::state::remove_complete)
            throw std::runtime_error("seen");
    }, options);
    CHECK(registration.dispatch() == 0);
    bool thrown = false;
    std::thread other([&] {
        partition.add(1);
        partition.remove(1);
    });
    while (left == 0) {
        pollfd waits = { registration.fd(), POLLIN, 0 };
        CHECK(poll(&waits, 1, -1) == 1);
        try {
            CHECK(registration.dispatch() >= 1);
        } catch (const std::runtime_error &failure) {
            thrown = std::strcmp(failure.what(), "seen") == 0;
        }
    }
    other.join();
    CHECK(joined == 1 && left == 1 && thrown && !registration.failure());
    options.time_limit = std::chrono::hours(1);
    CHECK(says(fails([&] { hotadd::registration(partition, "slow", [](hotadd::notice &) {}, options); }), "time limit"));
    auto moved = std::move(registration);
    CHECK(moved.is_registered());
}

struct counter {
    explicit counter(std::uint32_t of) : index(of) { alive++; }
    counter(const counter &) = delete;
    ~counter() { alive--; }
    std::uint32_t index;
    std::atomic<int> count{ 0 };
    static int alive;
};
int counter::alive = 0;

void tables_hold_values()
{
    auto partition = hotadd::partition::simulated(2, 2);
    {
        hotadd::per_processor<counter> table(partition, "counters", [](std::optional<std::uint32_t> index) {
            if (index == 3u)
                throw std::runtime_error("no counter for it");
            return counter(index.value_or(77));
        });
        CHECK(counter::alive == 3 && table.at(1)->index == 1 && table.at(2) == nullptr && table.spare().index == 77);
        table.local().count++;
        CHECK(table.spare().count == 1 && table.spare_uses() == 1);
        partition.add(2);
        CHECK(says(fails([&] { partition.add(3); }), "no counter for it"));
        int seen = 0;
        table.for_each([&](counter &) { seen++; });
        CHECK(seen == 4 && counter::alive == 4);
        auto moved = std::move(table);
        CHECK(moved.at(2)->index == 2);
    }
    CHECK(counter::alive == 0);
    hotadd::per_processor<std::atomic<int>> simple(partition, "simple");
    CHECK(simple.local() == 0);
}

void pools_are_told_their_size()
{
    auto partition = hotadd::partition::simulated(1, 2);
    std::uint32_t told = 0;
    hotadd::parallelism parallelism(partition, [&](std::uint32_t number) {
        told = number;
        throw std::runtime_error("swallowed");
    });
    hotadd::parallelism quiet(partition);
    CHECK(parallelism.get() == 1 && quiet.fd() >= 0);
    partition.add(1);
    partition.add(2);
    CHECK(parallelism.get() == 3 && quiet.get() == 3 && told == 3);
}

} // namespace

int main()
{
    exceptions_refuse();
    callbacks_may_destroy_their_registration();
    loops_dispatch();
    tables_hold_values();
    pools_are_told_their_size();
    std::puts("done");
    return 0;
}
