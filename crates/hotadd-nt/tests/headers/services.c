/* The registry, tracing, versions, memory by pages, time, objects: the functions that sources use around their drivers. */
#include <ntddk.h>
#include <wdmsec.h>

EXTERN_C NTSTATUS Registry(PUNICODE_STRING Path, PULONG Value);
EXTERN_C NTSTATUS Trace(LPCGUID Provider, PREGHANDLE Handle);
EXTERN_C NTSTATUS Version(PUNICODE_STRING Text);
EXTERN_C PVOID Pages(SIZE_T Length);
EXTERN_C NTSTATUS Objects(PDRIVER_OBJECT Driver, PHANDLE Handle);
EXTERN_C ULONG Time(PTIME_FIELDS Fields);
EXTERN_C NTSTATUS Secure(PDRIVER_OBJECT Driver, PDEVICE_OBJECT *Device);

NTSTATUS Registry(PUNICODE_STRING Path, PULONG Value)
{
    RTL_QUERY_REGISTRY_TABLE table[2];
    UCHAR buffer[sizeof(KEY_VALUE_PARTIAL_INFORMATION) + sizeof(ULONG)];
    PKEY_VALUE_PARTIAL_INFORMATION found = (PKEY_VALUE_PARTIAL_INFORMATION)buffer;
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"Value");
    OBJECT_ATTRIBUTES attributes;
    HANDLE key;
    ULONG length;
    NTSTATUS status;

    InitializeObjectAttributes(&attributes, Path, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, NULL, NULL);
    status = ZwOpenKey(&key, KEY_READ, &attributes);
    if (!NT_SUCCESS(status))
        status = ZwCreateKey(&key, KEY_ALL_ACCESS, &attributes, 0, NULL, REG_OPTION_VOLATILE, &length);
    if (!NT_SUCCESS(status))
        return status;
    status = ZwQueryValueKey(key, &name, KeyValuePartialInformation, buffer, sizeof(buffer), &length);
    if (NT_SUCCESS(status) && found->Type == REG_DWORD && found->DataLength == sizeof(ULONG))
        RtlCopyMemory(Value, found->Data, sizeof(ULONG));
    else
        status = ZwSetValueKey(key, &name, 0, REG_DWORD, Value, sizeof(*Value));
    ZwClose(key);
    RtlZeroMemory(table, sizeof(table));
    table[0].Flags = RTL_QUERY_REGISTRY_DIRECT | RTL_QUERY_REGISTRY_TYPECHECK;
    table[0].Name = name.Buffer;
    table[0].EntryContext = Value;
    table[0].DefaultType = (REG_DWORD << RTL_QUERY_REGISTRY_TYPECHECK_SHIFT) | REG_NONE;
    return RtlQueryRegistryValues(RTL_REGISTRY_ABSOLUTE | RTL_REGISTRY_OPTIONAL, Path->Buffer, table, NULL, NULL);
}

NTSTATUS Trace(LPCGUID Provider, PREGHANDLE Handle)
{
    EVENT_DESCRIPTOR event = {1, 0, 0, 4, 0, 0, 0};
    EVENT_DATA_DESCRIPTOR data;
    ULONG number = 1;
    NTSTATUS status = EtwRegister(Provider, NULL, NULL, Handle);

    if (!NT_SUCCESS(status))
        return status;
    EventDataDescCreate(&data, &number, sizeof(number));
    if (EtwEventEnabled(*Handle, &event) && EtwProviderEnabled(*Handle, 4, 0))
        status = EtwWrite(*Handle, &event, NULL, 1, &data);
    return NT_SUCCESS(status) ? EtwUnregister(*Handle) : status;
}

NTSTATUS Version(PUNICODE_STRING Text)
{
    RTL_OSVERSIONINFOEXW version;
    ULONGLONG mask = 0;
    ULONG major;

    RtlZeroMemory(&version, sizeof(version));
    version.dwOSVersionInfoSize = sizeof(version);
    version.dwMajorVersion = 10;
    VER_SET_CONDITION(mask, VER_MAJORVERSION, VER_GREATER_EQUAL);
    if (!PsGetVersion(&major, NULL, NULL, Text) || KD_DEBUGGER_NOT_PRESENT || !KD_DEBUGGER_ENABLED)
        return RtlVerifyVersionInfo(&version, VER_MAJORVERSION, mask);
    return RtlGetVersion((PRTL_OSVERSIONINFOW)&version);
}

PVOID Pages(SIZE_T Length)
{
    PHYSICAL_ADDRESS low, high, none;
    PVOID pages;

    low.QuadPart = none.QuadPart = 0;
    high.QuadPart = MAXLONGLONG;
    pages = MmAllocateContiguousMemorySpecifyCache(Length, low, high, none, MmCached);
    if (pages != NULL && MmGetPhysicalAddress(pages).QuadPart != 0 && MmIsAddressValid(pages) &&
        (ULONG_PTR)pages > (ULONG_PTR)MmSystemRangeStart && (ULONG_PTR)pages > (ULONG_PTR)MmHighestUserAddress)
        return pages;
    MmFreeContiguousMemorySpecifyCache(pages, Length, MmCached);
    return MmAllocateContiguousMemory(Length, high);
}

NTSTATUS Objects(PDRIVER_OBJECT Driver, PHANDLE Handle)
{
    PVOID thread, extension;
    NTSTATUS status = IoAllocateDriverObjectExtension(Driver, (PVOID)Objects, 16, &extension);

    if (NT_SUCCESS(status) && IoGetDriverObjectExtension(Driver, (PVOID)Objects) == extension)
        status = ObReferenceObjectByHandle(*Handle, THREAD_ALL_ACCESS, *PsThreadType, KernelMode, &thread, NULL);
    if (!NT_SUCCESS(status))
        return status;
    if (PsGetThreadId((PETHREAD)thread) != PsGetCurrentThreadId() && PsIsSystemThread(PsGetCurrentThread()))
        status = ZwWaitForSingleObject(*Handle, FALSE, NULL);
    ObReferenceObject(thread);
    ObDereferenceObject(thread);
    ObDereferenceObject(thread);
    return NT_SUCCESS(status)
               ? ObOpenObjectByPointer(PsInitialSystemProcess, OBJ_KERNEL_HANDLE, NULL, GENERIC_ALL, *PsProcessType,
                                       KernelMode, Handle)
               : status;
}

ULONG Time(PTIME_FIELDS Fields)
{
    LARGE_INTEGER now, local;
    ULONG seconds = 0;

    KeQuerySystemTime(&now);
    ExSystemTimeToLocalTime(&now, &local);
    RtlTimeToTimeFields(&local, Fields);
    if (RtlTimeFieldsToTime(Fields, &local) && RtlTimeToSecondsSince1970(&local, &seconds))
        RtlSecondsSince1980ToTime(seconds, &now);
    return seconds + (ULONG)KeNumberProcessors;
}

NTSTATUS Secure(PDRIVER_OBJECT Driver, PDEVICE_OBJECT *Device)
{
    return IoCreateDeviceSecure(Driver, 0, NULL, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN, FALSE,
                                &SDDL_DEVOBJ_SYS_ALL_ADM_ALL, NULL, Device);
}
