/* As windef.h. */
#pragma once
#include "windef.h"
