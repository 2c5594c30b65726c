/* Control codes of devices. */
#pragma once
#include "nt/irp.h"
