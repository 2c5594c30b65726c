/* On Windows this header rejects functions that overrun buffers. Here it rejects none. */
#pragma once
