// A driver in C++: classes over kernel objects, operators new and delete over the pool.
#include <ntddk.h>
#include <ntstrsafe.h>

namespace {

class SpinLock {
public:
    SpinLock() { KeInitializeSpinLock(&lock_); }
    void Acquire() { KeAcquireInStackQueuedSpinLock(&lock_, &handle_); }
    void Release() { KeReleaseInStackQueuedSpinLock(&handle_); }

private:
    KSPIN_LOCK lock_;
    KLOCK_QUEUE_HANDLE handle_;
};

template <typename Lock> class Holding {
public:
    explicit Holding(Lock &lock) : lock_(lock) { lock_.Acquire(); }
    ~Holding() { lock_.Release(); }
    Holding(const Holding &) = delete;
    Holding &operator=(const Holding &) = delete;

private:
    Lock &lock_;
};

constexpr ULONG Tag = 'pC++';
struct Processors {
    SpinLock lock;
    volatile LONG count = 0;
    PVOID handle = nullptr;
};
Processors *processors;

} // namespace

void *operator new(size_t size)
{
    return ExAllocatePoolWithTag(NonPagedPoolNx, size, Tag);
}

void operator delete(void *p) noexcept
{
    if (p)
        ExFreePoolWithTag(p, Tag);
}

void operator delete(void *p, size_t) noexcept
{
    if (p)
        ExFreePoolWithTag(p, Tag);
}

DECLARE_GLOBAL_CONST_UNICODE_STRING(GlobalName, L"\\Callback\\Cpp");

extern "C" DRIVER_INITIALIZE DriverEntry;
extern "C" NTSTATUS DriverEntry(_In_ PDRIVER_OBJECT DriverObject, _In_ PUNICODE_STRING RegistryPath)
{
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\Cpp");
    WCHAR text[16];

    DbgPrint("%wZ %wZ %wZ\n", RegistryPath, &name, &GlobalName);
    if (!NT_SUCCESS(RtlStringCbPrintfW(text, sizeof(text), L"%u", 1u)) || wcslen(text) != 1)
        return STATUS_INTERNAL_ERROR;
    processors = new Processors;
    if (!processors)
        return STATUS_INSUFFICIENT_RESOURCES;
    DriverObject->DriverUnload = [](PDRIVER_OBJECT) {
        KeDeregisterProcessorChangeCallback(processors->handle);
        delete processors;
    };
    processors->handle = KeRegisterProcessorChangeCallback(
        [](PVOID context, PKE_PROCESSOR_CHANGE_NOTIFICATION_CONTEXT change, PNTSTATUS status) {
            auto *all = static_cast<Processors *>(context);
            Holding<SpinLock> holding(all->lock);

            if (change->State == KeProcessorAddCompleteNotify && InterlockedIncrement(&all->count) > 64)
                *status = STATUS_TOO_MANY_THREADS;
        },
        processors, KE_PROCESSOR_CHANGE_ADD_EXISTING);
    return processors->handle ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
}
