/* assert, which is what ASSERT is; static_assert is in nt/compiler.h. Can be read again with another NDEBUG. */
#include "nt/print.h"
#undef assert
#ifdef NDEBUG
#define assert(e) ((void)0)
#else
#define assert(e) ((void)NT_VERIFY_TRUE(e, NULL))
#endif
