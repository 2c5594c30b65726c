/*
 * Strings and memory: what a driver gets of <string.h>.
 * With the C++ library of this machine, the machine's own header is read as well: that library needs all of it.
 */
#if defined(__GLIBCXX__) && !defined(_WIN32)
#include_next <string.h>
#endif
#ifndef NT_STRING_H
#define NT_STRING_H
#include "nt/crt.h"
#include "nt/crt_safe.h"
#endif
