/*
 * Devices with an access control list. No program can open a device here, so the list has no effect. On Windows these
 * functions are in a static library.
 */
#pragma once
#include "wdm.h"

NT_BEGIN_C

#define NT_SDDL(name, text)                                                                             \
    static const WCHAR name##_text[] __attribute__((__unused__)) = L##text;                             \
    static const UNICODE_STRING name __attribute__((__unused__)) = {                                    \
        sizeof(name##_text) - sizeof(WCHAR), sizeof(name##_text), (PWCH)name##_text}

NT_SDDL(SDDL_DEVOBJ_KERNEL_ONLY, "D:P");
NT_SDDL(SDDL_DEVOBJ_SYS_ALL, "D:P(A;;GA;;;SY)");
NT_SDDL(SDDL_DEVOBJ_SYS_ALL_ADM_ALL, "D:P(A;;GA;;;SY)(A;;GA;;;BA)");
NT_SDDL(SDDL_DEVOBJ_SYS_ALL_ADM_RX, "D:P(A;;GA;;;SY)(A;;GRGX;;;BA)");
NT_SDDL(SDDL_DEVOBJ_SYS_ALL_ADM_RWX_WORLD_R, "D:P(A;;GA;;;SY)(A;;GRGWGX;;;BA)(A;;GR;;;WD)");
NT_SDDL(SDDL_DEVOBJ_SYS_ALL_ADM_RWX_WORLD_R_RES_R, "D:P(A;;GA;;;SY)(A;;GRGWGX;;;BA)(A;;GR;;;WD)(A;;GR;;;RC)");
NT_SDDL(SDDL_DEVOBJ_SYS_ALL_ADM_RWX_WORLD_RW_RES_R, "D:P(A;;GA;;;SY)(A;;GRGWGX;;;BA)(A;;GRGW;;;WD)(A;;GR;;;RC)");
NT_SDDL(SDDL_DEVOBJ_SYS_ALL_ADM_RWX_WORLD_RWX_RES_RWX,
        "D:P(A;;GA;;;SY)(A;;GRGWGX;;;BA)(A;;GRGWGX;;;WD)(A;;GRGWGX;;;RC)");
#undef NT_SDDL
#define SDDL_DEVOBJ_INF_SUPPLIED SDDL_DEVOBJ_KERNEL_ONLY

NT_INLINE NTSTATUS WdmlibIoCreateDeviceSecure(PDRIVER_OBJECT driver, ULONG extension, PUNICODE_STRING name,
                                              DEVICE_TYPE type, ULONG characteristics, BOOLEAN exclusive,
                                              PCUNICODE_STRING sddl, LPCGUID device_class, PDEVICE_OBJECT *device)
{
    (void)sddl;
    (void)device_class;
    return IoCreateDevice(driver, extension, name, type, characteristics, exclusive, device);
}
#define IoCreateDeviceSecure WdmlibIoCreateDeviceSecure

NT_END_C
