/* Kinds of wide characters. Only ASCII has them here; towupper and towlower know all characters. */
#pragma once
#include "ctype.h"
#include "wchar.h"

#define iswalpha(c) NtIsAlpha((int)(c))
#define iswdigit(c) NtIsDigit((int)(c))
#define iswxdigit(c) NtIsHex((int)(c))
#define iswalnum(c) NtIsAlnum((int)(c))
#define iswlower(c) NtIsLower((int)(c))
#define iswupper(c) NtIsUpper((int)(c))
#define iswspace(c) NtIsSpace((int)(c))
#define iswprint(c) NtIsPrint((int)(c))
#define iswcntrl(c) NtIsControl((int)(c))
#define iswpunct(c) NtIsPunct((int)(c))
