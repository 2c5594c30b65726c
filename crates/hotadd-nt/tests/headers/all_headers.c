/* Every header that a driver may include, together. */
#include <fltkernel.h>
#include <ndis.h>
#include <ntifs.h>
#include <ntddk.h>
#include <wdm.h>
#include <ntdef.h>
#include <ntstatus.h>
#include <ntstrsafe.h>
#include <ntintsafe.h>
#include <ntnls.h>
#include <wdmsec.h>
#include <procgrp.h>
#include <bugcodes.h>
#include <initguid.h>
#include <wdmguid.h>
#include <poclass.h>
#include <guiddef.h>
#include <windef.h>
#include <minwindef.h>
#include <basetsd.h>
#include <devioctl.h>
#include <sdkddkver.h>
#include <winapifamily.h>
#include <excpt.h>
#include <sal.h>
#include <specstrings.h>
#include <specstrings_strict.h>
#include <driverspecs.h>
#include <kernelspecs.h>
#include <concurrencysal.h>
#include <suppress.h>
#include <dontuse.h>
#include <intrin.h>
#include <immintrin.h>
#include <emmintrin.h>

EXTERN_C NTSTATUS Status(ULONG Which);
NTSTATUS Status(ULONG Which)
{
    switch (Which) {
    case DPC_WATCHDOG_VIOLATION:
        return STATUS_FLT_DO_NOT_ATTACH;
    case IRP_MN_QUERY_LEGACY_BUS_INFORMATION:
        return STATUS_GRAPHICS_NO_VIDPNMGR;
    default:
        return STATUS_CRYPTO_SYSTEM_INVALID;
    }
}
