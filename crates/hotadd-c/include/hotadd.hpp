/* hotadd.h for C++17: classes that give back what they hold, callbacks as lambdas, failures as exceptions.
 *
 *     hotadd::partition processors = hotadd::partition::process();
 *     hotadd::registration pool(processors, "pool", [&](hotadd::notice &notice) {
 *         if (notice.state() == hotadd::state::add_start)
 *             blocks.at(notice.index()) = std::make_unique<block>(); // std::bad_alloc refuses the processor
 *     });
 *
 * A failure throws hotadd::error. No exception leaves a callback: in add_start and remove_start it refuses the
 * processor, with its what() as the reason. In another state nothing can be refused: dispatch() throws it in descriptor
 * mode, and registration::failure() has the first one.
 *
 * Objects are moved and not copied, but for page and partition no object may be used by two threads at once. One that
 * was moved from holds nothing, and must not be used. hotadd.h has the rest: threads, callbacks, fork. The functions with
 * Windows' names are in hotadd_ke.h, which this does not include. */
#ifndef HOTADD_HPP
#define HOTADD_HPP

#ifndef HOTADD_NO_KE
#define HOTADD_NO_KE
#include <hotadd.h>
#undef HOTADD_NO_KE
#else
#include <hotadd.h>
#endif

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace hotadd {

/* Why a function failed. */
class error : public std::runtime_error {
public:
    error(hotadd_status status, const std::string &message) : std::runtime_error(message), status_(status) {}

    /* What the last function of hotadd.h on this thread reported. */
    static error last() { return error(hotadd_error_status(), hotadd_error()); }

    hotadd_status status() const noexcept { return status_; }

private:
    hotadd_status status_;
};

/* Thrown by a callback to refuse a processor with a status of its own. */
class veto : public error {
public:
    using error::error;
};

namespace detail {

inline void check(hotadd_status status)
{
    if (status < 0)
        throw error::last();
}

template <typename T> T *checked(T *pointer)
{
    if (pointer == nullptr)
        throw error::last();
    return pointer;
}

/* The ids that `read` gives: it is asked for their number first, and again if there are more by then. */
template <typename Read> std::vector<std::uint32_t> ids(Read read)
{
    std::vector<std::uint32_t> ids;
    for (;;) {
        const std::size_t count = read(ids.data(), ids.size());
        if (count == static_cast<std::size_t>(-1))
            throw error::last();
        const bool whole = count <= ids.size();
        ids.resize(count);
        if (whole)
            return ids;
    }
}

/* The refusal that an exception means. To be called in a handler. */
template <typename Refuse> void refuse_for_exception(Refuse refuse) noexcept
{
    try {
        throw;
    } catch (const error &failure) {
        refuse(failure.status(), failure.what());
    } catch (const std::bad_alloc &failure) {
        refuse(HOTADD_INSUFFICIENT_RESOURCES, failure.what());
    } catch (const std::exception &failure) {
        refuse(HOTADD_UNSUCCESSFUL, failure.what());
    } catch (...) {
        refuse(HOTADD_UNSUCCESSFUL, "an exception of an unknown type");
    }
}

} // namespace detail

/* The processors that a program may run on. May be used by several threads at once. */
class partition {
public:
    static partition process() { return partition(hotadd_partition_process(nullptr)); }
    static partition process(const std::string &cpus) { return partition(hotadd_partition_process(cpus.c_str())); }
    static partition connect(const std::string &name) { return partition(hotadd_partition_connect(name.c_str())); }
    static partition simulated(std::uint32_t active, std::uint32_t spare)
    {
        return partition(hotadd_partition_simulated(active, spare));
    }

    void add(std::uint32_t id) { detail::check(hotadd_partition_add(get(), id)); }
    void remove(std::uint32_t id) { detail::check(hotadd_partition_remove(get(), id)); }

    std::uint32_t count() const
    {
        const std::uint32_t count = hotadd_partition_count(get(), nullptr);
        if (count == 0)
            throw error::last();
        return count;
    }
    /* The ids of the active processors, in the order of their indexes. */
    std::vector<std::uint32_t> members() const
    {
        return detail::ids([this](std::uint32_t *ids, std::size_t length) {
            return hotadd_partition_members(get(), ids, length, nullptr);
        });
    }
    /* The ids of the processors that could be added now. */
    std::vector<std::uint32_t> candidates() const
    {
        return detail::ids([this](std::uint32_t *ids, std::size_t length) {
            return hotadd_partition_candidates(get(), ids, length);
        });
    }
    /* The index of the processor that this thread runs on. Empty if it is not in the set. */
    std::optional<std::uint32_t> current() const
    {
        const std::uint32_t index = hotadd_partition_current(get());
        return index == HOTADD_NONE ? std::nullopt : std::make_optional(index);
    }
    bool is_connected() const { return hotadd_partition_is_connected(get()) == 1; }

    hotadd_partition *get() const noexcept { return handle_.get(); }

private:
    struct closer {
        void operator()(hotadd_partition *partition) const noexcept { hotadd_partition_close(partition); }
    };

    explicit partition(hotadd_partition *handle) : handle_(detail::checked(handle)) {}

    std::unique_ptr<hotadd_partition, closer> handle_;
};

enum class state {
    add_start = HOTADD_ADD_START,
    add_complete = HOTADD_ADD_COMPLETE,
    add_failure = HOTADD_ADD_FAILURE,
    remove_start = HOTADD_REMOVE_START,
    remove_complete = HOTADD_REMOVE_COMPLETE,
    remove_failure = HOTADD_REMOVE_FAILURE
};

/* What a callback is told. Valid until the callback returns, on its thread. */
class notice {
public:
    explicit notice(hotadd_notice *handle) noexcept : handle_(handle) {}
    notice(const notice &) = delete;
    notice &operator=(const notice &) = delete;

    hotadd::state state() const noexcept { return static_cast<hotadd::state>(hotadd_notice_state(handle_)); }
    std::uint32_t index() const noexcept { return hotadd_notice_index(handle_); }
    std::uint32_t group() const noexcept { return hotadd_notice_group(handle_); }
    std::uint32_t number() const noexcept { return hotadd_notice_number(handle_); }
    std::uint32_t id() const noexcept { return hotadd_notice_id(handle_); }
    std::uint64_t epoch() const noexcept { return hotadd_notice_epoch(handle_); }
    bool is_replay() const noexcept { return hotadd_notice_is_replay(handle_) == 1; }
    bool is_surprise() const noexcept { return hotadd_notice_is_surprise(handle_) == 1; }
    /* Why the processor did not join or leave. */
    hotadd_status status() const noexcept { return hotadd_notice_status(handle_); }
    std::string reason() const { return text(hotadd_notice_reason(handle_)); }
    /* The party that refused; empty if it is not known. */
    std::string party() const { return text(hotadd_notice_party(handle_)); }

    /* Refuses the processor without an exception. */
    void refuse(hotadd_status status, const std::string &reason)
    {
        detail::check(hotadd_notice_refuse(handle_, status, reason.c_str()));
    }

    hotadd_notice *get() const noexcept { return handle_; }

private:
    static std::string text(const char *text) { return text == nullptr ? std::string() : std::string(text); }

    hotadd_notice *handle_;
};

/* The settings of a registration. */
struct options {
    std::int32_t level = 0;
    bool removals = false;
    bool replay = true;
    bool descriptor = false;
    std::chrono::milliseconds time_limit = std::chrono::seconds(5);
};

/* A callback that is told of processors as long as this object exists. A callback may destroy its own registration. */
class registration {
public:
    using callback = std::function<void(notice &)>;

    /* Registers. Before this returns, the callback is told of every active processor, unless options.replay is false. */
    registration(const partition &partition, const std::string &name, callback called, const options &options = {})
        : shared_(std::make_shared<shared>(std::move(called)))
    {
        /* The library has a reference of its own until it will not call any more. */
        auto own = std::make_unique<std::shared_ptr<shared>>(shared_);
        handle_.reset(detail::checked(hotadd_registration_new(partition.get(), name.c_str(), &call, own.get())));
        detail::check(hotadd_registration_set_destroy(handle_.get(), &destroy));
        own.release();
        const std::uint32_t flags = (options.removals ? HOTADD_REMOVALS : 0u) |
                                    (options.replay ? 0u : HOTADD_NO_REPLAY) |
                                    (options.descriptor ? HOTADD_DESCRIPTOR : 0u);
        detail::check(hotadd_registration_set_flags(handle_.get(), flags));
        detail::check(hotadd_registration_set_level(handle_.get(), options.level));
        const auto limit = options.time_limit.count();
        const bool fits = limit > 0 && limit <= 600000;
        detail::check(hotadd_registration_set_time_limit(handle_.get(), fits ? static_cast<std::uint32_t>(limit) : 0u));
        detail::check(hotadd_registration_start(handle_.get()));
    }

    /* Deregisters: when this returns, the callback is not running and will not be called again. */
    void stop() { detail::check(hotadd_registration_stop(get())); }

    bool is_registered() const noexcept { return hotadd_registration_is_registered(get()) == 1; }

    /* The descriptor to poll, with options.descriptor. */
    int fd() const
    {
        const int fd = hotadd_registration_fd(get());
        if (fd < 0)
            throw error::last();
        return fd;
    }
    /* Calls the callback for each notice that waits, and returns their number. Throws what the callback threw where it
     * could not refuse. */
    std::int32_t dispatch()
    {
        const std::shared_ptr<shared> kept = shared_;
        const std::int32_t count = hotadd_dispatch(get());
        if (const std::exception_ptr thrown = kept->take())
            std::rethrow_exception(thrown);
        detail::check(count);
        return count;
    }

    /* The first exception that the callback threw where it could not refuse, and that was not thrown by dispatch. */
    std::exception_ptr failure() const { return shared_->failure(); }

    hotadd_registration *get() const noexcept { return handle_.get(); }

private:
    struct shared {
        explicit shared(callback called) : called_(std::move(called)) {}

        void keep(std::exception_ptr thrown) noexcept
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            if (!thrown_)
                thrown_ = std::move(thrown);
        }
        std::exception_ptr take()
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            return std::exchange(thrown_, nullptr);
        }
        std::exception_ptr failure()
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            return thrown_;
        }

        callback called_;
        std::mutex mutex_;
        std::exception_ptr thrown_;
    };
    struct freer {
        void operator()(hotadd_registration *registration) const noexcept { hotadd_registration_free(registration); }
    };

    static void call(hotadd_notice *handle, void *data) noexcept
    {
        shared &callee = **static_cast<std::shared_ptr<shared> *>(data);
        notice told(handle);
        try {
            callee.called_(told);
        } catch (...) {
            bool refused = false;
            detail::refuse_for_exception([&](hotadd_status status, const char *reason) {
                refused = hotadd_notice_refuse(handle, status, reason) >= 0;
            });
            if (!refused)
                callee.keep(std::current_exception());
        }
    }
    static void destroy(void *data) noexcept { delete static_cast<std::shared_ptr<shared> *>(data); }

    std::shared_ptr<shared> shared_;
    std::unique_ptr<hotadd_registration, freer> handle_;
};

/* A value for each processor, made before the processor joins, and a spare value for threads on other processors. A value
 * lasts as long as the table, and is shared: use atomics or a lock. May be used by several threads at once. */
template <typename T> class per_processor {
public:
    /* Makes the value of an index, or of the spare (empty). An exception refuses the processor. */
    using maker = std::function<T(std::optional<std::uint32_t>)>;

    per_processor(const partition &partition, const std::string &name)
        : per_processor(partition, name, [](std::optional<std::uint32_t>) { return T(); })
    {
    }
    per_processor(const partition &partition, const std::string &name, maker make)
        : table_(nullptr, freer{ std::make_unique<maker>(std::move(make)) })
    {
        static_assert(alignof(T) <= 4096, "the library aligns to 4,096 bytes at most");
        table_.reset(detail::checked(hotadd_per_processor_new(partition.get(), name.c_str(), sizeof(T), alignof(T), &init,
                                                              &fini, table_.get_deleter().make_.get())));
    }

    /* The value of the processor that this thread runs on, or the spare. */
    T &local() const noexcept { return *as_value(hotadd_per_processor_local(table_.get())); }
    /* The value of an index, also of a processor that has left. NULL if there is none. */
    T *at(std::uint32_t index) const noexcept
    {
        return index == HOTADD_NONE ? nullptr : as_value(hotadd_per_processor_at(table_.get(), index));
    }
    T &spare() const noexcept { return *as_value(hotadd_per_processor_at(table_.get(), HOTADD_NONE)); }
    /* How often local() returned the spare. */
    std::uint64_t spare_uses() const noexcept { return hotadd_per_processor_spare_uses(table_.get()); }

    /* Calls `visit` with every value, the spare last. */
    template <typename Visit> void for_each(Visit visit) const
    {
        for (std::uint32_t index = 0; T *value = at(index); index++)
            visit(*value);
        visit(spare());
    }

private:
    struct freer {
        void operator()(hotadd_per_processor *table) noexcept
        {
            /* Inside a callback a table cannot be freed. Then it stays, and still calls this. */
            if (hotadd_per_processor_free(table) < 0)
                static_cast<void>(make_.release());
        }

        std::unique_ptr<maker> make_;
    };

    static T *as_value(void *block) noexcept
    {
        return block == nullptr ? nullptr : std::launder(static_cast<T *>(block));
    }

    static hotadd_status init(void *block, std::uint32_t index, hotadd_notice *notice, void *data) noexcept
    {
        const auto &make = *static_cast<maker *>(data);
        hotadd_status refused = HOTADD_SUCCESS;
        try {
            ::new (block) T(make(index == HOTADD_NONE ? std::nullopt : std::make_optional(index)));
        } catch (...) {
            detail::refuse_for_exception([&](hotadd_status status, const char *reason) {
                if (notice != nullptr)
                    hotadd_notice_refuse(notice, status, reason);
                refused = status < 0 ? status : HOTADD_UNSUCCESSFUL;
            });
        }
        return refused;
    }
    static void fini(void *block, std::uint32_t, void *) noexcept { as_value(block)->~T(); }

    std::unique_ptr<hotadd_per_processor, freer> table_;
};

/* The number of threads that a pool should have. May be read by several threads at once. */
class parallelism {
public:
    /* Told the new number, in the middle of an add or removal. Exceptions are swallowed: nothing can be refused. It must not
     * destroy this object. */
    using callback = std::function<void(std::uint32_t)>;

    explicit parallelism(const partition &partition, callback changed = {})
        : number_(nullptr, freer{ std::make_unique<callback>(std::move(changed)) })
    {
        callback *const called = number_.get_deleter().called_.get();
        number_.reset(detail::checked(hotadd_parallelism_new(partition.get(), *called ? &call : nullptr, called)));
    }

    std::uint32_t get() const noexcept { return hotadd_parallelism_get(number_.get()); }
    /* Readable after each change. Read 8 bytes from it to make it unreadable. */
    int fd() const noexcept { return hotadd_parallelism_fd(number_.get()); }

private:
    struct freer {
        void operator()(hotadd_parallelism *parallelism) noexcept { hotadd_parallelism_free(parallelism); }

        std::unique_ptr<callback> called_;
    };

    static void call(std::uint32_t number, void *data) noexcept
    {
        try {
            (*static_cast<callback *>(data))(number);
        } catch (...) {
        }
    }

    std::unique_ptr<hotadd_parallelism, freer> number_;
};

/* The page of a partition: its active set, without a registration. May be used by several threads at once. */
class page {
public:
    explicit page(const std::string &name) : handle_(detail::checked(hotadd_page_open(name.c_str()))) {}

    struct summary {
        std::uint64_t epoch;
        std::uint32_t count;
    };

    /* The epoch and the number of active processors, which belong together. One load. */
    summary read() const noexcept
    {
        summary read = { 0, 0 };
        read.count = hotadd_page_count(handle_.get(), &read.epoch);
        return read;
    }
    std::vector<std::uint32_t> members() const
    {
        return detail::ids([this](std::uint32_t *ids, std::size_t length) {
            return hotadd_page_members(handle_.get(), ids, length, nullptr);
        });
    }
    /* Waits until the epoch is another than `seen`. False if the time limit passed. Throws when the partition has ended. */
    bool wait(std::uint64_t seen, std::optional<std::chrono::milliseconds> limit = std::nullopt) const
    {
        const auto most = std::chrono::milliseconds(INT32_MAX);
        const auto left = limit.value_or(std::chrono::milliseconds(-1));
        const int changed = hotadd_page_wait(handle_.get(), seen, static_cast<int>((left < most ? left : most).count()));
        if (changed < 0)
            throw error::last();
        return changed == 1;
    }
    int fd() const
    {
        const int fd = hotadd_page_fd(handle_.get());
        if (fd < 0)
            throw error::last();
        return fd;
    }

private:
    struct closer {
        void operator()(hotadd_page *page) const noexcept { hotadd_page_close(page); }
    };

    std::unique_ptr<hotadd_page, closer> handle_;
};

} // namespace hotadd

#endif
