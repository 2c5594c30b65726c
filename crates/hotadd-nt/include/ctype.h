/*
 * Kinds of characters: ASCII.
 * With the C++ library of this machine, the machine's own header is read as well: that library needs all of it.
 */
#if defined(__GLIBCXX__) && !defined(_WIN32)
#include_next <ctype.h>
#endif
#ifndef NT_CTYPE_H
#define NT_CTYPE_H
#include "nt/crt.h"

NT_INLINE int NtIsDigit(int c)
{
    return c >= '0' && c <= '9';
}

NT_INLINE int NtIsLower(int c)
{
    return c >= 'a' && c <= 'z';
}

NT_INLINE int NtIsUpper(int c)
{
    return c >= 'A' && c <= 'Z';
}

NT_INLINE int NtIsAlpha(int c)
{
    return NtIsLower(c) || NtIsUpper(c);
}

NT_INLINE int NtIsAlnum(int c)
{
    return NtIsAlpha(c) || NtIsDigit(c);
}

NT_INLINE int NtIsHex(int c)
{
    return NtIsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

NT_INLINE int NtIsSpace(int c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

NT_INLINE int NtIsPrint(int c)
{
    return c >= ' ' && c <= '~';
}

NT_INLINE int NtIsControl(int c)
{
    return (c >= 0 && c < ' ') || c == 0x7f;
}

NT_INLINE int NtIsPunct(int c)
{
    return NtIsPrint(c) && c != ' ' && !NtIsAlnum(c);
}

/* libstdc++ undoes such macros and takes functions. */
#if !defined(__GLIBCXX__) || defined(_WIN32)
#define isalpha(c) NtIsAlpha(c)
#define isdigit(c) NtIsDigit(c)
#define isxdigit(c) NtIsHex(c)
#define isalnum(c) NtIsAlnum(c)
#define islower(c) NtIsLower(c)
#define isupper(c) NtIsUpper(c)
#define isspace(c) NtIsSpace(c)
#define isprint(c) NtIsPrint(c)
#define isgraph(c) (NtIsPrint(c) && (c) != ' ')
#define iscntrl(c) NtIsControl(c)
#define ispunct(c) NtIsPunct(c)
#endif
#define isascii(c) ((unsigned int)(c) < 0x80)
#define __isascii(c) isascii(c)
#define __toascii(c) ((c) & 0x7f)
#define _tolower(c) ((c) - 'A' + 'a')
#define _toupper(c) ((c) - 'a' + 'A')
#endif
