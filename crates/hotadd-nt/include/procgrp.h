/* Functions about processor groups. On Windows this header serves old versions; here wdm.h has them all. */
#pragma once
#include "wdm.h"

NT_INLINE NTSTATUS WdmlibProcgrpInitialize(VOID)
{
    return STATUS_SUCCESS;
}
