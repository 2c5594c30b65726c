/* Annotations for the static analyser, which say nothing here. */
#pragma once
#include "nt/sal.h"
