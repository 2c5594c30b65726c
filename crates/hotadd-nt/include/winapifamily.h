/* Which functions a program may use. A driver may use all. */
#pragma once
#define WINAPI_FAMILY_PARTITION(partitions) 1
#define WINAPI_PARTITION_DESKTOP 1
#define WINAPI_PARTITION_APP 1
#define WINAPI_PARTITION_SYSTEM 1
