/* What the C library of Windows defines first: sizes, lists of arguments, and sizes of arrays. */
#pragma once
#include "nt/compiler.h"
