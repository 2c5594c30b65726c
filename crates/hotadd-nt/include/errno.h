/* Error numbers of the C library. There is no errno: functions return the number. */
#pragma once
#if defined(__GLIBCXX__) && !defined(_WIN32)
#include_next <errno.h>
#endif

#ifndef NT_ERRNO_T
#define NT_ERRNO_T
typedef int errno_t;
#endif
#ifndef EPERM
#define EPERM 1
#define ENOENT 2
#define EINTR 4
#define EIO 5
#define EBADF 9
#define EAGAIN 11
#define ENOMEM 12
#define EACCES 13
#define EFAULT 14
#define EBUSY 16
#define EEXIST 17
#define ENODEV 19
#define EINVAL 22
#define ENOSPC 28
#define ERANGE 34
#define EDEADLOCK 36
#define EILSEQ 42
#endif
#define STRUNCATE 80
