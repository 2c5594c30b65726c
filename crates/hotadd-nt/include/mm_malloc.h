/* The compiler's headers for vectors read this file to allocate with malloc, which a driver does not have. */
#pragma once
