/*
 * Copying, joining and printing strings without running over the end. What does not fit is cut off, always with a
 * terminator, and STATUS_BUFFER_OVERFLOW says so. Cch counts characters, Cb bytes.
 */
#pragma once
#include "nt/crt.h"
#include "nt/status.h"

#define NTSTRSAFE_MAX_CCH 2147483647
#define NTSTRSAFE_UNICODE_STRING_MAX_CCH (0xffff / sizeof(WCHAR))
typedef PSTR NTSTRSAFE_PSTR;
typedef PCSTR NTSTRSAFE_PCSTR;
typedef PWSTR NTSTRSAFE_PWSTR;
typedef PCWSTR NTSTRSAFE_PCWSTR;

NT_BEGIN_C

#define NT_CHAR CHAR
#define NT_CCH(what) RtlStringCch##what##A
#define NT_CB(what) RtlStringCb##what##A
#define NT_VPRINT _vsnprintf
#include "nt/strsafe.h"
#undef NT_CHAR
#undef NT_CCH
#undef NT_CB
#undef NT_VPRINT

#define NT_CHAR WCHAR
#define NT_CCH(what) RtlStringCch##what##W
#define NT_CB(what) RtlStringCb##what##W
#define NT_VPRINT _vsnwprintf
#include "nt/strsafe.h"
#undef NT_CHAR
#undef NT_CCH
#undef NT_CB
#undef NT_VPRINT

NT_END_C

#include "nt/strsafe_counted.h"
