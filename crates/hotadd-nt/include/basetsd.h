/* Integers by size: INT32, ULONG_PTR and so on. */
#pragma once
#include "nt/types.h"
