/* Annotations, old and new, where the public pages put them: on parameters, fields, functions and statements. */
#include <sal.h>
#include <ntddk.h>
#include <specstrings.h>
#include <driverspecs.h>
#include <kernelspecs.h>

typedef struct _TEXT {
    USHORT Size;
    ULONG Count;
    _Field_size_bytes_part_opt_(Size, Count) _Null_terminated_ PWCHAR Text;
    _Field_range_(0, 7) ULONG Kind;
    __field_bcount_opt(Size) PVOID Old;
    _Guarded_by_(Lock) LONG Guarded;
    KSPIN_LOCK Lock;
} TEXT, *PTEXT;

_Function_class_(DRIVER_DISPATCH) _Dispatch_type_(IRP_MJ_CREATE) _Dispatch_type_(IRP_MJ_CLOSE) EXTERN_C NTSTATUS
    Dispatch(_In_ PDEVICE_OBJECT Device, _Inout_ PIRP Irp);
_IRQL_requires_max_(DISPATCH_LEVEL) _IRQL_saves_ _IRQL_raises_(DISPATCH_LEVEL) _Acquires_lock_(*Lock) EXTERN_C KIRQL
    Take(_Inout_ _Requires_lock_not_held_(*_Curr_) PKSPIN_LOCK Lock);
_IRQL_requires_(DISPATCH_LEVEL) _Releases_lock_(*Lock) EXTERN_C VOID
    Give(_Inout_ PKSPIN_LOCK Lock, _In_ _IRQL_restores_ KIRQL Old);
_Kernel_float_saved_ _When_(return == 0, _Kernel_float_restored_) _Must_inspect_result_ EXTERN_C NTSTATUS Float(VOID);
_Kernel_clear_do_init_(yes) _Check_return_ _Success_(return >= 0) EXTERN_C NTSTATUS
    Results(_Outptr_result_maybenull_z_ PWSTR *Text, _Outptr_opt_result_bytebuffer_all_maybenull_(*Size) PVOID *Bytes,
            _Out_writes_bytes_to_opt_(Size, *Size) PVOID To, _Inout_opt_ PULONG Size,
            _Frees_ptr_opt_ PVOID Freed, _In_reads_or_z_opt_(4) PCWSTR Name);
_Ret_writes_bytes_to_maybenull_(Length, Length) _Post_satisfies_(return != 0) _Post_writable_byte_size_(Length) EXTERN_C
    PVOID Allocate(_In_ _Pre_satisfies_(Length > 0) SIZE_T Length, _At_(*Used, _Out_range_(0, Length)) PSIZE_T Used);
_IRQL_saves_global_(OldIrql, Lock) _IRQL_uses_cancel_ EXTERN_C VOID Global(_In_ PVOID Lock);
__drv_allocatesMem(Mem) __drv_maxIRQL(APC_LEVEL) __drv_floatUsed __checkReturn EXTERN_C PVOID
    Older(__in_ecount_opt(Count) const ULONG *From, __in ULONG Count, __out_bcount_part(Size, *Size) PVOID To,
          __inout PULONG Size, __deref_opt_out_ecount_full_opt(Count) PULONG *Out, __drv_aliasesMem PVOID Kept,
          __drv_strictType(POOL_TYPE, __drv_typeExpr) POOL_TYPE Type, __in __drv_when(Count > 0, __notnull) PVOID Last);
__success(return != 0) __drv_functionClass(KDEFERRED_ROUTINE) EXTERN_C BOOLEAN
    Oldest(IN PVOID Buffer, OUT PULONG Written OPTIONAL, IN OUT PULONG Both);

_Use_decl_annotations_ NTSTATUS Dispatch(PDEVICE_OBJECT Device, PIRP Irp)
{
    UNREFERENCED_PARAMETER(Device);
    _Analysis_assume_(Irp != NULL);
    __analysis_assume(Irp->StackCount > 0);
    return Irp->IoStatus.Status;
}

_Use_decl_annotations_ KIRQL Take(PKSPIN_LOCK Lock)
{
    KIRQL old;

    KeAcquireSpinLock(Lock, &old);
    return old;
}

_Use_decl_annotations_ VOID Give(PKSPIN_LOCK Lock, KIRQL Old)
{
    KeReleaseSpinLock(Lock, Old);
}

_Use_decl_annotations_ BOOLEAN Oldest(PVOID Buffer, PULONG Written, PULONG Both)
{
    TEXT text;

    RtlZeroMemory(&text, sizeof(text));
    text.Guarded = 1;
    switch (*Both) {
    case 1:
        *Written = text.Kind;
        _Analysis_assume_lock_held_(text.Lock);
        __fallthrough;
    default:
        break;
    }
    return Buffer != NULL;
}
