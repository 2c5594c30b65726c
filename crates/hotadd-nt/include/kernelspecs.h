/* Annotations of the kernel for the static analyser, which say nothing here. */
#pragma once
#include "nt/sal.h"
