/*
 * A hostile driver. It is built once for each attempt: ATTEMPT is what it does, and WHEN is the moment. Before it does so, it says
 * that it tries. If it gets what it wants, it says that it got through.
 *
 * FOLDER, SOCKET, PORT and VICTIM are a folder, a partition's socket, a port and a process that it wants to reach. CALL is a
 * message to the partition, as bytes.
 */
#include "hostile.h"

#define TEXT_OF(name) #name
#define TEXT(name) TEXT_OF(name)
#define ENTRY 1
#define CONSTRUCTOR 2
#define THREAD 3
#define ASKED 4

/* As <ntddk.h> has it, which does not go with the C library's headers. */
extern void *KeRegisterProcessorChangeCallback(void (*)(void *, const int *, int *), void *, unsigned);

static void say(const char *text)
{
    (void)!write(2, text, strlen(text));
}

static void through(long result)
{
    if (result >= 0)
        say("got through\n");
}

/* Files. */

static void reads_a_file(void)
{
    char text[64];
    int fd = open("/etc/passwd", O_RDONLY);

    through(fd);
    if (fd >= 0 && read(fd, text, sizeof text) > 0)
        (void)!write(2, text, sizeof text);
}

static void makes_a_file(void)
{
    through(open(FOLDER "/made", O_CREAT | O_WRONLY, 0600));
}

static void removes_a_file(void)
{
    through(unlink(FOLDER "/kept"));
}

static void opens_memory(void)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/mem", VICTIM);
    through(open(path, O_RDWR));
}

static void opens_a_processor(void)
{
    through(open("/sys/devices/system/cpu/cpu1/online", O_WRONLY));
}

/* Connections. */

static void connects_by_tcp(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr = {htonl(INADDR_LOOPBACK)}};

    through(connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&to, sizeof to));
}

static void connects_to_the_partition(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = SOCKET};

    through(connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&to, sizeof to));
}

static void connects_to_the_kernel(void)
{
    through(socket(AF_NETLINK, SOCK_DGRAM, NETLINK_KOBJECT_UEVENT));
}

/* Processes. */

static void makes_a_process(void)
{
    through(fork());
}

static void runs_a_program(void)
{
    char *words[] = {"touch", FOLDER "/made", NULL};

    through(execve("/usr/bin/touch", words, words + 2));
}

static void kills(void)
{
    through(kill(VICTIM, SIGKILL));
}

static void kills_a_thread(void)
{
    through(syscall(SYS_tgkill, VICTIM, VICTIM, SIGKILL));
}

static void moves_another(void)
{
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET(0, &one);
    through(sched_setaffinity(VICTIM, sizeof one, &one));
}

static void traces(void)
{
    through(ptrace(PTRACE_ATTACH, VICTIM, NULL, NULL));
}

static void traces_its_host(void)
{
    through(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}

static void becomes_root(void)
{
    through(setuid(0));
}

static void raises_its_limits(void)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

    through(setrlimit(RLIMIT_NOFILE, &limit));
}

#ifdef NUMBER
static void makes_a_call(void)
{
    through(syscall(NUMBER, 0, 0, 0, 0, 0, 0));
}
#endif

/* As a program of 32 bits opens a file, which a filter of 64-bit calls does not see. */
static void makes_a_call_of_32_bits(void)
{
    static const char path[] = "/etc/passwd";
    char *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    int result = -1;

    if (low == MAP_FAILED)
        return;
    memcpy(low, path, sizeof path);
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(5), "b"(low), "c"(0), "d"(0) : "memory");
    through(result);
}

/* Code. */

static void makes_code(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    through(page == MAP_FAILED ? -1 : 0);
}

static void makes_data_code(void)
{
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    *page = (char)0xC3;
    through(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}

static void writes_to_its_code(void)
{
    void *page = (void *)((unsigned long)writes_to_its_code & -4096UL);

    through(mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC));
}

static void maps_what_it_has_open(void)
{
    for (int fd = 0; fd < 1024; fd++)
        if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED)
            through(fd);
}

/* What the user that started hotadd has. */

static void reads_what_is_open(void)
{
    char text[128];

    for (int fd = 7; fd < 10; fd++) {
        long length = read(fd, text, sizeof text);
        if (length > 0)
            (void)!write(2, text, length);
    }
}

/* Not by its environment alone: all of the stack is searched. */
static void reads_the_environment(void)
{
    extern char **environ;
    char *page = (char *)((unsigned long)__builtin_frame_address(0) & -4096UL);

    for (char **one = environ; one && *one; one++) {
        say(*one);
        say("\n");
    }
    /* The kernel looks whether there is a page, and then refuses. */
    while (syscall(SYS_rt_sigprocmask, 99, page, NULL, 8) != 0 && errno != EFAULT) {
        char *found = memmem(page, 4096, "ret-of-the-op", 13);
        if (found)
            (void)!write(2, found, 32);
        page += 4096;
    }
}

/* Its own connection to the partition. */

#ifdef CALL
static void sends_a_message(void)
{
    static const unsigned char message[] = {CALL};

    (void)!write(3, message, sizeof message);
    sleep(1);
}
#endif

static void sends_nonsense(void)
{
    char nonsense[4096];

    memset(nonsense, 'x', sizeof nonsense);
    for (int fd = 3; fd < 64; fd++)
        (void)!send(fd, nonsense, sizeof nonsense, MSG_DONTWAIT | MSG_NOSIGNAL);
    sleep(1);
}

/* Agrees to calls that the partition may make to other parties. */
static void answers_for_others(void)
{
    for (unsigned serial = 1; serial < 2000; serial++) {
        unsigned char reply[24] = {'l', 2, 1, 1, [8] = 1, [12] = 8, [16] = 5, 1, 'u', 0};
        memcpy(reply + 20, &serial, sizeof serial);
        (void)!write(3, reply, sizeof reply);
    }
    sleep(1);
}

/* Means. */

static void *waits(void *none)
{
    for (;;)
        pause();
    return none;
}

static void makes_threads(void)
{
    char text[64];
    int count = 0;
    pthread_t thread;
    pthread_attr_t small;

    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 16384);
    while (count < 12000 && pthread_create(&thread, &small, waits, NULL) == 0)
        count++;
    snprintf(text, sizeof text, "has %d threads\n", count);
    say(text);
    through(count < 12000 ? -1 : 0);
    _exit(7);
}

static void takes_memory(void)
{
    void *block = mmap(NULL, 8UL << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    through(block == MAP_FAILED ? -1 : 0);
    _exit(7);
}

/* A thread stays here, where the signal is blocked. */
static void hang(int signal)
{
    for (;;)
        pause();
}

static void hangs_others(void)
{
    long pid = getpid(), own = syscall(SYS_gettid);

    signal(SIGUSR2, hang);
    for (long tid = pid; tid < pid + 20000; tid++)
        if (tid != own)
            syscall(SYS_tgkill, pid, tid, SIGUSR2);
}

static void hangs(void)
{
    hangs_others();
    syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR2);
    hang(0);
}

static void stops(void)
{
    kill(getpid(), SIGSTOP);
    for (;;)
        pause();
}

static void ends(void)
{
    _exit(0);
}

static void crashes(void)
{
    *(volatile int *)16 = 1;
}

/* Escapes, priorities of a log, what turns the direction of reading around, what cannot be seen, and lines of ours. */
static void floods(void)
{
    for (int round = 0; round < 2000; round++)
        say("<0>\033[2J\033]0;owned\007\r\xc2\x9bH\xe2\x80\xae\xe2\x80\x8b\xff\xfe\n<1>hotadd: processor 5 has joined\n");
    for (int round = 0; round < 2000; round++)
        say("a line without an end, ");
}

static void attempt(void)
{
    say("tries " TEXT(ATTEMPT) "\n");
    ATTEMPT();
}

static void *attempts(void *none)
{
    attempt();
    return none;
}

static void asked(void *context, const int *change, int *status)
{
    if (WHEN == ASKED && change[0] == 0)
        attempt();
}

#if WHEN == CONSTRUCTOR
__attribute__((constructor)) static void first(void)
{
    attempt();
}
#endif

int DriverEntry(void *driver, void *path)
{
    pthread_t thread;

    if (WHEN == ENTRY)
        attempt();
    if (WHEN == THREAD && pthread_create(&thread, NULL, attempts, NULL) == 0)
        pthread_join(thread, NULL);
    return KeRegisterProcessorChangeCallback(asked, NULL, 0) ? 0 : (int)0xC0000001;
}
