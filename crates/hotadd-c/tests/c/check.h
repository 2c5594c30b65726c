/* What the test programs share: a check that names its line, and a record of what callbacks heard. */
#ifndef CHECK_H
#define CHECK_H

#include <hotadd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: not true: %s (%s)\n", __FILE__, __LINE__, #condition, hotadd_error());             \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* The function failed with this status, and the message contains this text. */
#define FAILS(call, status, text)                                                                                      \
    do {                                                                                                               \
        CHECK((call) == (status));                                                                                     \
        CHECK(hotadd_error_status() == (status));                                                                      \
        CHECK(strstr(hotadd_error(), text) != NULL);                                                                   \
    } while (0)

#endif
