/* Exceptions: what a filter of __except returns. */
#pragma once
#include "nt/exception.h"
