/* What drivers include of the C library, in any order, before and after ours. */
#include <stdint.h>
#include <stdlib.h>
#include <stdio.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stddef.h>
#include <limits.h>
#include <string.h>
#include <ntddk.h>
#include <wchar.h>
#include <wctype.h>
#include <ctype.h>
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <memory.h>
#include <crtdefs.h>

static_assert(sizeof(int64_t) == 8 && sizeof(uintptr_t) == sizeof(void *), "sizes");
static_assert(sizeof(wchar_t) == 2 && WCHAR_MAX == 0xffff, "UTF-16");
static_assert(INT64_MAX == _I64_MAX && UINT32_MAX == UINT_MAX && SIZE_MAX == UINT64_MAX, "limits");
static_assert(INT8_MIN == SCHAR_MIN && CHAR_BIT == 8 && RAND_MAX >= 0x7fff, "limits");

/* The same types as Windows' by other names: drivers redefine these. */
typedef INT64 int64_t;
typedef UINT64 uint64_t;
typedef UINT32 uint32_t;
typedef USHORT uint16_t;
typedef UCHAR uint8_t;

EXTERN_C int Compare(const void *a, const void *b);
EXTERN_C int Numbers(int *numbers, size_t count, const char *text);
EXTERN_C errno_t Texts(char *to, size_t size, wchar_t *wide, size_t wide_size);
EXTERN_C bool Kinds(char c, wchar_t w);
EXTERN_C int64_t *Long(long long *number);

int Compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

int Numbers(int *numbers, size_t count, const char *text)
{
    int wanted = atoi(text), *found;

    srand(1);
    numbers[0] = rand() % 10 + abs(-1);
    qsort(numbers, count, sizeof(numbers[0]), Compare);
    found = (int *)bsearch(&wanted, numbers, count, sizeof(numbers[0]), Compare);
    assert(count != 0);
    return found ? *found : EINVAL;
}

errno_t Texts(char *to, size_t size, wchar_t *wide, size_t wide_size)
{
    char format[64];

    if (strcpy_s(to, size, "a") || strcat_s(to, size, "b") || strncpy_s(to, size, "abc", _TRUNCATE))
        return ERANGE;
    if (wcscpy_s(wide, wide_size, L"a") || wcscat_s(wide, wide_size, L"b") || wcsncat_s(wide, wide_size, L"c", 1))
        return STRUNCATE;
    sprintf(format, "%" PRId64 " %" PRIx32 " %" PRIu64, (int64_t)1, (uint32_t)2, UINT64_C(3));
    _snprintf(to, size, "%s", format);
    swprintf_s(wide, wide_size, L"%d", INT_MAX);
    if (strchr(to, '1') == NULL || wcsstr(wide, L"2") == NULL || memchr(to, 0, size) == NULL)
        return EFAULT;
    return memcpy_s(to, size, format, sizeof(format)) + memmove_s(to, size, to + 1, 1) + (errno_t)strlen(to);
}

bool Kinds(char c, wchar_t w)
{
    return isdigit(c) || isalpha(c) || isxdigit(c) || isspace(c) || toupper(c) == 'A' || tolower(c) == 'b' ||
           iswdigit(w) || iswspace(w) || towupper(w) == L'A' || towlower(w) == L'b';
}

int64_t *Long(long long *number)
{
    return number;
}
