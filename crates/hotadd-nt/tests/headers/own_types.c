/* A driver that has its own integers by size: nothing of ours defines them unless it is asked for stdint.h. */
#include <ntifs.h>
#include <wdm.h>
#include <intrin.h>
#include <ntstrsafe.h>
#include <stdlib.h>
#include <string.h>

typedef CHAR int8_t;
typedef SHORT int16_t;
typedef LONG int32_t;
typedef LONGLONG int64_t;
typedef UCHAR uint8_t;
typedef USHORT uint16_t;
typedef ULONG uint32_t;
typedef ULONGLONG uint64_t;
typedef SIZE_T uintptr_t;
typedef unsigned char bool_t;

EXTERN_C int32_t Sum(int8_t a, int16_t b, int64_t c, uint8_t d, uint16_t e, uint32_t f, uint64_t g);
int32_t Sum(int8_t a, int16_t b, int64_t c, uint8_t d, uint16_t e, uint32_t f, uint64_t g)
{
    return a + b + (int32_t)c + d + e + (int32_t)f + (int32_t)g + (int32_t)sizeof(uintptr_t) + (bool_t)1;
}
