/*
 * An agent in C with sd-bus: agrees to every processor except those of --refuse.
 *
 *     cc agent.c -o agent $(pkg-config --cflags --libs libsystemd)
 *     ./agent NAME [--refuse LIST]
 *
 * NAME is the name of a running partition: `hotadd run --name NAME ...`. The library is in libsystemd-dev (Debian, Ubuntu).
 * Programs that link hotadd's own C library need no D-Bus: see crates/hotadd-c.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

/* The interfaces, which dbus/ describes in full. */
#define PARTITION "org.hotadd.Partition1"
#define PARTITION_PATH "/org/hotadd/Partition"
#define AGENT "org.hotadd.Agent1"
#define OURS "/example/Agent"
#define REMOVAL 2u /* flag of Register: notify the agent of removals too */
/* STATUS_INSUFFICIENT_RESOURCES: an error's name may carry the status of a veto. */
#define REFUSE "org.hotadd.Error.Status.xC000009A"

#define PROCESSORS 2048
static bool refused[PROCESSORS];
static void *blocks[PROCESSORS];

static void fail(const char *what, int error)
{
    fprintf(stderr, "agent.c: %s: %s\n", what, strerror(error < 0 ? -error : error));
    exit(1);
}

/* A call about a processor. The partition is the only other peer of this connection. */
static int called(sd_bus_message *call, void *data, sd_bus_error *error)
{
    const char *state = sd_bus_message_get_member(call);
    uint64_t party, epoch;
    uint32_t index, cpu;
    uint16_t group;
    uint8_t number;
    (void)data;
    int read = sd_bus_message_read(call, "t(uqyu)t", &party, &index, &group, &number, &cpu, &epoch);
    if (read < 0)
        return read;
    if (cpu >= PROCESSORS)
        return sd_bus_error_setf(error, REFUSE, "processor %u is beyond the table", cpu);
    if (strcmp(state, "AddStart") == 0) {
        if (refused[cpu]) {
            printf("%s %u: refused\n", state, cpu);
            return sd_bus_error_setf(error, REFUSE, "there is no room for processor %u", cpu);
        }
        blocks[cpu] = malloc(4096); /* what the agent prepares; it may take up to 5 s */
        if (!blocks[cpu])
            return sd_bus_error_set(error, REFUSE, "no memory");
    } else if (strcmp(state, "AddFailure") == 0 || strcmp(state, "RemoveComplete") == 0) {
        free(blocks[cpu]);
        blocks[cpu] = NULL;
    }
    printf("%s %u at epoch %llu\n", state, cpu, (unsigned long long)epoch);
    return sd_bus_reply_method_return(call, "");
}

/* The agent did not answer in time. No reply is expected. */
static int deregistered(sd_bus_message *call, void *data, sd_bus_error *error)
{
    uint64_t party;
    uint32_t status;
    const char *reason;
    (void)data, (void)error;
    if (sd_bus_message_read(call, "tus", &party, &status, &reason) >= 0)
        printf("deregistered: %s\n", reason);
    return 1;
}

#define METHOD(name) SD_BUS_METHOD(name, "t(uqyu)ta{sv}", "", called, SD_BUS_VTABLE_UNPRIVILEGED)
static const sd_bus_vtable methods[] = {
    SD_BUS_VTABLE_START(0),
    METHOD("AddStart"), METHOD("AddComplete"), METHOD("AddFailure"),
    METHOD("RemoveStart"), METHOD("RemoveComplete"), METHOD("RemoveFailure"),
    SD_BUS_METHOD("Deregistered", "tus", "", deregistered, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

/* The reply to Register. */
static int registered(sd_bus_message *reply, void *data, sd_bus_error *error)
{
    uint64_t party, epoch;
    (void)data, (void)error;
    if (sd_bus_message_is_method_error(reply, NULL)) {
        fprintf(stderr, "not registered: %s\n", sd_bus_message_get_error(reply)->message);
        exit(1);
    }
    if (sd_bus_message_read(reply, "tt", &party, &epoch) >= 0)
        printf("registered as party %llu at epoch %llu\n", (unsigned long long)party, (unsigned long long)epoch);
    return 1;
}

static bool is_ours(uid_t uid)
{
    return uid == 0 || uid == geteuid();
}

/* The address of the partition's socket in this folder. False if there is none. */
static bool find(const char *folder, const char *name, char address[512])
{
    char path[400];
    struct stat above, found;
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return false;
    if (lstat(folder, &above) || lstat(path, &found))
        return false;
    if (!is_ours(above.st_uid) || (above.st_mode & 022) || !is_ours(found.st_uid)) {
        fprintf(stderr, "agent.c: the socket %s is not trusted: another user may have put it there\n", path);
        exit(1);
    }
    snprintf(address, 512, "unix:path=%s", path);
    return true;
}

/* Reads a list such as 1,4-6. */
static void refuse(const char *list)
{
    char *end;
    do {
        unsigned long first = strtoul(list, &end, 10), last = first;
        if (end != list && *end == '-')
            last = strtoul(list = end + 1, &end, 10);
        if (end == list || last >= PROCESSORS || (*end && *end != ','))
            fail("--refuse takes a list such as 1,4-6", EINVAL);
        for (; first <= last; first++)
            refused[first] = true;
        list = end + 1;
    } while (*end);
}

int main(int argc, char **argv)
{
    char folder[300], address[512];
    const char *base = getenv("XDG_RUNTIME_DIR");
    sd_bus *bus = NULL;
    int done;

    if (argc != 2 && (argc != 4 || strcmp(argv[2], "--refuse") != 0)) {
        fprintf(stderr, "usage: agent NAME [--refuse LIST]\n");
        return 2;
    }
    if (argc == 4)
        refuse(argv[3]);
    setlinebuf(stdout);
    if (base && *base)
        snprintf(folder, sizeof folder, "%s/hotadd", base);
    else
        snprintf(folder, sizeof folder, "/run/user/%u/hotadd", getuid());
    if (!find(folder, argv[1], address) && !find("/run/hotadd", argv[1], address))
        fail("there is no such partition", ENOENT);

    if ((done = sd_bus_new(&bus)) < 0 || (done = sd_bus_set_address(bus, address)) < 0 ||
        (done = sd_bus_set_bus_client(bus, true)) < 0 || (done = sd_bus_start(bus)) < 0)
        fail("cannot connect", done);
    /* The partition calls the agent during Register, so the agent is exported first, and the reply is not waited for here. */
    if ((done = sd_bus_add_object_vtable(bus, NULL, OURS, AGENT, methods, NULL)) < 0)
        fail("cannot export the agent", done);
    done = sd_bus_call_method_async(bus, NULL, NULL, PARTITION_PATH, PARTITION, "Register", registered, NULL,
                                    "osuiu", OURS, "agent.c", REMOVAL, 0, 0u);
    if (done < 0)
        fail("cannot register", done);
    while ((done = sd_bus_process(bus, NULL)) >= 0) {
        if (done == 0 && (done = sd_bus_wait(bus, UINT64_MAX)) < 0 && done != -EINTR)
            break;
    }
    /* The partition has ended. */
    sd_bus_unref(bus);
    return 0;
}
