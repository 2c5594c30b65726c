/* The basic types and macros of drivers. */
#pragma once
#define _NTDEF_
#include "nt/version.h"
#include "nt/types.h"
#include "guiddef.h"
#include "nt/list.h"
#include "nt/string.h"
#include "nt/object.h"
