/* GUIDs. Behind initguid.h DEFINE_GUID defines; otherwise it declares. So this file can be read twice. */
#include "nt/guid.h"
#undef DEFINE_GUID
#ifdef INITGUID
#define DEFINE_GUID(name, a, b, c, d0, d1, d2, d3, d4, d5, d6, d7) \
    NT_GUID_LINKAGE const GUID DECLSPEC_SELECTANY name = {a, b, c, {d0, d1, d2, d3, d4, d5, d6, d7}}
#else
#define DEFINE_GUID(name, a, b, c, d0, d1, d2, d3, d4, d5, d6, d7) EXTERN_C const GUID name
#endif
