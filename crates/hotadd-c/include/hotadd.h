/* No processor joins this program before the program is ready for it.
 *
 * A partition is the set of processors that a program may run on. It grows and shrinks while the program runs. A
 * registration is a callback of the program. It is told of every processor: before the processor joins it prepares,
 * or refuses. An index is dense and given in the order of joining, and a processor that comes back keeps it. A group
 * has 64 indexes. An id is Linux's number, N of cpuN.
 *
 *     static void changed(hotadd_notice *notice, void *data)
 *     {
 *         if (hotadd_notice_state(notice) == HOTADD_ADD_START && !prepare(hotadd_notice_index(notice)))
 *             hotadd_notice_refuse(notice, HOTADD_INSUFFICIENT_RESOURCES, "no memory for its block");
 *     }
 *
 *     hotadd_partition *partition = hotadd_partition_process(NULL);
 *     hotadd_registration *registration = hotadd_registration_new(partition, "pool", changed, NULL);
 *     if (hotadd_registration_start(registration) < 0)
 *         fprintf(stderr, "%s\n", hotadd_error());
 *
 * Errors. A function that returns hotadd_status returns 0, or a negative status. Others say which value is their
 * error. Then hotadd_error has the message, and hotadd_error_status the status. A NULL, a stale handle and a handle
 * of another kind are errors (HOTADD_INVALID_HANDLE), except that closing and freeing NULL does nothing. Pages,
 * tables and parallelisms are the exception: a stale pointer to one is undefined.
 *
 * Ownership. What a function whose name ends in _new, _process, _connect, _simulated or _open returns is yours, and
 * is given back once, by the function that ends in _free or _close. A registration, a table and a parallelism keep
 * their partition alive. Texts that the library returns are its own. Texts that it is given are copied.
 *
 * Threads. All functions may be called from any thread, but for those of a notice, which belong to the callback's
 * thread. Callbacks of one registration are never called two at a time.
 *
 * Callbacks. They may block and allocate, and may use every function except those that wait for the parties:
 * connecting, registering, adding, removing and listing candidates are refused with HOTADD_POSSIBLE_DEADLOCK. A
 * callback may stop and free any registration, its own too. It must return: no longjmp, no exception.
 *
 * fork. A child has no threads of the library and hears nothing. In it every function fails with
 * HOTADD_INVALID_DEVICE_STATE, except those that only read pages, tables and parallelisms that were made before. It
 * stays held to the processors of the partition, as the parent is. It may call exec and start again. Descriptors are
 * close-on-exec.
 *
 * Link with -lhotadd (pkg-config: hotadd). For C99 and C++; hotadd.hpp has classes for C++17. Numbers in parentheses
 * (A3) are clauses of docs/contract.md. */
#ifndef HOTADD_H
#define HOTADD_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A negative status is an error. The values are those of Windows' NTSTATUS, of which every error may come. */
typedef int32_t hotadd_status;
#define HOTADD_SUCCESS ((hotadd_status)0)
#define HOTADD_UNSUCCESSFUL ((hotadd_status)-0x3fffffff)            /* 0xC0000001: no better status */
#define HOTADD_INVALID_HANDLE ((hotadd_status)-0x3ffffff8)          /* 0xC0000008: NULL, stale, or of another kind */
#define HOTADD_INVALID_PARAMETER ((hotadd_status)-0x3ffffff3)       /* 0xC000000D: an argument is wrong */
#define HOTADD_ACCESS_DENIED ((hotadd_status)-0x3fffffde)           /* 0xC0000022: not permitted */
#define HOTADD_NOT_FOUND ((hotadd_status)-0x3fffffcc)               /* 0xC0000034: no partition or page has that name */
#define HOTADD_INSUFFICIENT_RESOURCES ((hotadd_status)-0x3fffff66)  /* 0xC000009A: memory or another resource is exhausted */
#define HOTADD_IO_TIMEOUT ((hotadd_status)-0x3fffff4b)              /* 0xC00000B5: no answer came in time */
#define HOTADD_CANCELLED ((hotadd_status)-0x3ffffee0)               /* 0xC0000120: cancelled, or only rehearsed */
#define HOTADD_INVALID_DEVICE_STATE ((hotadd_status)-0x3ffffe7c)    /* 0xC0000184: not now */
#define HOTADD_POSSIBLE_DEADLOCK ((hotadd_status)-0x3ffffe6c)       /* 0xC0000194: not inside a callback */
#define HOTADD_CONNECTION_RESET ((hotadd_status)-0x3ffffdf3)        /* 0xC000020D: the partition has ended, or cannot be reached */

/* The message of the last function that failed on this thread: the party that refused, and the reason. Never NULL.
 * Valid until the next failure on this thread. */
const char *hotadd_error(void);
/* Its status. 0 if none has failed. */
hotadd_status hotadd_error_status(void);

/* An index or number that does not exist. */
#define HOTADD_NONE UINT32_MAX


/* ---- Partitions ---- */

typedef struct hotadd_partition hotadd_partition;

/* The partition of this process and its children: the processors in `cpus`, a list such as "0-3,8", or all that the
 * threads of this process may run on if it is NULL. It holds the process to its processors: the masks of its threads
 * are set, and a mask that reaches outside is put back. A processor that appears later joins if every party agrees.
 *
 * A process has one such partition. With NULL, later calls return it again. With a list they fail. It lasts as long
 * as the process. NULL on an error. */
hotadd_partition *hotadd_partition_process(const char *cpus);
/* The partition that another process has under this name (`hotadd run --name NAME`), or at this path. After a lost
 * connection it connects and registers again by itself. NULL on an error. */
hotadd_partition *hotadd_partition_connect(const char *name);
/* A partition of processors that do not exist, for tests: `active` of them run, with the ids from 0, and `spare` more
 * can be added. At most 2,048 in all. NULL on an error. */
hotadd_partition *hotadd_partition_simulated(uint32_t active, uint32_t spare);
/* Gives up the handle. The partition lasts as long as something uses it. */
hotadd_status hotadd_partition_close(hotadd_partition *partition);

/* Adds cpuID, if every party agrees (A1-A5). Returns after all have been told. */
hotadd_status hotadd_partition_add(hotadd_partition *partition, uint32_t id);
/* Removes cpuID, if every party with removal notices agrees (X1). */
hotadd_status hotadd_partition_remove(hotadd_partition *partition, uint32_t id);
/* Returns how many processors could be added now, and puts the first `length` ids of them into `ids`, which may be
 * NULL. (size_t)-1 on an error. */
size_t hotadd_partition_candidates(hotadd_partition *partition, uint32_t *ids, size_t length);
/* Returns the number of active processors, and writes the epoch that belongs to it, unless `epoch` is NULL. 0 on an
 * error. */
uint32_t hotadd_partition_count(const hotadd_partition *partition, uint64_t *epoch);
/* Returns how many processors are active, and puts the first `length` ids of them into `ids`, which may be NULL, in
 * the order of their indexes. Writes the epoch of this set, unless `epoch` is NULL. (size_t)-1 on an error. */
size_t hotadd_partition_members(const hotadd_partition *partition, uint32_t *ids, size_t length, uint64_t *epoch);
/* Returns the index of the processor that this thread runs on, at this moment. HOTADD_NONE if that processor is not
 * in the set (docs/limits.md says when), if the processors are simulated, or on an error. */
uint32_t hotadd_partition_current(const hotadd_partition *partition);
/* Returns 1 if the partition can be reached now, 0 if its connection is lost. -1 on an error. */
int hotadd_partition_is_connected(const hotadd_partition *partition);


/* ---- Notices: what a callback is told ---- */

/* Valid until the callback returns, and on its thread. Later use is an error. */
typedef struct hotadd_notice hotadd_notice;

enum hotadd_state {
    HOTADD_ADD_START = 0,       /* It is about to join: prepare, or refuse. */
    HOTADD_ADD_COMPLETE = 1,    /* It has joined, and may already run this program. */
    HOTADD_ADD_FAILURE = 2,     /* It did not join: undo. The one that refused is not told this. */
    HOTADD_REMOVE_START = 3,    /* It is about to leave: move off it, or refuse. */
    HOTADD_REMOVE_COMPLETE = 4, /* It has left. */
    HOTADD_REMOVE_FAILURE = 5   /* It stays: undo. */
};

/* One of enum hotadd_state; there may be more in later versions. -1 on an error. */
int hotadd_notice_state(const hotadd_notice *notice);
/* The name of a state, such as "AddStart". NULL if there is no such state. */
const char *hotadd_state_name(int state);
/* The processor. HOTADD_NONE on an error. */
uint32_t hotadd_notice_index(const hotadd_notice *notice);
uint32_t hotadd_notice_group(const hotadd_notice *notice);
uint32_t hotadd_notice_number(const hotadd_notice *notice);
uint32_t hotadd_notice_id(const hotadd_notice *notice);
/* The epoch of the set that is in force during the call: it grows with each change (Q2). 0 on an error. */
uint64_t hotadd_notice_epoch(const hotadd_notice *notice);
/* 1 if the processor was active already when the callback was registered (R3). Refusing it then refuses the
 * registration. -1 on an error. */
int hotadd_notice_is_replay(const hotadd_notice *notice);
/* 1 if the processor left without a remove, which may come without a REMOVE_START (X2). -1 on an error. */
int hotadd_notice_is_surprise(const hotadd_notice *notice);
/* In a FAILURE, the status of the refusal or of the platform. Otherwise 0. An error status on an error. */
hotadd_status hotadd_notice_status(const hotadd_notice *notice);
/* In a FAILURE, the reason: the text of the party that refused, or the platform's. In a partition of another process,
 * the meaning of the status. Otherwise "". NULL on an error. */
const char *hotadd_notice_reason(const hotadd_notice *notice);
/* In a FAILURE, the name of the party that refused. NULL if no party did, or it is in another process's partition. */
const char *hotadd_notice_party(const hotadd_notice *notice);
/* Refuses the processor, in ADD_START and REMOVE_START. Messages show `reason`, of which 4,096 bytes are kept. If it is
 * NULL, they show the meaning of the status. A status that is not an error becomes HOTADD_UNSUCCESSFUL. The last call in a
 * callback counts. */
hotadd_status hotadd_notice_refuse(hotadd_notice *notice, hotadd_status status, const char *reason);


/* ---- Registrations ---- */

typedef struct hotadd_registration hotadd_registration;
typedef void hotadd_callback(hotadd_notice *notice, void *data);

/* Prepares a registration: nothing is called before hotadd_registration_start. The name is shown when the callback
 * refuses: 1 to 64 bytes, all printable. NULL on an error. */
hotadd_registration *hotadd_registration_new(hotadd_partition *partition, const char *name, hotadd_callback *callback, void *data);

/* Settings, until the start. */

#define HOTADD_REMOVALS 1u   /* Also hear of removals (X1). */
#define HOTADD_NO_REPLAY 2u  /* Do not hear of the processors that are active already (R2). */
#define HOTADD_DESCRIPTOR 4u /* Descriptor mode, see below. */
/* The default is 0. Unknown flags are an error. */
hotadd_status hotadd_registration_set_flags(hotadd_registration *registration, uint32_t flags);
/* Lower levels are asked first and unwound last. The default is 0. */
hotadd_status hotadd_registration_set_level(hotadd_registration *registration, int32_t level);
/* How long one answer may take: 1 to 600,000 ms. The default is 5,000. A callback that exceeds it counts as crashed:
 * its answer is a refusal, and it is deregistered (L3). It applies in descriptor mode and in partitions of other
 * processes. */
hotadd_status hotadd_registration_set_time_limit(hotadd_registration *registration, uint32_t milliseconds);
/* `destroy` is called once with the data when the callback will not be called any more: before
 * hotadd_registration_stop or _free returns, or, if the callback itself stopped its registration, after it has
 * returned. */
hotadd_status hotadd_registration_set_destroy(hotadd_registration *registration, void (*destroy)(void *data));

/* Registers the callback. Before this returns, the callback is told of every active processor (R3), unless
 * HOTADD_NO_REPLAY is set. If the callback refuses one, this fails with its status (R4). After a failure the
 * registration may be changed and started again. */
hotadd_status hotadd_registration_start(hotadd_registration *registration);
/* Deregisters. When this returns, the callback is not running and will not be called again (D1). If this thread is
 * inside that callback, it is not called again after it returns (D3). */
hotadd_status hotadd_registration_stop(hotadd_registration *registration);
/* Stops it, if it was not stopped, and gives up the handle. */
hotadd_status hotadd_registration_free(hotadd_registration *registration);
/* 1 if the callback is registered. 0 before the start, after the stop, and after the callback was deregistered
 * because it exceeded its time limit. -1 on an error. */
int hotadd_registration_is_registered(const hotadd_registration *registration);

/* Without HOTADD_DESCRIPTOR, the callback is called by the thread that adds or removes, or by a thread of the
 * library.
 *
 * With it, no thread of the library calls the program. A notice waits, the descriptor is readable, and the callback
 * runs inside of hotadd_dispatch, on the thread that calls it. It must answer within the time limit, in which the wait
 * is included. The thread that dispatches (the last one to call hotadd_dispatch, and before that the one that started)
 * may also start, stop, add, remove, connect and list candidates: the callbacks that this needs are then called before
 * that function returns, on this thread. Other threads that do so wait until the program dispatches. */

/* Returns the descriptor, for poll or epoll: readable while a notice waits, and after one was not answered in time.
 * Only wait for it; hotadd_dispatch makes it unreadable. Valid until the stop; it is the library's own. -1 on an
 * error. */
int hotadd_registration_fd(const hotadd_registration *registration);
/* Calls the callback for each notice that waits, and returns their number, 0 if there is none. Never waits for a
 * notice. Negative on an error: HOTADD_IO_TIMEOUT if a notice was not answered in time, and the registration has
 * ended. */
int32_t hotadd_dispatch(hotadd_registration *registration);


/* ---- A block of memory for each processor ---- */

/* A table with a block for each processor, made before the processor joins, and a spare block. A block lasts as long
 * as its table: a processor that leaves keeps its block, and finds it again when it comes back (X3). So a pointer to
 * a block stays valid, and may be used from any processor. A block is shared: a thread may be moved to another
 * processor while it uses one, so use atomics or a lock. */
typedef struct hotadd_per_processor hotadd_per_processor;

/* Makes a block out of zeros. It may refuse: with a reason by hotadd_notice_refuse, or by returning a negative
 * status. Then the block is freed, after `fini` only if this returned no error. For the spare block the index is
 * HOTADD_NONE and the notice NULL. Called once for each block, by the thread that adds the processor; the rules for
 * callbacks apply. */
typedef hotadd_status hotadd_block_init(void *block, uint32_t index, hotadd_notice *notice, void *data);
/* Ends a block. Called by hotadd_per_processor_free, for each block. */
typedef void hotadd_block_fini(void *block, uint32_t index, void *data);

/* `size` bytes for each block, at `align` (a power of two up to 4,096, or 0), never two blocks on one cache line.
 * `init` and `fini` may be NULL. The table is a party of this name: without memory for a block it refuses the
 * processor. NULL on an error, also if `init` refuses an active processor. */
hotadd_per_processor *hotadd_per_processor_new(hotadd_partition *partition, const char *name, size_t size, size_t align,
                                               hotadd_block_init *init, hotadd_block_fini *fini, void *data);
/* Ends the blocks and the table. Refused inside a callback. NULL does nothing. No thread may use the table or a block
 * any more. */
hotadd_status hotadd_per_processor_free(hotadd_per_processor *table);
/* Returns the block of the processor that this thread runs on, at this moment. If that processor is not in the set,
 * or the processors are simulated, it returns the spare block. Never waits, and returns NULL only for a table that is
 * NULL. */
void *hotadd_per_processor_local(const hotadd_per_processor *table);
/* Returns the block of an index, also of a processor that has left, or the spare block for HOTADD_NONE. NULL if there
 * is none. */
void *hotadd_per_processor_at(const hotadd_per_processor *table, uint32_t index);
/* How often hotadd_per_processor_local has returned the spare block. 0 on an error. */
uint64_t hotadd_per_processor_spare_uses(const hotadd_per_processor *table);


/* ---- How many threads a pool should have ---- */

/* The lowest of: the active processors, those of them in the affinity mask of the thread that made this, and the CPU
 * quota of this process's cgroup and of those above it, rounded down. At least 1. It follows all of them; masks and
 * moves to another cgroup are read every 250 ms. */
typedef struct hotadd_parallelism hotadd_parallelism;
/* Told the new number, after hotadd_parallelism_get has it. The rules for callbacks apply. Calls come one at a time,
 * on the thread that changes the number. */
typedef void hotadd_parallelism_changed(uint32_t number, void *data);

/* `changed` may be NULL. NULL on an error. */
hotadd_parallelism *hotadd_parallelism_new(hotadd_partition *partition, hotadd_parallelism_changed *changed, void *data);
/* When this returns, `changed` is not running on another thread and will not be called again. NULL does nothing. No
 * thread may use the pointer any more. */
void hotadd_parallelism_free(hotadd_parallelism *parallelism);
/* The number. One load. 0 if the pointer is NULL. */
uint32_t hotadd_parallelism_get(const hotadd_parallelism *parallelism);
/* Returns a descriptor for poll or epoll, readable after each change. Read 8 bytes from it to make it unreadable. It
 * stays the library's own. -1 on an error. */
int hotadd_parallelism_fd(const hotadd_parallelism *parallelism);


/* ---- Pages ---- */

/* The page of a partition: its active set, mapped into this process. It needs no partition and no registration.
 * docs/page.md has the layout for programs without this library. Functions that fail set hotadd_error. */

typedef struct hotadd_page hotadd_page;

/* Opens the page of the partition with this name (`hotadd run --name NAME`), or at this path. NULL on an error. */
hotadd_page *hotadd_page_open(const char *name);
/* Closes it, and the descriptor of hotadd_page_fd. NULL does nothing. No other thread may use the page any more. */
void hotadd_page_close(hotadd_page *page);
/* Returns the number of active processors, and writes the epoch that belongs to it, unless `epoch` is NULL. One load;
 * never waits, and never fails. */
uint32_t hotadd_page_count(const hotadd_page *page, uint64_t *epoch);
/* Returns how many processors are active, and puts the ids (N of cpuN) of the first `length` of them into `ids`, in
 * the order of their indexes. Writes the epoch of this set, unless `epoch` is NULL. Returns (size_t)-1 on an error. */
size_t hotadd_page_members(const hotadd_page *page, uint32_t *ids, size_t length, uint64_t *epoch);
/* Waits until the epoch is another than `seen`. Returns 1 then, 0 if the time limit passed (a negative one means no
 * limit), and -1 if the partition has ended. A partition that was killed is noticed within a second. */
int hotadd_page_wait(const hotadd_page *page, uint64_t seen, int milliseconds);
/* Returns a descriptor for poll or epoll, readable after each change and when the partition has ended. Read 8 bytes
 * from it to make it unreadable. It stays the page's own: do not close it. A thread of the library writes to it. -1
 * on an error. */
int hotadd_page_fd(const hotadd_page *page);

#ifdef __cplusplus
}
#endif

#ifndef HOTADD_NO_KE
#include <hotadd_ke.h>
#endif
#endif
