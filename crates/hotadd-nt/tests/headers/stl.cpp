// The parts of the C++ library that need no system, around ours: NT_NO_SAL1 keeps its variables __in and __out alive.
#define NT_NO_SAL1
#include <cstdint>
#include <type_traits>
#include <ntddk.h>
#include <algorithm>
#include <limits>
#include <new>
#include <utility>

static_assert(std::is_same<ULONG, std::uint32_t>::value, "32 bits");
static_assert(sizeof(L'x') == sizeof(WCHAR), "UTF-16");

extern "C" ULONG Smallest(ULONG a, ULONG b);
ULONG Smallest(ULONG a, ULONG b)
{
    ULONG values[] = {a, b, std::numeric_limits<ULONG>::max()};

    std::sort(values, values + 3);
    std::swap(values[0], values[1]);
    return std::min(values[0], values[1]);
}
