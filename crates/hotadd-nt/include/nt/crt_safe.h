/* The functions with a size that the C library of Windows' kernel adds. They are inline, so no host has to have them. */
#pragma once
#include "../errno.h"
#include "crt.h"

typedef size_t rsize_t;

NT_INLINE errno_t nt_memmove_s(void *to, size_t size, const void *from, size_t count)
{
    if (!count)
        return 0;
    if (!to)
        return 22 /* EINVAL */;
    if (!from || size < count) {
        __builtin_memset(to, 0, size);
        return from ? 34 /* ERANGE */ : 22;
    }
    __builtin_memmove(to, from, count);
    return 0;
}
#define memcpy_s nt_memmove_s
#define memmove_s nt_memmove_s

/*
 * Copies behind the text that is there already (or replaces it), at most `count` characters. What does not fit makes
 * the text empty, unless the caller asked for as much as fits (_TRUNCATE).
 */
#define NT_SAFE_COPY(name, type)                                                                                \
    NT_INLINE errno_t name(type *to, size_t size, const type *from, size_t count, int append)                   \
    {                                                                                                           \
        size_t at = 0, i;                                                                                       \
                                                                                                                \
        if (!to || !size)                                                                                       \
            return 22 /* EINVAL */;                                                                             \
        while (append && at < size && to[at])                                                                   \
            at++;                                                                                               \
        if (!from || at == size) {                                                                              \
            to[0] = 0;                                                                                          \
            return 22;                                                                                          \
        }                                                                                                       \
        for (i = 0; i < count && from[i]; i++, at++) {                                                          \
            if (at + 1 < size) {                                                                                \
                to[at] = from[i];                                                                               \
                continue;                                                                                       \
            }                                                                                                   \
            to[count == _TRUNCATE ? at : 0] = 0;                                                                \
            return count == _TRUNCATE ? 80 /* STRUNCATE */ : 34 /* ERANGE */;                                   \
        }                                                                                                       \
        to[at] = 0;                                                                                             \
        return 0;                                                                                               \
    }
NT_SAFE_COPY(NtSafeCopyA, char)
NT_SAFE_COPY(NtSafeCopyW, wchar_t)
#undef NT_SAFE_COPY

#define strcpy_s(to, size, from) NtSafeCopyA(to, size, from, (size_t)-2, 0)
#define strncpy_s(to, size, from, count) NtSafeCopyA(to, size, from, count, 0)
#define strcat_s(to, size, from) NtSafeCopyA(to, size, from, (size_t)-2, 1)
#define strncat_s(to, size, from, count) NtSafeCopyA(to, size, from, count, 1)
#define wcscpy_s(to, size, from) NtSafeCopyW(to, size, from, (size_t)-2, 0)
#define wcsncpy_s(to, size, from, count) NtSafeCopyW(to, size, from, count, 0)
#define wcscat_s(to, size, from) NtSafeCopyW(to, size, from, (size_t)-2, 1)
#define wcsncat_s(to, size, from, count) NtSafeCopyW(to, size, from, count, 1)
