/* What the compiler has built in. */
#pragma once
#include "nt/interlocked.h"
#include "nt/intrin.h"
