/* The basic types, by the names that programs use too. */
#pragma once
#include "ntdef.h"

typedef HANDLE HINSTANCE, HMODULE, HKEY, *PHKEY;
typedef UCHAR *LPBYTE;
typedef DWORD *LPDWORD;
typedef LONG *LPLONG;
typedef BOOL *LPBOOL;
typedef INT_PTR(WINAPI *FARPROC)(void);
#define MAX_PATH 260
#define MAKEWORD(low, high) ((WORD)(((BYTE)(low)) | ((WORD)((BYTE)(high))) << 8))
#define MAKELONG(low, high) ((LONG)(((WORD)(low)) | ((DWORD)((WORD)(high))) << 16))
