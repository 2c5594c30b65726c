/* The sizes and offsets of what drivers embed, which a .sys has built in. The numbers are those of x64. */
#include <ntifs.h>

#ifdef __cplusplus
#define CHECK static_assert
#else
#define CHECK _Static_assert
#endif
#define SIZE(type, size) CHECK(sizeof(type) == (size), "size of " #type)
#define AT(type, field, offset) CHECK(__builtin_offsetof(type, field) == (offset), #type "." #field)

SIZE(UNICODE_STRING, 16);
AT(UNICODE_STRING, MaximumLength, 2);
AT(UNICODE_STRING, Buffer, 8);
SIZE(ANSI_STRING, 16);
SIZE(LARGE_INTEGER, 8);
SIZE(GUID, 16);
SIZE(LIST_ENTRY, 16);
SIZE(SLIST_ENTRY, 16);
SIZE(SLIST_HEADER, 16);
CHECK(__alignof__(SLIST_HEADER) == 16, "cmpxchg16b needs this");

SIZE(PROCESSOR_NUMBER, 4);
AT(PROCESSOR_NUMBER, Number, 2);
SIZE(GROUP_AFFINITY, 16);
AT(GROUP_AFFINITY, Group, 8);
SIZE(KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT, 16);
AT(KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT, State, 0);
AT(KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT, NtNumber, 4);
AT(KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT, Status, 8);
AT(KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT, ProcNumber, 12);
CHECK(KeProcessorAddStartNotify == 0 && KeProcessorAddCompleteNotify == 1 && KeProcessorAddFailureNotify == 2,
      "the states");
SIZE(PROCESSOR_RELATIONSHIP, 40);
SIZE(NUMA_NODE_RELATIONSHIP, 40);
SIZE(CACHE_RELATIONSHIP, 48);
SIZE(PROCESSOR_GROUP_INFO, 48);
SIZE(GROUP_RELATIONSHIP, 72);
SIZE(SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX, 80);
AT(SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX, Processor, 8);
AT(PROCESSOR_RELATIONSHIP, GroupMask, 24);
AT(CACHE_RELATIONSHIP, GroupMask, 32);

SIZE(DISPATCHER_HEADER, 0x18);
AT(DISPATCHER_HEADER, SignalState, 4);
AT(DISPATCHER_HEADER, WaitListHead, 8);
SIZE(KEVENT, 0x18);
SIZE(KSEMAPHORE, 0x20);
AT(KSEMAPHORE, Limit, 0x18);
SIZE(KMUTANT, 0x38);
AT(KMUTANT, OwnerThread, 0x28);
AT(KMUTANT, ApcDisable, 0x31);
SIZE(KWAIT_BLOCK, 0x30);
SIZE(KTIMER, 0x40);
AT(KTIMER, DueTime, 0x18);
AT(KTIMER, Dpc, 0x30);
AT(KTIMER, Period, 0x3c);
SIZE(KDPC, 0x40);
AT(KDPC, Importance, 1);
AT(KDPC, Number, 2);
AT(KDPC, DeferredRoutine, 0x18);
AT(KDPC, DeferredContext, 0x20);
AT(KDPC, DpcData, 0x38);
SIZE(FAST_MUTEX, 0x38);
AT(FAST_MUTEX, Event, 0x18);
AT(FAST_MUTEX, OldIrql, 0x30);
SIZE(KGUARDED_MUTEX, 0x38);
SIZE(KLOCK_QUEUE_HANDLE, 0x18);
AT(KLOCK_QUEUE_HANDLE, OldIrql, 0x10);
SIZE(KSPIN_LOCK, 8);
SIZE(ERESOURCE, 0x68);
AT(ERESOURCE, ActiveCount, 0x18);
AT(ERESOURCE, OwnerEntry, 0x30);
AT(ERESOURCE, SpinLock, 0x60);
SIZE(EX_RUNDOWN_REF, 8);
SIZE(WORK_QUEUE_ITEM, 0x20);
SIZE(RTL_BITMAP, 16);
AT(RTL_BITMAP, Buffer, 8);
SIZE(GENERAL_LOOKASIDE, 0x80);
SIZE(NPAGED_LOOKASIDE_LIST, 0x80);
SIZE(PAGED_LOOKASIDE_LIST, 0x80);
SIZE(LOOKASIDE_LIST_EX, 0x60);
AT(GENERAL_LOOKASIDE, Depth, 0x10);
AT(GENERAL_LOOKASIDE, Type, 0x24);
AT(GENERAL_LOOKASIDE, Allocate, 0x30);
AT(GENERAL_LOOKASIDE, Free, 0x38);
AT(GENERAL_LOOKASIDE, ListEntry, 0x40);

SIZE(OBJECT_ATTRIBUTES, 0x30);
SIZE(CLIENT_ID, 16);
SIZE(DRIVER_OBJECT, 0x150);
AT(DRIVER_OBJECT, DeviceObject, 8);
AT(DRIVER_OBJECT, DriverExtension, 0x30);
AT(DRIVER_OBJECT, DriverName, 0x38);
AT(DRIVER_OBJECT, DriverUnload, 0x68);
AT(DRIVER_OBJECT, MajorFunction, 0x70);
AT(DRIVER_EXTENSION, AddDevice, 8);
AT(DRIVER_EXTENSION, ServiceKeyName, 0x18);
/* mingw-w64 11 leaves out that a device object is aligned to 16 bytes. */
#ifdef HEADERS_OF_MINGW
SIZE(DEVICE_OBJECT, 0x148);
#else
SIZE(DEVICE_OBJECT, 0x150);
#endif
AT(DEVICE_OBJECT, DriverObject, 8);
AT(DEVICE_OBJECT, Flags, 0x30);
AT(DEVICE_OBJECT, DeviceExtension, 0x40);
AT(DEVICE_OBJECT, StackSize, 0x4c);
AT(DEVICE_OBJECT, Queue, 0x50);
AT(DEVICE_OBJECT, DeviceQueue, 0xa0);
AT(DEVICE_OBJECT, Dpc, 0xc8);
AT(DEVICE_OBJECT, DeviceLock, 0x118);
AT(DEVICE_OBJECT, DeviceObjectExtension, 0x138);
SIZE(FILE_OBJECT, 0xd8);
AT(FILE_OBJECT, FsContext, 0x18);
AT(FILE_OBJECT, FileName, 0x58);
AT(FILE_OBJECT, Event, 0x98);
SIZE(MDL, 0x30);
AT(MDL, MdlFlags, 0xa);
AT(MDL, MappedSystemVa, 0x18);
AT(MDL, ByteCount, 0x28);
AT(MDL, ByteOffset, 0x2c);
SIZE(KAPC, 0x58);
SIZE(IO_STATUS_BLOCK, 16);
SIZE(IRP, 0xd0);
AT(IRP, MdlAddress, 8);
AT(IRP, AssociatedIrp, 0x18);
AT(IRP, IoStatus, 0x30);
AT(IRP, StackCount, 0x42);
AT(IRP, CancelRoutine, 0x68);
AT(IRP, UserBuffer, 0x70);
AT(IRP, Tail, 0x78);
AT(IRP, Tail.Overlay.CurrentStackLocation, 0xb8);
SIZE(IO_STACK_LOCATION, 0x48);
AT(IO_STACK_LOCATION, Parameters, 8);
AT(IO_STACK_LOCATION, Parameters.Create.FileAttributes, 0x18);
AT(IO_STACK_LOCATION, Parameters.Create.EaLength, 0x20);
AT(IO_STACK_LOCATION, Parameters.Read.ByteOffset, 0x18);
AT(IO_STACK_LOCATION, Parameters.DeviceIoControl.InputBufferLength, 0x10);
AT(IO_STACK_LOCATION, Parameters.DeviceIoControl.IoControlCode, 0x18);
AT(IO_STACK_LOCATION, Parameters.DeviceIoControl.Type3InputBuffer, 0x20);
AT(IO_STACK_LOCATION, DeviceObject, 0x28);
AT(IO_STACK_LOCATION, Context, 0x40);
SIZE(RTL_OSVERSIONINFOW, 276);
SIZE(RTL_OSVERSIONINFOEXW, 284);
CHECK(NonPagedPool == 0 && PagedPool == 1 && NonPagedPoolNx == 512, "pool types");
CHECK(NormalPoolPriority == 16 && HighPoolPriority == 32, "pool priorities");
CHECK(WaitAll == 0 && WaitAny == 1 && UserRequest == 6 && DelayExecution == 4, "waits");
CHECK(HighImportance == 2 && MediumHighImportance == 3 && SynchronizationTimer == 1, "importance");
CHECK(DelayedWorkQueue == 1 && RelationGroup == 4 && RelationAll == 0xffff, "queues, relations");
CHECK(MmCached == 1 && IoModifyAccess == 2 && NormalPagePriority == 16, "memory");
CHECK(DPFLTR_IHVDRIVER_ID == 77 && DPFLTR_DEFAULT_ID == 101, "components");

SIZE(RTL_AVL_TABLE, 0x68);
AT(RTL_AVL_TABLE, NumberGenericTableElements, 0x2c);
AT(RTL_AVL_TABLE, CompareRoutine, 0x48);
SIZE(RTL_GENERIC_TABLE, 0x48);
AT(RTL_GENERIC_TABLE, NumberGenericTableElements, 0x24);
AT(RTL_GENERIC_TABLE, CompareRoutine, 0x28);
SIZE(RTL_BALANCED_LINKS, 0x20);
SIZE(XSTATE_SAVE, 0x38);
SIZE(KAPC_STATE, 0x30);
SIZE(IO_REMOVE_LOCK_COMMON_BLOCK, 0x20);
SIZE(IO_REMOVE_LOCK_DBG_BLOCK, 0x58);
