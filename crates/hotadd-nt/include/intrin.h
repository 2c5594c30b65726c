/* What the compiler has built in, and its instructions for vectors. */
#pragma once
#include <immintrin.h>
#include "nt/interlocked.h"
#include "nt/intrin.h"

/* Not in nt/bits.h: the compiler's header for vectors defines these itself, for processors that have the instruction. */
#undef __lzcnt16
#undef __lzcnt
#undef __lzcnt64
#define __lzcnt16(n) ((USHORT)((USHORT)(n) ? __builtin_clz((USHORT)(n)) - 16 : 16))
#define __lzcnt(n) ((UINT)((UINT)(n) ? __builtin_clz((UINT)(n)) : 32))
#define __lzcnt64(n) ((ULONG64)((ULONG64)(n) ? __builtin_clzll(n) : 64))
