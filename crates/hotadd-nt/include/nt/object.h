/* Objects and handles, and callback objects. */
#pragma once
#include "string.h"

NT_BEGIN_C

typedef struct _OBJECT_ATTRIBUTES {
    ULONG Length;
    HANDLE RootDirectory;
    PUNICODE_STRING ObjectName;
    ULONG Attributes;
    PVOID SecurityDescriptor;
    PVOID SecurityQualityOfService;
} OBJECT_ATTRIBUTES, *POBJECT_ATTRIBUTES;
typedef const OBJECT_ATTRIBUTES *PCOBJECT_ATTRIBUTES;

#define OBJ_INHERIT 0x2
#define OBJ_PERMANENT 0x10
#define OBJ_EXCLUSIVE 0x20
#define OBJ_CASE_INSENSITIVE 0x40
#define OBJ_OPENIF 0x80
#define OBJ_OPENLINK 0x100
#define OBJ_KERNEL_HANDLE 0x200
#define OBJ_FORCE_ACCESS_CHECK 0x400
#define OBJ_IGNORE_IMPERSONATED_DEVICEMAP 0x800
#define OBJ_DONT_REPARSE 0x1000
#define OBJ_KERNEL_EXCLUSIVE 0x10000
#define OBJ_VALID_ATTRIBUTES 0x1ff2

/* A block and not a statement: drivers leave out the semicolon behind it. */
#define InitializeObjectAttributes(p, name, attributes, root, security)                                 \
    {                                                                                                   \
        (p)->Length = sizeof(OBJECT_ATTRIBUTES);                                                        \
        (p)->RootDirectory = (root);                                                                    \
        (p)->ObjectName = (name);                                                                       \
        (p)->Attributes = (attributes);                                                                 \
        (p)->SecurityDescriptor = (security);                                                           \
        (p)->SecurityQualityOfService = NULL;                                                           \
    }
#define RTL_CONSTANT_OBJECT_ATTRIBUTES(name, attributes)                                                \
    {                                                                                                   \
        sizeof(OBJECT_ATTRIBUTES), NULL, (PUNICODE_STRING)(name), (attributes), NULL, NULL              \
    }

typedef struct _OBJECT_HANDLE_INFORMATION {
    ULONG HandleAttributes;
    ACCESS_MASK GrantedAccess;
} OBJECT_HANDLE_INFORMATION, *POBJECT_HANDLE_INFORMATION;

typedef struct _ACCESS_STATE *PACCESS_STATE;

typedef struct _CLIENT_ID {
    HANDLE UniqueProcess;
    HANDLE UniqueThread;
} CLIENT_ID, *PCLIENT_ID;

#define DELETE 0x00010000
#define READ_CONTROL 0x00020000
#define WRITE_DAC 0x00040000
#define WRITE_OWNER 0x00080000
#define SYNCHRONIZE 0x00100000
#define STANDARD_RIGHTS_REQUIRED 0x000f0000
#define STANDARD_RIGHTS_READ READ_CONTROL
#define STANDARD_RIGHTS_WRITE READ_CONTROL
#define STANDARD_RIGHTS_EXECUTE READ_CONTROL
#define STANDARD_RIGHTS_ALL 0x001f0000
#define SPECIFIC_RIGHTS_ALL 0x0000ffff
#define ACCESS_SYSTEM_SECURITY 0x01000000
#define MAXIMUM_ALLOWED 0x02000000
#define GENERIC_ALL 0x10000000
#define GENERIC_EXECUTE 0x20000000
#define GENERIC_WRITE 0x40000000
#define GENERIC_READ 0x80000000U
#define THREAD_ALL_ACCESS (STANDARD_RIGHTS_REQUIRED | SYNCHRONIZE | 0xffff)
#define PROCESS_ALL_ACCESS (STANDARD_RIGHTS_REQUIRED | SYNCHRONIZE | 0xffff)
#define SEMAPHORE_QUERY_STATE 1
#define SEMAPHORE_MODIFY_STATE 2
#define SEMAPHORE_ALL_ACCESS (STANDARD_RIGHTS_REQUIRED | SYNCHRONIZE | 3)
#define DIRECTORY_QUERY 1
#define DIRECTORY_TRAVERSE 2
#define EVENT_QUERY_STATE 1
#define EVENT_MODIFY_STATE 2
#define EVENT_ALL_ACCESS (STANDARD_RIGHTS_REQUIRED | SYNCHRONIZE | 3)

extern POBJECT_TYPE *NT_DATA_POINTER(ExEventObjectType);
extern POBJECT_TYPE *NT_DATA_POINTER(ExSemaphoreObjectType);
extern POBJECT_TYPE *NT_DATA_POINTER(IoDeviceObjectType);
extern POBJECT_TYPE *NT_DATA_POINTER(IoDriverObjectType);
extern POBJECT_TYPE *NT_DATA_POINTER(IoFileObjectType);
extern POBJECT_TYPE *NT_DATA_POINTER(PsThreadType);
extern POBJECT_TYPE *NT_DATA_POINTER(PsProcessType);

LONG_PTR ObfReferenceObject(PVOID Object);
LONG_PTR ObfDereferenceObject(PVOID Object);
VOID ObDereferenceObjectDeferDelete(PVOID Object);
NTSTATUS ObReferenceObjectByHandle(HANDLE Handle, ACCESS_MASK DesiredAccess, POBJECT_TYPE ObjectType,
                                   KPROCESSOR_MODE AccessMode, PVOID *Object,
                                   POBJECT_HANDLE_INFORMATION HandleInformation);
NTSTATUS ObReferenceObjectByPointer(PVOID Object, ACCESS_MASK DesiredAccess, POBJECT_TYPE ObjectType,
                                    KPROCESSOR_MODE AccessMode);
NTSTATUS ObOpenObjectByPointer(PVOID Object, ULONG HandleAttributes, PACCESS_STATE PassedAccessState,
                               ACCESS_MASK DesiredAccess, POBJECT_TYPE ObjectType, KPROCESSOR_MODE AccessMode,
                               PHANDLE Handle);
NTSTATUS ObCloseHandle(HANDLE Handle, KPROCESSOR_MODE PreviousMode);
LONG_PTR ObReferenceObject(PVOID Object);
LONG_PTR ObDereferenceObject(PVOID Object);
#define ObReferenceObject(object) ObfReferenceObject(object)
#define ObDereferenceObject(object) ObfDereferenceObject(object)
NTSTATUS ZwClose(HANDLE Handle);
#define NtCurrentProcess() ((HANDLE)(LONG_PTR)-1)
#define ZwCurrentProcess() NtCurrentProcess()
#define NtCurrentThread() ((HANDLE)(LONG_PTR)-2)
#define ZwCurrentThread() NtCurrentThread()

typedef struct _CALLBACK_OBJECT *PCALLBACK_OBJECT;
typedef VOID CALLBACK_FUNCTION(PVOID CallbackContext, PVOID Argument1, PVOID Argument2);
typedef CALLBACK_FUNCTION *PCALLBACK_FUNCTION;

NTSTATUS ExCreateCallback(PCALLBACK_OBJECT *CallbackObject, POBJECT_ATTRIBUTES ObjectAttributes, BOOLEAN Create,
                          BOOLEAN AllowMultipleCallbacks);
PVOID ExRegisterCallback(PCALLBACK_OBJECT CallbackObject, PCALLBACK_FUNCTION CallbackFunction,
                         PVOID CallbackContext);
VOID ExUnregisterCallback(PVOID CallbackRegistration);
VOID ExNotifyCallback(PVOID CallbackObject, PVOID Argument1, PVOID Argument2);

NT_END_C
