/*
 * The functions of ntstrsafe.h, read once for each kind of character. NT_CHAR is that kind, NT_CCH(Copy) and NT_CB(Copy)
 * the names that count characters and bytes, NT_VPRINT the function that prints. No guard: it is read twice.
 */

/* The size of a buffer that can hold a string at all: not empty, and no negative number in disguise. */
NT_INLINE NTSTATUS NT_CCH(Check)(size_t size)
{
    return size == 0 || size > NTSTRSAFE_MAX_CCH ? STATUS_INVALID_PARAMETER : STATUS_SUCCESS;
}

/* *length: the characters before the terminator, which must be one of the first `max`. */
NT_INLINE NTSTATUS NT_CCH(Length)(const NT_CHAR *s, size_t max, size_t *length)
{
    size_t i = 0;

    if (length)
        *length = 0;
    if (!s || max > NTSTRSAFE_MAX_CCH)
        return STATUS_INVALID_PARAMETER;
    while (i < max && s[i])
        i++;
    if (i == max)
        return STATUS_INVALID_PARAMETER;
    if (length)
        *length = i;
    return STATUS_SUCCESS;
}

NT_INLINE NTSTATUS NT_CCH(CopyN)(NT_CHAR *to, size_t size, const NT_CHAR *from, size_t count)
{
    NTSTATUS status = NT_CCH(Check)(size);
    size_t i = 0;

    if (!NT_SUCCESS(status))
        return status;
    if (count > NTSTRSAFE_MAX_CCH) {
        to[0] = 0;
        return STATUS_INVALID_PARAMETER;
    }
    for (; i < count && from[i]; i++) {
        if (i == size - 1) {
            status = STATUS_BUFFER_OVERFLOW;
            break;
        }
        to[i] = from[i];
    }
    to[i] = 0;
    return status;
}

NT_INLINE NTSTATUS NT_CCH(Copy)(NT_CHAR *to, size_t size, const NT_CHAR *from)
{
    return NT_CCH(CopyN)(to, size, from, NTSTRSAFE_MAX_CCH);
}

NT_INLINE NTSTATUS NT_CCH(CatN)(NT_CHAR *to, size_t size, const NT_CHAR *from, size_t count)
{
    size_t length;
    NTSTATUS status = NT_CCH(Length)(to, size, &length);

    if (!NT_SUCCESS(status))
        return status;
    return NT_CCH(CopyN)(to + length, size - length, from, count);
}

NT_INLINE NTSTATUS NT_CCH(Cat)(NT_CHAR *to, size_t size, const NT_CHAR *from)
{
    return NT_CCH(CatN)(to, size, from, NTSTRSAFE_MAX_CCH);
}

NT_INLINE NTSTATUS NT_CCH(VPrintf)(NT_CHAR *to, size_t size, const NT_CHAR *format, va_list arguments)
{
    NTSTATUS status = NT_CCH(Check)(size);
    int length;

    if (!NT_SUCCESS(status))
        return status;
    length = NT_VPRINT(to, size - 1, format, arguments);
    /* The printing function leaves out the terminator when the text fills the buffer. */
    if (length < 0 || (size_t)length > size - 1) {
        to[size - 1] = 0;
        return STATUS_BUFFER_OVERFLOW;
    }
    to[length] = 0;
    return STATUS_SUCCESS;
}

NT_INLINE NTSTATUS NT_CCH(Printf)(NT_CHAR *to, size_t size, const NT_CHAR *format, ...)
{
    NTSTATUS status;
    va_list arguments;

    va_start(arguments, format);
    status = NT_CCH(VPrintf)(to, size, format, arguments);
    va_end(arguments);
    return status;
}

NT_INLINE NTSTATUS NT_CB(Length)(const NT_CHAR *s, size_t max, size_t *length)
{
    NTSTATUS status = NT_CCH(Length)(s, max / sizeof(NT_CHAR), length);

    if (length)
        *length *= sizeof(NT_CHAR);
    return status;
}

NT_INLINE NTSTATUS NT_CB(Copy)(NT_CHAR *to, size_t size, const NT_CHAR *from)
{
    return NT_CCH(Copy)(to, size / sizeof(NT_CHAR), from);
}

NT_INLINE NTSTATUS NT_CB(CopyN)(NT_CHAR *to, size_t size, const NT_CHAR *from, size_t count)
{
    return NT_CCH(CopyN)(to, size / sizeof(NT_CHAR), from, count / sizeof(NT_CHAR));
}

NT_INLINE NTSTATUS NT_CB(Cat)(NT_CHAR *to, size_t size, const NT_CHAR *from)
{
    return NT_CCH(Cat)(to, size / sizeof(NT_CHAR), from);
}

NT_INLINE NTSTATUS NT_CB(CatN)(NT_CHAR *to, size_t size, const NT_CHAR *from, size_t count)
{
    return NT_CCH(CatN)(to, size / sizeof(NT_CHAR), from, count / sizeof(NT_CHAR));
}

NT_INLINE NTSTATUS NT_CB(VPrintf)(NT_CHAR *to, size_t size, const NT_CHAR *format, va_list arguments)
{
    return NT_CCH(VPrintf)(to, size / sizeof(NT_CHAR), format, arguments);
}

NT_INLINE NTSTATUS NT_CB(Printf)(NT_CHAR *to, size_t size, const NT_CHAR *format, ...)
{
    NTSTATUS status;
    va_list arguments;

    va_start(arguments, format);
    status = NT_CB(VPrintf)(to, size, format, arguments);
    va_end(arguments);
    return status;
}
