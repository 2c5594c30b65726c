/*
 * Printing into memory: what a driver gets of <stdio.h>. There are no files; DbgPrint prints messages.
 * With the C++ library of this machine, the machine's own header is read as well: that library needs all of it.
 */
#if defined(__GLIBCXX__) && !defined(_WIN32)
#include_next <stdio.h>
#endif
#ifndef NT_STDIO_H
#define NT_STDIO_H
#include "nt/crt.h"

#ifndef EOF
#define EOF (-1)
#endif
#endif
