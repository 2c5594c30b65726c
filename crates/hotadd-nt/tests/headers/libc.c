/* The C library's headers before and after ours: its wide characters and its printf must not get in. */
#include <wchar.h>
#include <ntddk.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern size_t Length(const wchar_t *text);
extern int Print(char *to, ULONG value);
extern VOID Copy(wchar_t *to, const wchar_t *from);

size_t Length(const wchar_t *text)
{
    return wcslen(text);
}

int Print(char *to, ULONG value)
{
    return sprintf(to, "%lu", value) + snprintf(to, 4, "%lu", value) + (int)strlen(to);
}

VOID Copy(wchar_t *to, const wchar_t *from)
{
    wcscpy(to, from);
    if (wcscmp(to, from) != 0 || wcschr(to, L'x') == NULL)
        wcscat(to, from);
}
