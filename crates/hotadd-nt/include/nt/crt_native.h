/* For a native driver: the functions of the C library that print, and those for 16-bit wide characters. */
#pragma once
#include "crt.h"

NT_BEGIN_C

NT_INLINE int _snprintf(char *to, size_t count, const char *format, ...) NT_NOTHROW
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = _vsnprintf(to, count, format, arguments);
    va_end(arguments);
    return length;
}

NT_INLINE int _snwprintf(wchar_t *to, size_t count, const wchar_t *format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = _vsnwprintf(to, count, format, arguments);
    va_end(arguments);
    return length;
}

NT_INLINE int nt_sprintf(char *to, const char *format, ...) NT_NOTHROW
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = _vsnprintf(to, MAXLONG, format, arguments);
    va_end(arguments);
    return length;
}

NT_INLINE int nt_vsprintf(char *to, const char *format, va_list arguments) NT_NOTHROW
{
    return _vsnprintf(to, MAXLONG, format, arguments);
}

/* Without a size, as in Windows' kernel. */
NT_INLINE int nt_swprintf(wchar_t *to, const wchar_t *format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = _vsnwprintf(to, MAXLONG, format, arguments);
    va_end(arguments);
    return length;
}

NT_INLINE size_t nt_wcslen(const wchar_t *s)
{
    const wchar_t *end = s;

    while (*end)
        end++;
    return (size_t)(end - s);
}

NT_INLINE wchar_t *nt_wcsncpy(wchar_t *to, const wchar_t *from, size_t count)
{
    size_t i = 0;

    for (; i < count && from[i]; i++)
        to[i] = from[i];
    for (; i < count; i++)
        to[i] = 0;
    return to;
}

NT_INLINE wchar_t *nt_wcscpy(wchar_t *to, const wchar_t *from)
{
    __builtin_memcpy(to, from, (nt_wcslen(from) + 1) * sizeof(wchar_t));
    return to;
}

NT_INLINE wchar_t *nt_wcscat(wchar_t *to, const wchar_t *from)
{
    nt_wcscpy(to + nt_wcslen(to), from);
    return to;
}

NT_INLINE size_t nt_wcsnlen(const wchar_t *s, size_t max)
{
    size_t length = 0;

    while (length < max && s[length])
        length++;
    return length;
}

NT_INLINE wchar_t *nt_wcsncat(wchar_t *to, const wchar_t *from, size_t count)
{
    size_t length = nt_wcsnlen(from, count);
    wchar_t *end = to + nt_wcslen(to);

    __builtin_memcpy(end, from, length * sizeof(wchar_t));
    end[length] = 0;
    return to;
}

NT_INLINE int nt_wcsncmp(const wchar_t *a, const wchar_t *b, size_t count)
{
    for (; count; a++, b++, count--) {
        if (*a != *b)
            return *a < *b ? -1 : 1;
        if (!*a)
            break;
    }
    return 0;
}

NT_INLINE int nt_wcscmp(const wchar_t *a, const wchar_t *b)
{
    return nt_wcsncmp(a, b, (size_t)-1);
}

NT_INLINE wchar_t *nt_wcschr(const wchar_t *s, wchar_t c)
{
    for (; *s != c; s++)
        if (!*s)
            return NULL;
    return (wchar_t *)s;
}

NT_INLINE wchar_t *nt_wcsrchr(const wchar_t *s, wchar_t c)
{
    const wchar_t *found = NULL;

    do
        if (*s == c)
            found = s;
    while (*s++);
    return (wchar_t *)found;
}

NT_INLINE wchar_t *nt_wcsstr(const wchar_t *s, const wchar_t *what)
{
    size_t length = nt_wcslen(what);

    for (; nt_wcsncmp(s, what, length); s++)
        if (!*s)
            return NULL;
    return (wchar_t *)s;
}

#define sprintf nt_sprintf
#define vsprintf nt_vsprintf
#define swprintf nt_swprintf
#define snprintf _snprintf
#define vsnprintf _vsnprintf
#define wcslen nt_wcslen
#define wcscpy nt_wcscpy
#define wcsncpy nt_wcsncpy
#define wcscat nt_wcscat
#define wcscmp nt_wcscmp
#define wcsncmp nt_wcsncmp
#define wcsncat nt_wcsncat
#define wcsnlen nt_wcsnlen
#define wcschr nt_wcschr
#define wcsrchr nt_wcsrchr
#define wcsstr nt_wcsstr

NT_END_C
