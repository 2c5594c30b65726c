/* What tcmalloc of gperftools, which is preloaded, keeps for all threads before and after a processor has joined, and when it was
 * told. */
#include "mask.h"

#include <dlfcn.h>
#include <stdio.h>

static const char CACHES[] = "tcmalloc.max_total_thread_cache_bytes";

static int (*get)(const char *, size_t *);

static void say(const char *word)
{
    size_t caches = 0;
    get(CACHES, &caches);
    printf("%s cache_mib=%zu\n", word, caches >> 20);
    fflush(stdout);
}

int main(void)
{
    get = (int (*)(const char *, size_t *))dlsym(RTLD_DEFAULT, "MallocExtension_GetNumericProperty");
    int (*set)(const char *, size_t) =
        (int (*)(const char *, size_t))dlsym(RTLD_DEFAULT, "MallocExtension_SetNumericProperty");
    if (!get || !set)
        return 1;
    say("start");
    joined();
    say("joined");
    set(CACHES, 64 << 20);
    say("told");
    return 0;
}
