/* The status values. */
#pragma once
#define _NTSTATUS_
#include "nt/status.h"
