/* Versions of Windows. */
#pragma once
#include "nt/version.h"
