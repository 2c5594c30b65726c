/*
 * What drivers use of the C library. Natively it must not be the C library of this machine: that has 32-bit wide
 * characters and a 64-bit long, so its %lu reads more than a ULONG. There the names lead elsewhere by macro, which
 * works whether <string.h>, <wchar.h> or <stdio.h> come before or not at all. A .sys imports the plain names.
 */
#pragma once
#include "types.h"

NT_BEGIN_C

void *memset(void *to, int fill, size_t length) NT_NOTHROW;
void *memcpy(void *to, const void *from, size_t length) NT_NOTHROW;
void *memmove(void *to, const void *from, size_t length) NT_NOTHROW;
int memcmp(const void *a, const void *b, size_t length) NT_NOTHROW;
size_t strlen(const char *s) NT_NOTHROW;
int strcmp(const char *a, const char *b) NT_NOTHROW;
int strncmp(const char *a, const char *b, size_t length) NT_NOTHROW;
char *strcpy(char *to, const char *from) NT_NOTHROW;
char *strncpy(char *to, const char *from, size_t length) NT_NOTHROW;
char *strcat(char *to, const char *from) NT_NOTHROW;
char *strncat(char *to, const char *from, size_t length) NT_NOTHROW;
size_t strnlen(const char *s, size_t max) NT_NOTHROW;
int tolower(int c) NT_NOTHROW;
int toupper(int c) NT_NOTHROW;
/* In C++ these have two forms each, with and without const. */
#ifdef __cplusplus
extern "C++" {
void *memchr(void *s, int c, size_t length) NT_NOTHROW __asm__("memchr");
const void *memchr(const void *s, int c, size_t length) NT_NOTHROW __asm__("memchr");
char *strchr(char *s, int c) NT_NOTHROW __asm__("strchr");
const char *strchr(const char *s, int c) NT_NOTHROW __asm__("strchr");
char *strrchr(char *s, int c) NT_NOTHROW __asm__("strrchr");
const char *strrchr(const char *s, int c) NT_NOTHROW __asm__("strrchr");
char *strstr(char *s, const char *what) NT_NOTHROW __asm__("strstr");
const char *strstr(const char *s, const char *what) NT_NOTHROW __asm__("strstr");
}
#else
void *memchr(const void *s, int c, size_t length);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);
char *strstr(const char *s, const char *what);
#endif

char *_strlwr(char *s);
char *_strupr(char *s);
wchar_t *_wcslwr(wchar_t *s);
wchar_t *_wcsupr(wchar_t *s);
int sprintf_s(char *to, size_t size, const char *format, ...);
int vsprintf_s(char *to, size_t size, const char *format, va_list arguments);
int swprintf_s(wchar_t *to, size_t size, const wchar_t *format, ...);
int vswprintf_s(wchar_t *to, size_t size, const wchar_t *format, va_list arguments);
int _snprintf_s(char *to, size_t size, size_t count, const char *format, ...);
int _vsnprintf_s(char *to, size_t size, size_t count, const char *format, va_list arguments);
int _snwprintf_s(wchar_t *to, size_t size, size_t count, const wchar_t *format, ...);
int _vsnwprintf_s(wchar_t *to, size_t size, size_t count, const wchar_t *format, va_list arguments);
#define _TRUNCATE ((size_t)-1)

int _stricmp(const char *a, const char *b);
int _strnicmp(const char *a, const char *b, size_t length);
int _wcsicmp(const wchar_t *a, const wchar_t *b);
int _wcsnicmp(const wchar_t *a, const wchar_t *b, size_t length);
int _vsnprintf(char *to, size_t count, const char *format, va_list arguments) NT_NOTHROW;
int _vsnwprintf(wchar_t *to, size_t count, const wchar_t *format, va_list arguments);


#ifdef NT_WINDOWS
int sprintf(char *to, const char *format, ...);
int vsprintf(char *to, const char *format, va_list arguments);
int swprintf(wchar_t *to, const wchar_t *format, ...);
int _snprintf(char *to, size_t count, const char *format, ...) NT_NOTHROW;
int _snwprintf(wchar_t *to, size_t count, const wchar_t *format, ...);
size_t wcslen(const wchar_t *s);
size_t wcsnlen(const wchar_t *s, size_t max);
int wcscmp(const wchar_t *a, const wchar_t *b);
int wcsncmp(const wchar_t *a, const wchar_t *b, size_t count);
wchar_t *wcscpy(wchar_t *to, const wchar_t *from);
wchar_t *wcsncpy(wchar_t *to, const wchar_t *from, size_t count);
wchar_t *wcscat(wchar_t *to, const wchar_t *from);
wchar_t *wcsncat(wchar_t *to, const wchar_t *from, size_t count);
wchar_t *wcschr(const wchar_t *s, wchar_t c);
wchar_t *wcsrchr(const wchar_t *s, wchar_t c);
wchar_t *wcsstr(const wchar_t *s, const wchar_t *what);
#define snprintf _snprintf
#define vsnprintf _vsnprintf
#else
#include "crt_native.h"
#endif

/*
 * Natively these are called hotadd_atoi and so on. In C++ some have their plain names, which <cstdlib> asks for, and are
 * those of this machine's C library.
 */
#ifndef NT_WINDOWS
#ifndef __cplusplus
#define atoi hotadd_atoi
#define atol hotadd_atol
#define bsearch hotadd_bsearch
#define qsort hotadd_qsort
#define rand hotadd_rand
#define srand hotadd_srand
#endif
#define towlower hotadd_towlower
#define towupper hotadd_towupper
#endif
int atoi(const char *s) NT_NOTHROW;
/* That of <cstdlib> has 64 bits. */
#if !defined(__cplusplus) || defined(NT_WINDOWS)
NT_LONG atol(const char *s);
#endif
typedef int (*NT_COMPARE)(const void *a, const void *b);
void *bsearch(const void *key, const void *base, size_t count, size_t size, NT_COMPARE compare);
void qsort(void *base, size_t count, size_t size, NT_COMPARE compare);
int rand(void) NT_NOTHROW;
void srand(unsigned int seed) NT_NOTHROW;
wchar_t towlower(wchar_t c);
wchar_t towupper(wchar_t c);

NT_END_C
