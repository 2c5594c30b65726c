/* GUIDs. With INITGUID (initguid.h) DEFINE_GUID defines, otherwise it declares. */
#pragma once
#include "compiler.h"

#ifndef GUID_DEFINED
#define GUID_DEFINED
typedef struct _GUID {
    unsigned NT_LONG Data1;
    unsigned short Data2;
    unsigned short Data3;
    unsigned char Data4[8];
} GUID, *PGUID, *LPGUID;
typedef const GUID *LPCGUID, *PCGUID;
typedef GUID UUID, IID, CLSID;
#endif

#ifdef __cplusplus
#define REFGUID const GUID &
#define NT_GUID_LINKAGE extern "C"
#define NT_GUID_BYTES(g) (&(g))
#else
#define REFGUID const GUID *
#define NT_GUID_LINKAGE
#define NT_GUID_BYTES(g) (g)
#endif
#define InlineIsEqualGUID(a, b) IsEqualGUID(a, b)
#define IsEqualIID(a, b) IsEqualGUID(a, b)
#define IsEqualGUID(a, b) (!__builtin_memcmp(NT_GUID_BYTES(a), NT_GUID_BYTES(b), sizeof(GUID)))
