/*
 * Numbers, sorting, random numbers: what a driver gets of <stdlib.h>. There is no malloc: memory comes from the pools.
 * With the C++ library of this machine, the machine's own header is read as well: that library needs all of it.
 */
#if defined(__GLIBCXX__) && !defined(_WIN32)
#include_next <stdlib.h>
#endif
#ifndef NT_STDLIB_H
#define NT_STDLIB_H
#include "nt/crt.h"
#include "nt/crt_safe.h"

#ifndef RAND_MAX
#define RAND_MAX 0x7fff
#endif
/* libstdc++ undoes these, and has them in several forms each. */
#if !defined(__GLIBCXX__) || defined(_WIN32)
#define abs(n) __builtin_abs(n)
#define labs(n) __builtin_labs(n)
#define llabs(n) __builtin_llabs(n)
#define _abs64(n) __builtin_llabs(n)
#endif
#define __min(a, b) ((a) < (b) ? (a) : (b))
#define __max(a, b) ((a) > (b) ? (a) : (b))
#endif
