/* What drivers that are not of the driver model include. */
#pragma once
#define _NTDDK_
#include "wdm.h"
