/*
 * Wide strings: what a driver gets of <wchar.h>. A wchar_t has 16 bits.
 * With the C++ library of this machine, the machine's own header is read as well: that library needs all of it.
 */
#if defined(__GLIBCXX__) && !defined(_WIN32)
#include_next <wchar.h>
#endif
#ifndef NT_WCHAR_H
#define NT_WCHAR_H
#include "nt/crt.h"
#include "nt/crt_safe.h"

#ifndef WCHAR_MAX
#define WCHAR_MIN 0
#define WCHAR_MAX 0xffff
#endif
#ifndef WEOF
typedef unsigned short wint_t;
typedef unsigned short wctype_t;
#define WEOF ((wint_t)0xffff)
#endif
#endif
