/* Follows a partition by its page, without registering: prints the set, and each change, until the partition ends. */
#include <hotadd.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

static uint64_t show(const hotadd_page *page)
{
    uint32_t ids[64];
    uint64_t epoch, seen;
    size_t count = hotadd_page_members(page, ids, 64, &epoch);
    uint32_t alone = hotadd_page_count(page, &seen);

    printf("epoch %llu:", (unsigned long long)epoch);
    for (size_t nth = 0; nth < count && nth < 64; nth++)
        printf(" %u", ids[nth]);
    printf("%s\n", seen == epoch && alone != count ? " and another count" : "");
    fflush(stdout);
    return epoch;
}

int main(int count, char **arguments)
{
    hotadd_page *page = hotadd_page_open(count > 1 ? arguments[1] : "");
    struct pollfd changes = { .events = POLLIN };
    uint64_t seen, times;

    if (page == NULL) {
        printf("no page: %s\n", hotadd_error());
        return 1;
    }
    printf("NULL: %u %d %d\n", hotadd_page_count(NULL, &seen), hotadd_page_members(NULL, NULL, 0, NULL) == (size_t)-1,
           hotadd_page_wait(NULL, 0, 0));
    changes.fd = hotadd_page_fd(page);
    printf("the same descriptor: %d\n", changes.fd == hotadd_page_fd(page));
    seen = show(page);
    printf("unchanged: %d\n", hotadd_page_wait(page, seen, 0));
    fflush(stdout);
    while (poll(&changes, 1, -1) == 1 && read(changes.fd, &times, sizeof times) == sizeof times) {
        if (hotadd_page_wait(page, seen, 0) < 0)
            break;
        seen = show(page);
    }
    printf("ended: %s\n", hotadd_error());
    hotadd_page_close(page);
    hotadd_page_close(NULL);
    return 0;
}
