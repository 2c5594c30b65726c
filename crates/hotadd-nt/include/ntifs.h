/* What file systems include: here the same as ntddk.h. */
#pragma once
#define _NTIFS_
#include "ntddk.h"
