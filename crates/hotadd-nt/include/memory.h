/* The old name of what <string.h> has about memory. */
#pragma once
#include "string.h"
