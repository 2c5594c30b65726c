/* Languages: the types that wdm.h has. */
#pragma once
#include "ntdef.h"
