/* Sizes and offsets in requests, in the registry and in what drivers are told. The numbers are those of x64. */
#include <ntifs.h>

#ifdef __cplusplus
#define CHECK static_assert
#else
#define CHECK _Static_assert
#endif
#define SIZE(type, size) CHECK(sizeof(type) == (size), "size of " #type)
#define AT(type, field, offset) CHECK(__builtin_offsetof(type, field) == (offset), #type "." #field)
#define IS(name, value) CHECK((name) == (value), #name)

SIZE(IO_STACK_LOCATION, 72);
AT(IO_STACK_LOCATION, Parameters.Create.SecurityContext, 8);
AT(IO_STACK_LOCATION, Parameters.Create.FileAttributes, 24);
AT(IO_STACK_LOCATION, Parameters.Create.ShareAccess, 26);
AT(IO_STACK_LOCATION, Parameters.Create.EaLength, 32);
AT(IO_STACK_LOCATION, Parameters.Read.Key, 16);
AT(IO_STACK_LOCATION, Parameters.Read.ByteOffset, 24);
AT(IO_STACK_LOCATION, Parameters.QueryFile.FileInformationClass, 16);
AT(IO_STACK_LOCATION, Parameters.QueryVolume.FsInformationClass, 16);
AT(IO_STACK_LOCATION, Parameters.FileSystemControl.FsControlCode, 24);
AT(IO_STACK_LOCATION, Parameters.DeviceIoControl.InputBufferLength, 16);
AT(IO_STACK_LOCATION, Parameters.DeviceIoControl.IoControlCode, 24);
AT(IO_STACK_LOCATION, Parameters.DeviceIoControl.Type3InputBuffer, 32);
AT(IO_STACK_LOCATION, Parameters.QuerySecurity.Length, 16);
AT(IO_STACK_LOCATION, Parameters.SetSecurity.SecurityDescriptor, 16);
AT(IO_STACK_LOCATION, Parameters.MountVolume.DeviceObject, 16);
AT(IO_STACK_LOCATION, Parameters.QueryInterface.Version, 18);
AT(IO_STACK_LOCATION, Parameters.QueryInterface.Interface, 24);
AT(IO_STACK_LOCATION, Parameters.QueryInterface.InterfaceSpecificData, 32);
AT(IO_STACK_LOCATION, Parameters.ReadWriteConfig.Buffer, 16);
AT(IO_STACK_LOCATION, Parameters.ReadWriteConfig.Offset, 24);
AT(IO_STACK_LOCATION, Parameters.ReadWriteConfig.Length, 32);
AT(IO_STACK_LOCATION, Parameters.QueryDeviceText.LocaleId, 16);
AT(IO_STACK_LOCATION, Parameters.UsageNotification.Type, 16);
AT(IO_STACK_LOCATION, Parameters.Power.Type, 16);
AT(IO_STACK_LOCATION, Parameters.Power.State, 24);
AT(IO_STACK_LOCATION, Parameters.Power.ShutdownType, 32);
AT(IO_STACK_LOCATION, Parameters.StartDevice.AllocatedResourcesTranslated, 16);
AT(IO_STACK_LOCATION, Parameters.WMI.DataPath, 16);
AT(IO_STACK_LOCATION, Parameters.WMI.Buffer, 32);
AT(IO_STACK_LOCATION, Parameters.Others.Argument4, 32);
AT(IO_STACK_LOCATION, DeviceObject, 40);
AT(IO_STACK_LOCATION, CompletionRoutine, 56);
AT(IO_STACK_LOCATION, Context, 64);
SIZE(IRP, 208);
SIZE(DEVICE_CAPABILITIES, 64);
AT(DEVICE_CAPABILITIES, Address, 8);
AT(DEVICE_CAPABILITIES, DeviceState, 16);
AT(DEVICE_CAPABILITIES, SystemWake, 44);
AT(DEVICE_CAPABILITIES, D3Latency, 60);
SIZE(DEVICE_RELATIONS, 16);
AT(DEVICE_RELATIONS, Objects, 8);
SIZE(INTERFACE, 32);
AT(INTERFACE, InterfaceReference, 16);
SIZE(POWER_STATE, 4);
SIZE(POWER_SEQUENCE, 12);
SIZE(SYSTEM_POWER_STATE_CONTEXT, 4);
SIZE(PLUGPLAY_NOTIFICATION_HEADER, 20);
SIZE(DEVICE_INTERFACE_CHANGE_NOTIFICATION, 48);
AT(DEVICE_INTERFACE_CHANGE_NOTIFICATION, SymbolicLinkName, 40);
AT(DEVICE_INTERFACE_CHANGE_NOTIFICATION, InterfaceClassGuid, 20);
SIZE(KEY_BASIC_INFORMATION, 24);
AT(KEY_BASIC_INFORMATION, Name, 16);
SIZE(KEY_FULL_INFORMATION, 48);
AT(KEY_FULL_INFORMATION, Class, 44);
SIZE(KEY_VALUE_BASIC_INFORMATION, 16);
SIZE(KEY_VALUE_FULL_INFORMATION, 24);
AT(KEY_VALUE_FULL_INFORMATION, Name, 20);
SIZE(KEY_VALUE_PARTIAL_INFORMATION, 16);
AT(KEY_VALUE_PARTIAL_INFORMATION, Data, 12);
SIZE(RTL_QUERY_REGISTRY_TABLE, 56);
AT(RTL_QUERY_REGISTRY_TABLE, Name, 16);
AT(RTL_QUERY_REGISTRY_TABLE, DefaultType, 32);
AT(RTL_QUERY_REGISTRY_TABLE, DefaultData, 40);
SIZE(EVENT_DESCRIPTOR, 16);
AT(EVENT_DESCRIPTOR, Task, 6);
AT(EVENT_DESCRIPTOR, Keyword, 8);
SIZE(EVENT_DATA_DESCRIPTOR, 16);
AT(EVENT_DATA_DESCRIPTOR, Size, 8);
SIZE(EVENT_FILTER_DESCRIPTOR, 16);
SIZE(KBUGCHECK_CALLBACK_RECORD, 64);
AT(KBUGCHECK_CALLBACK_RECORD, Component, 40);
AT(KBUGCHECK_CALLBACK_RECORD, State, 56);
SIZE(PHYSICAL_MEMORY_RANGE, 16);
SIZE(RTL_OSVERSIONINFOW, 276);
SIZE(RTL_OSVERSIONINFOEXW, 284);
AT(RTL_OSVERSIONINFOEXW, wServicePackMajor, 276);
SIZE(TIME_FIELDS, 16);
AT(TIME_FIELDS, Weekday, 14);
SIZE(EXCEPTION_RECORD, 152);
AT(EXCEPTION_RECORD, ExceptionInformation, 32);
SIZE(EXCEPTION_POINTERS, 16);
SIZE(LIST_ENTRY32, 8);
SIZE(LIST_ENTRY64, 16);
SIZE(UNICODE_STRING32, 8);
SIZE(UNICODE_STRING64, 16);
SIZE(KSYSTEM_TIME, 12);
SIZE(LUID_AND_ATTRIBUTES, 12);
SIZE(GENERIC_MAPPING, 16);
SIZE(SYSTEM_LOGICAL_PROCESSOR_INFORMATION, 32);
AT(SYSTEM_LOGICAL_PROCESSOR_INFORMATION, Reserved, 16);
SIZE(IMAGE_INFO, 40);
AT(IMAGE_INFO, ImageSectionNumber, 32);
SIZE(SHARE_ACCESS, 28);
SIZE(IO_COUNTERS, 48);
SIZE(QUAD, 8);

IS(PowerSystemShutdown, 6);
IS(PowerSystemMaximum, 7);
IS(PowerDeviceD3, 4);
IS(PowerDeviceMaximum, 5);
IS(DevicePowerState, 1);
IS(PowerActionWarmEject, 7);
IS(TransportRelations, 6);
IS(BusQueryContainerID, 5);
IS(DeviceTextLocationInformation, 1);
IS(DeviceUsageTypeBoot, 4);
IS(ACPIBus, 17);
IS(MaximumInterfaceType, 18);
IS(EventCategoryTargetDeviceChange, 3);
IS(KeyValuePartialInformation, 2);
IS(KeyFlagsInformation, 5);
IS(MmLargeSystem, 2);
IS(BufferIncomplete, 4);
IS(TraceHandleByNameClass, 7);
IS(WrRendezvous, 20);
IS(MaxIoPriorityTypes, 5);
IS(ViewUnmap, 2);
IS(Latched, 1);
IS(NtProductServer, 3);
IS(StopCompletion, -1073741802);
